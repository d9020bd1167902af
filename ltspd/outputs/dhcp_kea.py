"""DHCP by Kea, from 2.2 to 3.0: one dialect is enough, as no word is used that one of them lacks. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any
from zlib import crc32

from ltspd.model.facts import Program
from ltspd.model.network import DhcpRole, Network
from ltspd.model.output import File, Output, Unit
from ltspd.network.firmware import (
    IPXE,
    IPXE_FEATURES,
    IPXE_NO_PROXY,
    MENU_FEATURES,
    Boot,
    Vendor,
    boots,
    pxe_menu,
)
from ltspd.outputs.dhcp import DHCP_SERVER, DhcpServer, Subnet, missing, subnets
from ltspd.outputs.dhcp_dnsmasq import LEASE
from ltspd.outputs.gateway import base
from ltspd.outputs.world import World

ORDER = 80
PATH = "/var/lib/ltspd/outputs/kea-dhcp4.conf"
KEA = Program("kea-dhcp4")
PROGRAMS = (KEA,)
UNIT = "ltspd-kea.service"
UNITS = (UNIT,)
# Kea takes these only from the folders that it was built with; ltspd-kea.service shows it our own ones there.
LEASES, SOCKET = "/var/lib/kea/kea-leases4.csv", "/run/kea/kea4-ctrl-socket"
# Debian's AppArmor profile lets it read nothing but /etc/kea, also when it only checks a file.
_CHECK = (
    "unshare", "--mount", "sh", "-ec",
    'mount --bind "${1%/*}" /etc/kea; KEA_LOCKFILE_DIR=none exec kea-dhcp4 -t "/etc/kea/${1##*/}"',
    "kea", "{}",
)  # fmt: skip
# Without this, Kea does not look into what iPXE says of itself, and says nothing about that.
_DEFINITIONS = [{"name": "ipxe", "code": IPXE, "type": "empty", "encapsulate": "ipxe"}]
# Where we give addresses, nobody else has to say what boots.
_ALONE = {"name": "no-pxedhcp", "code": IPXE_NO_PROXY, "space": "ipxe", "type": "uint8"}
# Kea keeps a lease with its subnet's number, so that must not depend on other subnets. It has 32 bits, not 0.
_NUMBERS = (1 << 32) - 2


def render(world: World) -> Output | None:
    """Return the output that gives addresses, if DHCP_SERVER says that Kea does."""
    if world.settings[DHCP_SERVER] is not DhcpServer.KEA:
        return None
    found = subnets(world)
    whole = {"Dhcp4": _configuration(world, found)}
    return Output(
        name="dhcp",
        files=(File(PATH, json.dumps(whole, indent=1).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(found),
        check=_CHECK,
        ports=(("udp", 67),),
        port_setting=DHCP_SERVER.name,
        missing="" if KEA in world.programs else missing("Kea", "kea-dhcp4-server"),
    )


def _configuration(world: World, found: tuple[Subnet, ...]) -> dict[str, Any]:
    network, lease = world.desired.network, world.settings[LEASE]
    listening = network.links(DhcpRole.REAL)
    return {
        "interfaces-config": {
            # Each with our address there: of several, Kea would take any.
            "interfaces": [f"{each.link}/{each.address.ip}" for each in listening],
            "service-sockets-require-all": True,
        },
        # Kea does not read this. Its sockets stay with an interface that is gone, even if another of the same
        # name has come, so it is to be restarted then.
        "user-context": {each.link: each.index for each in listening},
        "control-socket": {"socket-type": "unix", "socket-name": SOCKET},
        # Without a cleaner of its own, which is another program; the file is made anew at each start.
        "lease-database": {"type": "memfile", "name": LEASES, "lfc-interval": 0},
        # One after the other is fast enough, and each answer follows from those before.
        "multi-threading": {"enable-multi-threading": False},
        # Some firmware sends options that are longer than they should be.
        "compatibility": {"lenient-option-parsing": True},
        "authoritative": True,
        # Firmware, iPXE and the system of one machine send different client IDs; its address follows its MAC.
        "match-client-id": False,
        "host-reservation-identifiers": ["hw-address"],
        "valid-lifetime": lease,
        "renew-timer": lease // 2,
        "rebind-timer": lease * 7 // 8,
        "option-def": [*_DEFINITIONS, _ALONE],
        "client-classes": [*_refused(network), *_classes(world, found)],
        "option-data": [
            *_options({"domain-name": network.search_domain}),
            {"name": "ipxe"},
            {"name": "no-pxedhcp", "space": "ipxe", "data": "1"},
        ],
        "subnet4": [_subnet(each) for each in found],
    }


def _subnet(subnet: Subnet) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": crc32(str(subnet.network).encode()) % _NUMBERS + 1,
        "subnet": str(subnet.network),
        "next-server": str(subnet.server),
        "pools": [{"pool": f"{first} - {last}"} for first, last in subnet.pools],
        "option-data": _options(
            {"routers": _join(subnet.routers), "domain-name-servers": _join(subnet.nameservers)}
        ),
        "reservations": [
            {"hw-address": each.mac}
            | ({"ip-address": str(each.address)} if each.address else {})
            | ({"hostname": each.name} if each.name else {})
            for each in subnet.reservations
        ],
    }
    # Of several cards in one network, Kea knows by our address there which one it is.
    return found | ({"interface": subnet.links[0]} if len(subnet.links) == 1 else {})


def _options(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "data": text} for name, text in given.items() if text]


def _join(addresses: Iterable[IPv4Address]) -> str:
    return ", ".join(map(str, addresses))


# ---- classes -----------------------------------------------------------------------------------------


def _refused(network: Network) -> Iterator[dict[str, Any]]:
    """Yield the class of requests that Kea drops before it looks at anything else."""
    tests = []
    if network.denied:
        tests.append(_any(map(_begins, network.denied)))
    if network.allowed:
        tests.append(f"not ({_any(map(_begins, network.allowed))})")
    if tests:
        yield {"name": "DROP", "test": _any(tests)}


def _classes(world: World, found: tuple[Subnet, ...]) -> Iterator[dict[str, Any]]:
    """Yield a class for each entry of the list of who boots what; a machine is in one of them at most."""
    before: list[str] = []
    # Which of our addresses machines reach by a link; without one, those behind relays.
    ways = {link: each.server for each in found for link in each.links or ("",)}
    for boot in boots(world.boot_programs, world.desired.menu):
        name = f"boot/{boot.name}"
        test = _any(_tests(boot))
        if before:
            test = f"not ({_any(before)}) and ({test})"
        before.append(f"member('{name}')")
        yield {"name": name, "test": test, **_told(boot)}
        if boot.vendor is Vendor.HTTP:
            # What is told goes out of the same link, so that its machines reach the address.
            for link, server in ways.items():
                where = f"pkt.iface == '{link}'" if link else "not (pkt4.giaddr == 0.0.0.0)"
                if link:
                    where += " and pkt4.giaddr == 0.0.0.0"
                yield {
                    "name": f"{name}/{link or 'relayed'}",
                    "test": f"member('{name}') and {where}",
                    "boot-file-name": f"{base(world, server)}/{boot.file}",
                }


def elsewhere(world: World, server: IPv4Address) -> str:
    """Return what somebody else's Kea needs for our boot files at this address of ours."""
    known = {f"boot/{each.name}": each for each in boots(world.boot_programs, world.desired.menu)}
    found = list(_classes(world, ()))
    for each in found:
        boot = known[each["name"]]
        if boot.vendor is Vendor.HTTP:
            each["boot-file-name"] = f"{base(world, server)}/{boot.file}"
        else:
            each["next-server"] = str(server)
    return json.dumps({"Dhcp4": {"option-def": _DEFINITIONS, "client-classes": found}}, indent=1) + "\n"


