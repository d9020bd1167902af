"""What an administrator adds to another DHCP server, so that its machines boot from this one. Pure.

It is made from the same list, and by the same functions, as the files of our own servers.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from ltspd.model.network import DhcpRole
from ltspd.network.firmware import Vendor, boots
from ltspd.outputs import dhcp_isc, dhcp_kea, dnsmasq, mikrotik, windows
from ltspd.outputs.gateway import base
from ltspd.outputs.world import World


def lines(world: World) -> dict[str, dict[str, str]]:
    """Return, for each link with the role FOREIGN, the lines for each server that may name our boot files."""
    return {
        link.link: {name: render(world, link.address.ip) for name, render in SERVERS.items()}
        for link in world.desired.network.served
        if link.role is DhcpRole.FOREIGN
    }


def _dnsmasq(world: World, server: IPv4Address) -> str:
    found = ["# dnsmasq: a file in /etc/dnsmasq.d", *dnsmasq.programs(world, (), server)]
    return _text([*found, *dnsmasq.classes(world)])


def _kea(world: World, server: IPv4Address) -> str:
    return dhcp_kea.elsewhere(world, server)


def _isc(world: World, server: IPv4Address) -> str:
    return _text(
        ["# isc-dhcp-server: at the top of /etc/dhcp/dhcpd.conf", *dhcp_isc.elsewhere(world, server)]
    )


def _pfsense(world: World, server: IPv4Address) -> str:
    return _text(_form(world, server))


# What the form of pfSense and OPNsense calls what each kind of firmware gets.
_FIELDS = {
    "bios": "Default BIOS file name",
    "efi32": "UEFI 32 bit file name",
    "efi64": "UEFI 64 bit file name",
    "arm64": "ARM 64 bit file name",
    "http-efi64": "UEFI HTTPBoot URL",
}


def _form(world: World, server: IPv4Address) -> Iterator[str]:
    yield "pfSense, OPNsense: Services, DHCP Server, the interface, Network Booting."
    yield f"Next Server: {server}"
    for boot in boots(world.boot_programs, world.desired.menu):
        if field := _FIELDS.get(boot.name):
            place = base(world, server) if boot.vendor is Vendor.HTTP else "ltsp"
            yield f"{field}: {place}/{boot.file}"
    yield "The form can't tell iPXE from firmware, so iPXE is sent itself, again and again. Leave it empty,"
    yield "and let ltspd answer beside that server: the role proxy."


def _text(found: list[str] | Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in found)


SERVERS: dict[str, Callable[[World, IPv4Address], str]] = {
    "dnsmasq": _dnsmasq,
    "isc": _isc,
    "kea": _kea,
    "mikrotik": lambda world, server: _text(mikrotik.elsewhere(world, server)),
    "pfsense": _pfsense,
    "windows": lambda world, server: _text(windows.elsewhere(world, server)),
}
