"""DHCP by our own dnsmasq, which does neither DNS nor TFTP, where we give addresses. Pure."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import duration
from ltspd.model.network import DhcpRole, Network, Relayed, Reservation, ServedLink
from ltspd.model.output import File, Output, Unit
from ltspd.network.firmware import IPXE, IPXE_NO_PROXY
from ltspd.outputs.dhcp import DHCP_SERVER, DhcpServer
from ltspd.outputs.dnsmasq import CHECK, DNSMASQ, classes, head, missing, programs, refused
from ltspd.outputs.world import World

ORDER = 80
PATH = "/var/lib/ltspd/outputs/dnsmasq.conf"
LEASES = "/var/lib/ltspd/dnsmasq.leases"
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-dnsmasq.service"
UNITS = (UNIT,)

# What dnsmasq takes for how long a lease lasts, or for no answer at all, where a host name could stand.
_NO_NAME = re.compile("[0-9]+[smhdw]?|infinite|ignore", re.IGNORECASE)

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
    links = world.desired.network.links(DhcpRole.REAL)
    return Output(
        name="dhcp",
        files=(File(PATH, "\n".join(_lines(world, links)).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(links),
        check=CHECK,
        ports=(("udp", 67),),
        missing=missing(world),
        questions=tuple(
            f"{link.role}:{link.link}:{link.address.ip}" for link in links if link.role is DhcpRole.REAL
        ),
    )


def _lines(world: World, links: tuple[ServedLink, ...]) -> Iterator[str]:
    yield from head(links)
    yield f"dhcp-leasefile={LEASES}"
    # Firmware, iPXE and the system of one machine send different client IDs; its address follows its MAC.
    yield "dhcp-ignore-clid"
    # Else it pings each new address for three seconds, one machine after the other, so that of ten machines
    # switched on together the last waits 18 s. Running clients keep their addresses without that, because
    # they renew their leases (client/features/80-lease.sh).
    yield "no-ping"
    for link in links:
        if link.role is DhcpRole.REAL:
            yield from _range(world, link)
    for subnet in world.desired.network.subnets(DhcpRole.REAL) if links else ():
        yield from _relayed(world, subnet, links[0])
    for machine in world.desired.network.reservations:
        yield from _reserved(machine)
    yield from refused(world.desired.network)
    yield from programs(world, links)
    yield from classes(world)
    # Where we give addresses, nobody else has to say what boots.
    yield f"dhcp-option=encap:{IPXE},{IPXE_NO_PROXY},1b"


def _reserved(machine: Reservation) -> Iterator[str]:
    """Yield what a machine is given; ``3d`` or ``ignore`` as its name would mean something else there."""
    name, tag = machine.name, f"machine/{machine.mac.replace(':', '')}"
    meant = _NO_NAME.fullmatch(name) is not None
    words = (machine.mac, machine.address, f"set:{tag}" if meant else name)
    yield f"dhcp-host={','.join(str(word) for word in words if word)}"
    if meant:
        yield f"dhcp-option=tag:{tag},12,{name}"


def _range(world: World, link: ServedLink) -> Iterator[str]:
    """Yield a link's range and its options.

    They are tied to the link by the tag that dnsmasq itself sets, the link's name: not all versions of
    dnsmasq answer by other tags.
    """
    network = world.desired.network
    # The link's name is also a tag of machines whose relay's requests come by it.
    direct = "".join(f",tag:!relayed/{each.network}" for each in network.subnets(DhcpRole.REAL))
    yield f"dhcp-range={link.first},{link.last},{link.address.network.netmask},{world.settings[LEASE]}"
    # Without an address, this option stops dnsmasq from naming the server as the router.
    yield f"dhcp-option=tag:{link.link}{direct},option:router" + "".join(f",{each}" for each in link.routers)
    yield from _names(network, f"tag:{link.link}{direct}", link)


def _relayed(world: World, subnet: Relayed, link: ServedLink) -> Iterator[str]:
    """Yield the range of a subnet behind a relay, whose requests come by a link, and its options."""
    here = f"relayed/{subnet.network}"
    yield (
        f"dhcp-range=set:{here},{subnet.first},{subnet.last},{subnet.network.netmask},{world.settings[LEASE]}"
    )
    # Without this option dnsmasq names the relay.
    if subnet.routers:
        yield f"dhcp-option=tag:{here},option:router,{_join(subnet.routers)}"
    yield from _names(world.desired.network, f"tag:{here}", link)


def _names(network: Network, here: str, link: ServedLink) -> Iterator[str]:
    """Yield the name servers and the domain of machines with tags."""
    servers = _join(network.resolvers(link))
    if servers:
        yield f"dhcp-option={here},option:dns-server,{servers}"
    if network.search_domain:
        yield f"dhcp-option={here},option:domain-name,{network.search_domain}"


def _join(addresses: tuple[IPv4Address, ...]) -> str:
    return ",".join(map(str, addresses))
