"""Links: as the kernel shows them, as we serve them, and as the bus shows them. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface


class DhcpRole(StrEnum):
    """What we answer on a link: nothing, boot options only, or addresses too."""

    OFF = "off"
    PROXY = "proxy"
    REAL = "real"


class LinkKind(StrEnum):
    """What sort of interface a link is, as far as serving on it matters."""

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
    """One network interface as the kernel shows it. ``forwards``: what comes in there is routed on."""

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
    """A link as published."""

    name: str
    index: int
    state: str
    addresses: tuple[str, ...]
    dhcp: DhcpRole


@dataclass(frozen=True, slots=True)
class ServedLink:
    """A link that we answer on. A REAL one has the lease range ``first`` … ``last``, and ``routers``."""

    link: str
    address: IPv4Interface
    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    quiet_router: bool = False
    routers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """The links that we answer on, and what clients are told of the network beyond them."""

    served: tuple[ServedLink, ...]
    nameservers: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
