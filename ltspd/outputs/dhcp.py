"""What our configurations for DHCP servers have in common, whichever program gives the addresses. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import choice
from ltspd.model.network import DhcpRole, Relayed, Reservation, ServedLink
from ltspd.outputs.world import World


class DhcpServer(StrEnum):
    """The program that gives addresses."""

    DNSMASQ = "dnsmasq"
    KEA = "kea"
    ISC = "isc"


DHCP_SERVER = Parameter(
    "DHCP_SERVER",
    choice("a DHCP server", DhcpServer),
    "dnsmasq",
    SERVER,
    "The program that gives addresses: dnsmasq, kea (Kea) or isc (isc-dhcp-server)",
)


def missing(program: str, package: str) -> str:
    """Return that the program of DHCP_SERVER is not there, as a sentence."""
    return (
        f"{program} is not installed, so nobody is given an address; install {package}, or take DHCP_SERVER= "
        "out of ltsp.conf."
    )


def pools(
    first: IPv4Address, last: IPv4Address, taken: Collection[IPv4Address]
) -> Iterator[tuple[IPv4Address, IPv4Address]]:
    """Yield the parts of a range that are left without some addresses."""
    start = first
    for each in sorted(each for each in taken if first <= each <= last):
        if start < each:
            yield start, each - 1
        start = each + 1
    if start <= last:
        yield start, last


def _reserved(world: World) -> frozenset[IPv4Address]:
    """Return the addresses that no machine may be given by chance."""
    network = world.desired.network
    addresses = {each.address for each in network.reservations if each.address}
    links: tuple[ServedLink | Relayed, ...] = (*network.served, *network.relayed)
    routers = {router for each in links for router in each.routers}
    return frozenset({*addresses, *routers, *(each.address.ip for each in network.served)})


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network where addresses are given; ``links`` are empty if a relay asks for its machines.

    ``server`` is our address for its machines. Several cards may lead to one network.
    """

    network: IPv4Network
    links: tuple[str, ...]
    server: IPv4Address
    pools: tuple[tuple[IPv4Address, IPv4Address], ...]
    routers: tuple[IPv4Address, ...]
    nameservers: tuple[IPv4Address, ...]
    reservations: tuple[Reservation, ...]


def subnets(world: World) -> tuple[Subnet, ...]:
    """Return the networks where we give addresses."""
    network, taken = world.desired.network, _reserved(world)

    def made(
        each: ServedLink | Relayed, where: IPv4Network, links: tuple[str, ...], server: IPv4Address
    ) -> Subnet:
        resolvers = (server,) if network.dns else network.nameservers
        fitting = tuple(
            one for one in network.reservations if (one.address in where if one.address else one.name)
        )
        first, last = each.first or where[1], each.last or where[-2]
        return Subnet(
            where, links, server, tuple(pools(first, last, taken)), each.routers, resolvers, fitting
        )

    cards: dict[IPv4Network, list[ServedLink]] = {}
    for each in network.answered:
        if each.role is DhcpRole.REAL:
            cards.setdefault(each.address.network, []).append(each)
    found = [
        made(first, where, tuple(one.link for one in (first, *others)), first.address.ip)
        for where, (first, *others) in cards.items()
    ]
    carriers = network.links(DhcpRole.REAL)
    for subnet in network.subnets(DhcpRole.REAL) if carriers else ():
        found.append(made(subnet, subnet.network, (), carriers[0].address.ip))
    return tuple(found)
