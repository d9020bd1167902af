"""DHCP_LINKS and DHCP_RELAYED: which role, and which addresses, ltsp.conf gives to a network. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import Reader, read_address
from ltspd.model.network import DhcpRole, Relayed
from ltspd.names import is_link_name

_FORM = "link=off|foreign|relay|proxy[:address]|real[:first-last]"
_RELAYED_FORM = "network/prefix=proxy|real[:first-last]"


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """What DHCP_LINKS says of one link; ``first`` and ``last`` are None if the range is ours to choose.

    With the roles that give no address ``first`` is the server's own address there, or None.
    """

    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None


def _read(text: str) -> Mapping[str, LinkChoice]:
    """Read ``eth0=real:192.168.67.20-192.168.67.250 eth1=proxy:10.0.3.2``."""
    links: dict[str, LinkChoice] = {}
    for word in text.split():
        name, equals, rest = word.partition("=")
        role_text, colon, between = rest.partition(":")
        if not equals or not is_link_name(name):
            raise ValueError(f"has {word!r}, which is not {_FORM}")
        if name in links:
            raise ValueError(f"names {name} twice")
        if role_text not in list(DhcpRole):
            known = ", ".join(DhcpRole)
            raise ValueError(f"gives {name} the role {role_text!r}, which is not one of {known}")
        first = last = None
        if colon and role_text == DhcpRole.OFF:
            raise ValueError(f"gives {name} addresses and the role off")
        if colon and role_text != DhcpRole.REAL:
            first = read_address(between)
        elif colon:
            first, last = _range(between)
        links[name] = LinkChoice(DhcpRole(role_text), first, last)
    return MappingProxyType(links)


DHCP_LINKS = Parameter(
    "DHCP_LINKS",
    Reader("links", _read, _FORM),
    "",
    SERVER,
    "Role of links: name=off|foreign|relay|proxy[:address]|real[:first-last]",
)


def _range(text: str) -> tuple[IPv4Address, IPv4Address]:
    low, dash, high = text.partition("-")
    if not dash:
        raise ValueError(f"has the range {text!r}, which is not first-last")
    first, last = read_address(low), read_address(high)
    if first > last:
        raise ValueError(f"has the range {text}, which ends before it begins")
    return first, last


def _read_relayed(text: str) -> tuple[Relayed, ...]:
    """Read ``10.5.0.0/24=real:10.5.0.20-10.5.0.250 10.6.0.0/24=proxy``."""
    found: list[Relayed] = []
    for word in text.split():
        name, equals, rest = word.partition("=")
        role, colon, between = rest.partition(":")
        if not equals or role not in (DhcpRole.PROXY, DhcpRole.REAL) or (colon and role == DhcpRole.PROXY):
            raise ValueError(f"has {word!r}, which is not {_RELAYED_FORM}")
        try:
            network = IPv4Network(name)
        except ValueError as error:
            raise ValueError(f"has {name!r}, which is no network: {error}") from None
        if not 8 <= network.prefixlen <= 30:
            raise ValueError(f"has {name}, which is no network of machines")
        if other := next((each for each in found if each.network.overlaps(network)), None):
            raise ValueError(f"has {name} and {other.network}, which overlap")
        first, last = _range(between) if colon else (None, None)
        if not all(end is None or end in network for end in (first, last)):
            raise ValueError(f"has the range {between}, which is not in {name}")
        found.append(Relayed(network, DhcpRole(role), first, last))
    return tuple(found)


DHCP_RELAYED = Parameter(
    "DHCP_RELAYED",
    Reader("subnets", _read_relayed, _RELAYED_FORM),
    "",
    SERVER,
    "Subnets behind a DHCP relay: network/prefix=proxy|real[:first-last]",
)
