"""Links: as the kernel shows them, as the server serves them, and as the bus shows them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ltspd.model.client import Server


class DhcpRole(StrEnum):
    """What the server answers to DHCP on a link: nothing, only boot options, or addresses, too.

    RELAY: it answers only for subnets behind a DHCP relay. FOREIGN: nothing, but all the rest is served,
    because somebody else's DHCP server names our boot files.
    """

    OFF = "off"
    FOREIGN = "foreign"
    RELAY = "relay"
    PROXY = "proxy"
    REAL = "real"


class LinkKind(StrEnum):
    """The kind of an interface, as far as it matters for serving."""

    ETHERNET = "ethernet"
    BRIDGE = "bridge"
    BOND = "bond"
    VLAN = "vlan"
    VETH = "veth"
    WIRELESS = "wireless"
    LOOPBACK = "loopback"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface as the kernel shows it. ``forwards``: the server routes packets that come in."""

    name: str
    index: int
    mac: str
    kind: LinkKind
    up: bool
    enslaved: bool = False
    addresses: tuple[IPv4Interface, ...] = ()
    default_route: bool = False
    gateway: IPv4Address | None = None
    forwards: bool = False
    global_ipv6: bool = False


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link as published. ``lines``: what to write for other DHCP servers, by the server's name.

    ``servers`` are the DHCP servers but this one that answer there.
    """

    name: str
    index: int
    state: str
    addresses: tuple[str, ...]
    dhcp: DhcpRole
    lines: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedLink:
    """A link that is served. A REAL one has the lease range ``first`` … ``last``, and ``routers``.

    ``index`` is the kernel's number of the interface: another one of the same name has another.
    """

    link: str
    address: IPv4Interface
    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    quiet_router: bool = False
    routers: tuple[IPv4Address, ...] = ()
    index: int = 0


@dataclass(frozen=True, slots=True)
class Relayed:
    """A subnet that is no link of ours: a DHCP relay asks for its machines.

    A REAL one has the lease range ``first`` … ``last``, and ``routers``; without any, that is the relay.
    """

    network: IPv4Network
    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    routers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """The address and the name of one machine; either may be missing."""

    mac: str
    address: IPv4Address | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The served links and relayed subnets, and the name servers and search domain that clients are told.

    ``nat``: the server routes for the links where it gives addresses. ``dns``: it answers for names, and asks
    ``upstream`` itself, or whom the rest of the server asks if that is empty. ``allowed`` and ``denied`` are
    MAC addresses in lower case, with ``*`` for the rest (``52:54:00:*``). Denied machines are not answered;
    if any are allowed, no others are answered. Unless it is ``serving``, no machine that boots is.
    """

    served: tuple[ServedLink, ...]
    nameservers: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
    nat: bool = False
    dns: bool = False
    upstream: tuple[IPv4Address, ...] = ()
    relayed: tuple[Relayed, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    denied: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    serving: bool = True

    @property
    def answered(self) -> tuple[ServedLink, ...]:
        """The links where machines that boot are answered now; those that run are served on all."""
        return self.served if self.serving else ()

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """All networks of clients."""
        own = (link.address.network for link in self.served)
        return tuple(sorted({*own, *(each.network for each in self.relayed)}))

    def links(self, role: DhcpRole) -> tuple[ServedLink, ...]:
        """Return the links on which the server for a role listens, PROXY or REAL: also for relays."""
        for_relays = DhcpRole.REAL if self.subnets(DhcpRole.REAL) else DhcpRole.PROXY
        roles = {role, DhcpRole.RELAY} if role is for_relays and self.relayed else {role}
        return tuple(each for each in self.answered if each.role in roles)

    def subnets(self, role: DhcpRole) -> tuple[Relayed, ...]:
        """Return the relayed subnets with a role."""
        return tuple(each for each in self.relayed if each.role is role)

    def resolvers(self, link: ServedLink) -> tuple[IPv4Address, ...]:
        """Return the name servers that clients of a link are told."""
        return (link.address.ip,) if self.dns else self.nameservers
