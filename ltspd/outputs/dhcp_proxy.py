"""ProxyDHCP by a dnsmasq of its own: boot options beside somebody else's DHCP server. Pure.

It is not the one that gives addresses, because one line ``pxe-service`` changes the answers on all links.
"""

from collections.abc import Iterator

from ltspd.model.network import DhcpRole, ServedLink
from ltspd.model.output import File, Output, Unit
from ltspd.network.firmware import Vendor, boots
from ltspd.outputs.dhcp import DHCP_SERVER, DhcpServer
from ltspd.outputs.dnsmasq import CHECK, DNSMASQ, head, missing, programs, refused
from ltspd.outputs.world import World

ORDER = 81
PATH = "/var/lib/ltspd/outputs/proxy-dhcp.conf"
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-proxy-dhcp.service"
UNITS = (UNIT,)


def render(world: World) -> Output:
    """Return the output that tells what boots on the proxied links."""
    links = world.desired.network.links(DhcpRole.PROXY)
    return Output(
        name="proxy-dhcp",
        files=(File(PATH, "\n".join(_lines(world, links)).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(links),
        check=CHECK,
        ports=(("udp", 67), ("udp", 4011)),
        missing=missing(world) or _hindered(world, links),
        questions=tuple(
            f"{link.role}:{link.link}:{link.address.ip}" for link in links if link.role is DhcpRole.PROXY
        ),
    )


def _hindered(world: World, links: tuple[ServedLink, ...]) -> str:
    """Return why no dnsmasq can answer here, or nothing: Kea binds port 67 so that nobody else can."""
    kea = world.settings[DHCP_SERVER] is DhcpServer.KEA and world.desired.network.links(DhcpRole.REAL)
    if not (kea and links):
        return ""
    names = ", ".join(each.link for each in links)
    return (
        f"Kea keeps DHCP's port to itself, so nothing is answered on {names}; DHCP_SERVER=isc or dnsmasq in "
        f'[server] of ltsp.conf does both, DHCP_LINKS="{links[0].link}=off" ends this.'
    )


def _lines(world: World, links: tuple[ServedLink, ...]) -> Iterator[str]:
    yield from head(links)
    # There are none.
    yield "leasefile-ro"
    # dnsmasq answers only PXEClient by itself.
    yield f"dhcp-pxe-vendor={Vendor.PXE},{Vendor.HTTP}"
    # A range has no tag of ours: not all versions of dnsmasq answer then.
    networks = [link.address.network for link in links if link.role is DhcpRole.PROXY]
    networks += [each.network for each in world.desired.network.subnets(DhcpRole.PROXY) if links]
    for network in networks:
        yield f"dhcp-range={network.network_address},proxy,{network.netmask}"
    yield from refused(world.desired.network)
    yield from programs(world, links)
    known = boots(world.boot_programs, world.desired.menu)
    numbers = sorted({n for each in known if each.vendor is Vendor.PXE and each.file for n in each.numbers})
    for link in links:
        # A machine that we have no boot file for gets no answer: an answer without a file would keep it from
        # asking another boot server.
        yield f"dhcp-ignore=tag:{link.link},tag:!boot/any"
        for each in known:
            if each.vendor is Vendor.PXE:
                name = f",ltsp/{each.file}" if each.file else ""
                for number in each.numbers or numbers:
                    yield f'pxe-service=tag:{link.link},tag:boot/{each.name},{number},"{each.title}"{name}'
