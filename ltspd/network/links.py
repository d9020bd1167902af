"""DHCP_LINKS: which role, and which addresses, ltsp.conf gives to a link. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import MappingProxyType

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import Reader, read_address
from ltspd.model.network import DhcpRole
from ltspd.names import is_link_name

_FORM = "link=off|proxy[:address]|real[:first-last]"


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """What DHCP_LINKS says of one link; ``first`` and ``last`` are None if the range is ours to choose.

    With the role ``proxy`` ``first`` is the server's own address there, or None.
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
            raise ValueError(f"gives {name} the role {role_text!r}, which is not off, proxy or real")
        first = last = None
        if colon and role_text == DhcpRole.OFF:
            raise ValueError(f"gives {name} addresses and the role off")
        if colon and role_text == DhcpRole.PROXY:
            first = read_address(between)
        elif colon:
            low, dash, high = between.partition("-")
            if not dash:
                raise ValueError(f"has the range {between!r}, which is not first-last")
            first, last = read_address(low), read_address(high)
            if first > last:
                raise ValueError(f"has the range {between}, which ends before it begins")
        links[name] = LinkChoice(DhcpRole(role_text), first, last)
    return MappingProxyType(links)


DHCP_LINKS = Parameter(
    "DHCP_LINKS",
    Reader("links", _read, _FORM),
    "",
    SERVER,
    "Role of links: name=off|proxy[:address]|real[:first-last]",
)