def _told(boot: Boot) -> dict[str, Any]:
    vendor = {"name": "vendor-class-identifier", "data": boot.vendor, "always-send": True}
    if boot.vendor is Vendor.HTTP:
        return {"option-data": [vendor]}
    if boot.file:
        return {"boot-file-name": f"ltsp/{boot.file}"}
    menu = {"code": 43, "csv-format": False, "data": pxe_menu(boot.title).hex(), "always-send": True}
    # Without a type of its own, Kea would read it as options of its own kind.
    return {
        "option-def": [{"name": "pxe-menu", "code": 43, "type": "binary"}],
        "option-data": [vendor, menu],
    }


def _tests(boot: Boot) -> Iterator[str]:
    macs = f" and ({_any(map(_begins, boot.macs))})" if boot.macs else ""
    if boot.menu:
        for features in MENU_FEATURES:
            numbers = (IPXE_FEATURES[each] for each in features)
            yield " and ".join(f"option[175].option[{each}].exists" for each in numbers) + macs
        return
    for number in boot.numbers:
        yield f"substring(option[93].hex,0,2) == 0x{number:04x}{macs}"


def _begins(mac: str) -> str:
    """Return the test for a MAC address, or for how it begins: ``52:54:00:*`` or ``52:54:00:``."""
    digits = mac.rstrip("*").replace(":", "")
    return f"substring(pkt4.mac,0,{len(digits) // 2}) == 0x{digits}"


def _any(tests: Iterable[str]) -> str:
    return " or ".join(f"({each})" for each in tests)
