"""DHCP by isc-dhcp-server, which Debian has up to release 13. Pure."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

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
PATH = "/var/lib/ltspd/outputs/dhcpd.conf"
DHCPD = Program("dhcpd")
PROGRAMS = (DHCPD,)
UNIT = "ltspd-dhcpd.service"
UNITS = (UNIT,)
# Addresses of one network: dhcpd has a record of each in memory from its start on, and begins with none if
# there are too many.
ADDRESSES_MOST = 1 << 16
# Debian's AppArmor profile lets it read nothing but /etc/dhcp, also when it only checks a file.
_CHECK = (
    "unshare", "--mount", "sh", "-ec",
    'mount --bind "${1%/*}" /etc/dhcp; exec dhcpd -4 -t -cf "/etc/dhcp/${1##*/}"',
    "dhcpd", "{}",
)  # fmt: skip


def render(world: World) -> Output | None:
    """Return the output that gives addresses, if DHCP_SERVER says that dhcpd does."""
    if world.settings[DHCP_SERVER] is not DhcpServer.ISC:
        return None
    found = subnets(world)
    return Output(
        name="dhcp",
        files=(File(PATH, "\n".join(_lines(world, found)).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(found),
        check=_CHECK,
        ports=(("udp", 67),),
        missing="" if DHCPD in world.programs else missing("dhcpd", "isc-dhcp-server"),
    )


def _lines(world: World, found: tuple[Subnet, ...]) -> Iterator[str]:
    network, lease = world.desired.network, world.settings[LEASE]
    yield "# Written by ltspd from /etc/ltsp/ltsp.conf and the network; changes here are reported, not kept."
    for link in network.links(DhcpRole.REAL):
        # dhcpd's socket stays with an interface that is gone, even if another of the same name has come.
        yield f"# {link.link} is the kernel's interface {link.index}."
    # It may refuse machines that it does not know, but not those that it must not answer at all.
    yield "not authoritative;" if network.denied or network.allowed else "authoritative;"
    yield "ddns-update-style none;"
    for word in ("default", "min", "max"):
        yield f"{word}-lease-time {lease};"
    # Running clients keep their addresses without that, because they renew their leases.
    yield "ping-check false;"
    # Firmware, iPXE and the system of one machine send different client IDs; its address follows its MAC.
    yield "ignore-client-uids true;"
    if network.search_domain:
        yield f'option domain-name "{network.search_domain}";'
    yield from _DEFINITIONS
    # Where we give addresses, nobody else has to say what boots.
    yield f"option ipxe.no-pxedhcp code {IPXE_NO_PROXY} = unsigned integer 8;"
    yield "option ipxe.no-pxedhcp 1;"
    yield from _refused(network)
    for each in network.reservations:
        words = [f"hardware ethernet {each.mac};"]
        words += [f"fixed-address {each.address};"] if each.address else []
        words += [f'option host-name "{each.name}";'] if each.name else []
        yield f"host machine-{each.mac.replace(':', '')} {{ {' '.join(words)} }}"
    for subnet in found:
        yield from _subnet(world, subnet)
    for link in network.links(DhcpRole.REAL):
        if link.role is not DhcpRole.REAL:
            # It listens only where it knows the network; what is asked there directly is not answered.
            where = link.address.network
            yield f"subnet {where.network_address} netmask {where.netmask} {{ not authoritative; }}"


_DEFINITIONS = (
    "option ltspd-architecture code 93 = string;",
    "option space ipxe;",
    f"option ltspd-ipxe code {IPXE} = encapsulate ipxe;",
    *(f"option ipxe.{name} code {number} = unsigned integer 8;" for name, number in IPXE_FEATURES.items()),
)


def elsewhere(world: World, server: IPv4Address) -> Iterator[str]:
    """Yield what somebody else's dhcpd needs for our boot files at this address of ours."""
    yield from _DEFINITIONS
    word = "if"
    for boot in boots(world.boot_programs, world.desired.menu):
        following = "" if boot.vendor is Vendor.HTTP else f"next-server {server}; "
        yield f"{word} {_any(_tests(boot))} {{ {following}{' '.join(_told(world, server, boot))} }}"
        word = "elsif"


def _refused(network: Network) -> Iterator[str]:
    """Yield classes of machines that get no answer."""
    tests = [_any(map(_begins, network.denied))] if network.denied else []
    tests += [f"not {_any(map(_begins, network.allowed))}"] if network.allowed else []
    if tests:
        yield f'class "refused" {{ match if {_any(tests)}; ignore booting; }}'


def _subnet(world: World, subnet: Subnet) -> Iterator[str]:
    yield f"subnet {subnet.network.network_address} netmask {subnet.network.netmask} {{"
    left = ADDRESSES_MOST
    for first, last in subnet.pools:
        if left > 0:
            yield f"  range {first} {min(last, first + left - 1)};"
        left -= int(last) - int(first) + 1
    for option, addresses in {"routers": subnet.routers, "domain-name-servers": subnet.nameservers}.items():
        if addresses:
            yield f"  option {option} {', '.join(map(str, addresses))};"
    if not subnet.links and not subnet.routers:
        # The relay, which is at this place of its request (RFC 2131).
        yield "  option routers = packet(24, 4);"
    yield f"  next-server {subnet.server};"
    word = "if"
    for boot in boots(world.boot_programs, world.desired.menu):
        yield f"  {word} {_any(_tests(boot))} {{ {' '.join(_told(world, subnet.server, boot))} }}"
        word = "elsif"
    yield "}"


def _told(world: World, server: IPv4Address, boot: Boot) -> Iterator[str]:
    if boot.vendor is Vendor.HTTP:
        yield f'filename "{base(world, server)}/{boot.file}";'
        yield from _always("vendor-class-identifier", f'"{boot.vendor}"', 60)
    elif boot.file:
        yield f'filename "ltsp/{boot.file}";'
    else:
        yield from _always("vendor-class-identifier", f'"{boot.vendor}"', 60)
        yield from _always("vendor-encapsulated-options", pxe_menu(boot.title).hex(":"), 43)


def _always(option: str, value: str, number: int) -> Iterator[str]:
    """Yield an option, also for a machine that does not ask for it."""
    yield f"option {option} {value};"
    wanted = "option dhcp-parameter-request-list"
    yield f"{wanted} = concat({wanted}, {number:x});"


def _tests(boot: Boot) -> Iterator[str]:
    macs = f" and {_any(map(_begins, boot.macs))}" if boot.macs else ""
    if boot.menu:
        for features in MENU_FEATURES:
            yield " and ".join(f"exists ipxe.{each}" for each in features) + macs
        return
    for number in boot.numbers:
        yield f"substring(option ltspd-architecture, 0, 2) = {number >> 8:02x}:{number & 255:02x}{macs}"


def _begins(mac: str) -> str:
    """Return the test for a MAC address, or for how it begins: ``52:54:00:*`` or ``52:54:00:``."""
    digits = mac.rstrip("*").strip(":")
    return f"substring(hardware, 1, {len(digits.split(':'))}) = {digits}"


def _any(tests: Iterable[str]) -> str:
    # In brackets as a whole, too: dhcpd takes a bracket after "if" for the condition's own.
    return f"({' or '.join(f'({each})' for each in tests)})"
