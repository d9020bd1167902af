"""DHCP by our own dnsmasq, which does neither DNS nor TFTP, where we give addresses. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import duration
from ltspd.model.network import DhcpRole, ServedLink
from ltspd.model.output import File, Output, Unit
from ltspd.network.firmware import Vendor, boots, pxe_menu
from ltspd.outputs.dhcp import DHCP_SERVER, DhcpServer
from ltspd.outputs.dnsmasq import CHECK, DNSMASQ, head, missing, programs, refused
from ltspd.outputs.world import World

ORDER = 80
PATH = "/var/lib/ltspd/outputs/dnsmasq.conf"
LEASES = "/var/lib/ltspd/dnsmasq.leases"
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-dnsmasq.service"
UNITS = (UNIT,)

LEASE = Parameter(
    "DHCP_LEASE",
    # dnsmasq refuses leases below two minutes, and DHCP has 32 bits for the seconds.
    duration(minimum=120, maximum=(1 << 32) - 1),
    "8h",
    SERVER,
    "Lifetime of a lease: seconds, or with s, m, h, d",
)


def render(world: World) -> Output | None:
    """Return the output that gives addresses where we do, if DHCP_SERVER says that dnsmasq does."""
    if world.settings[DHCP_SERVER] is not DhcpServer.DNSMASQ:
        return None
    links = [link for link in world.desired.network.served if link.role is DhcpRole.REAL]
    return Output(
        name="dhcp",
        files=(File(PATH, "\n".join(_lines(world, links)).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(links),
        check=CHECK,
        ports=(("udp", 67),),
        missing=missing(world),
        questions=tuple(f"real:{link.link}:{link.address.ip}" for link in links),
    )


def _lines(world: World, links: list[ServedLink]) -> Iterator[str]:
    yield from head(links)
    yield f"dhcp-leasefile={LEASES}"
    # Firmware, iPXE and the system of one machine send different client IDs; its address follows its MAC.
    yield "dhcp-ignore-clid"
    # Else it pings each new address for three seconds, one machine after the other, so that of ten machines
    # switched on together the last waits 18 s. Running clients keep their addresses without that, because
    # they renew their leases (client/features/80-lease.sh).
    yield "no-ping"
    for link in links:
        yield from _range(world, link)
    for machine in world.desired.network.reservations:
        words = (machine.mac, machine.address, machine.name)
        yield f"dhcp-host={','.join(str(word) for word in words if word)}"
    yield from refused(world.desired.network)
    yield from programs(world, links)
    for each in boots(world.boot_programs):
        if each.vendor is Vendor.HTTP:
            yield f"dhcp-option-force=tag:boot/{each.name},option:vendor-class,{each.vendor}"
        elif not each.file:
            # pxe-service would do it, too, but its first line gives every PXE client here an empty menu.
            yield f"dhcp-option-force=tag:boot/{each.name},option:vendor-class,{each.vendor}"
            yield f"dhcp-option-force=tag:boot/{each.name},43,{pxe_menu(each.title).hex(':')}"


def _range(world: World, link: ServedLink) -> Iterator[str]:
    """Yield a link's range and its options.

    They are tied to the link by the tag that dnsmasq itself sets, the link's name: not all versions of
    dnsmasq answer by other tags.
    """
    here, desired = f"tag:{link.link}", world.desired.network
    yield f"dhcp-range={link.first},{link.last},{link.address.network.netmask},{world.settings[LEASE]}"
    # Without an address, this option stops dnsmasq from naming the server as the router.
    yield f"dhcp-option={here},option:router" + "".join(f",{each}" for each in link.routers)
    servers = _join(desired.resolvers(link))
    if servers:
        yield f"dhcp-option={here},option:dns-server,{servers}"
    if desired.search_domain:
        yield f"dhcp-option={here},option:domain-name,{desired.search_domain}"


def _join(addresses: tuple[IPv4Address, ...]) -> str:
    return ",".join(map(str, addresses))
