"""What the kinds of values accept: text to a typed value, or a sentence why not. No table, no sections.

Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from types import MappingProxyType

from ltspd.config.hostnames import hostname_problem
from ltspd.model.menu import RootTransport
from ltspd.model.network import DhcpRole
from ltspd.names import is_link_name, is_resolver


class Kind(StrEnum):
    """The kinds of values."""

    TEXT = "text"
    LINE = "one line"
    BOOL = "0 or 1"
    COUNT = "a number of at least 1"
    MEBIBYTES = "MiB"
    PORT = "a port number"
    PORT_OR_NONE = "a port number or 0"
    MILLISECONDS = "milliseconds"
    LEASE = "a duration"
    WAIT = "a waiting time"
    GRACE = "a time"
    DAYS = "a number of days"
    ADDRESSES = "IPv4 addresses"
    ROUTERS = "IPv4 addresses or none"
    HOSTNAME = "a host name"
    IMAGE = "an image name"
    PATH = "an absolute path"
    TRANSPORT = "a transport"
    LINKS = "links"


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """What DHCP_LINKS says of one link; ``first`` and ``last`` are None if the range is ours to choose.

    With the role ``proxy`` ``first`` is the server's own address there, or None.
    """

    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None


_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
# dnsmasq refuses leases below two minutes.
_SHORTEST_LEASE = 120
# A machine that is emulated needs about half a minute to its login.
_SHORTEST_WAIT, _LONGEST_WAIT = 10, 86400
_LONGEST_GRACE = 1000 * 86400


def read_bool(text: str) -> bool:
    """Read ``0`` or ``1``; ValueError with the reason otherwise. Empty is 0, as in LTSP."""
    if text not in ("", "0", "1"):
        raise ValueError("is neither 0 nor 1")
    return text == "1"


def read_int(text: str, lowest: int, highest: int) -> int:
    """Read a decimal number within limits; ValueError with the reason otherwise."""
    if not re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII):
        raise ValueError("is not a number")
    if not lowest <= int(text) <= highest:
        raise ValueError(f"is not between {lowest} and {highest}")
    return int(text)


def read_grace(text: str) -> int:
    """Read ``0``, ``600``, ``10m``, ``1h`` or ``1d`` to seconds; ValueError with the reason otherwise."""
    found = _DURATION.match(text)
    if not found:
        raise ValueError("is not a time like 600, 10m, 1h or 1d")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST_GRACE:
        raise ValueError("is longer than 1000 days")
    return seconds


def read_lease(text: str) -> int:
    """Read ``3600``, ``60m``, ``8h`` or ``7d`` to seconds; ValueError with the reason otherwise."""
    seconds = _read_duration(text)
    if not _SHORTEST_LEASE <= seconds < 1 << 32:
        raise ValueError("is not between 2 minutes and 49710 days")
    return seconds


def read_wait(text: str) -> int:
    """Read how long to wait for a machine to seconds; ValueError with the reason otherwise."""
    seconds = _read_duration(text)
    if not _SHORTEST_WAIT <= seconds <= _LONGEST_WAIT:
        raise ValueError("is not between 10 seconds and 1 day")
    return seconds


def _read_duration(text: str) -> int:
    found = _DURATION.match(text)
    if not found:
        raise ValueError("is not a duration like 3600, 60m, 8h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def read_addresses(text: str) -> tuple[IPv4Address, ...]:
    """Read IPv4 addresses between white space or commas; ValueError with the reason otherwise."""
    found = tuple(_address(word) for word in text.replace(",", " ").split())
    for each in found:
        if not is_resolver(each):
            raise ValueError(f"has {each}, which can't be the address of a name server")
    return found


def read_routers(text: str) -> tuple[IPv4Address, ...] | None:
    """Read IPv4 addresses, or None for ``none``; ValueError with the reason otherwise."""
    return None if text == "none" else tuple(_address(word) for word in text.split())


def _address(word: str) -> IPv4Address:
    try:
        return IPv4Address(word)
    except AddressValueError:
        raise ValueError(f"has {word!r}, which is not an IPv4 address") from None


def read_transport(text: str) -> RootTransport:
    """Read ``nbd``, ``nfs`` or ``http``; ValueError with the reason otherwise."""
    try:
        return RootTransport(text)
    except ValueError:
        raise ValueError(f"is not one of {', '.join(RootTransport)}") from None


def read_links(text: str) -> Mapping[str, LinkChoice]:
    """Read ``eth0=real:192.168.67.20-192.168.67.250 eth1=proxy:10.0.3.2``; ValueError with the reason."""
    links: dict[str, LinkChoice] = {}
    for word in text.split():
        name, equals, rest = word.partition("=")
        role_text, colon, between = rest.partition(":")
        if not equals or not is_link_name(name):
            raise ValueError(f"has {word!r}, which is not link=off|proxy[:address]|real[:first-last]")
        if name in links:
            raise ValueError(f"names {name} twice")
        if role_text not in list(DhcpRole):
            raise ValueError(f"gives {name} the role {role_text!r}, which is not off, proxy or real")
        first = last = None
        if colon and role_text == DhcpRole.OFF:
            raise ValueError(f"gives {name} addresses and the role off")
        if colon and role_text == DhcpRole.PROXY:
            first = _address(between)
        elif colon:
            low, dash, high = between.partition("-")
            if not dash:
                raise ValueError(f"has the range {between!r}, which is not first-last")
            first, last = _address(low), _address(high)
            if first > last:
                raise ValueError(f"has the range {between}, which ends before it begins")
        links[name] = LinkChoice(DhcpRole(role_text), first, last)
    return MappingProxyType(links)


def problem(kind: Kind, text: str) -> str:
    """Return why a text is not of a kind (``is not a number``), or an empty string."""
    try:
        _read(kind, text)
    except ValueError as error:
        return str(error)
    return ""


def _read(kind: Kind, text: str) -> object:
    if kind is Kind.TEXT or not text:
        return text
    match kind:
        case Kind.BOOL:
            return read_bool(text)
        case Kind.COUNT:
            return read_int(text, 1, 1000)
        case Kind.MEBIBYTES:
            return read_int(text, 256, 1 << 20)
        case Kind.PORT:
            return read_int(text, 1, 65535)
        case Kind.PORT_OR_NONE:
            return read_int(text, 0, 65535)
        case Kind.MILLISECONDS:
            return read_int(text, -1, 1 << 31)
        case Kind.DAYS:
            return read_int(text, 0, 36500)
        case Kind.GRACE:
            return read_grace(text)
        case Kind.LEASE:
            return read_lease(text)
        case Kind.WAIT:
            return read_wait(text)
        case Kind.ADDRESSES:
            return read_addresses(text)
        case Kind.ROUTERS:
            return read_routers(text)
        case Kind.TRANSPORT:
            return read_transport(text)
        case Kind.LINKS:
            return read_links(text)
        case Kind.HOSTNAME:
            if why := hostname_problem(text):
                raise ValueError(why)
        case Kind.IMAGE:
            if not _IMAGE.match(text):
                raise ValueError("is not an image name")
        case Kind.PATH:
            if not text.startswith("/") or ".." in text.split("/") or any(ord(char) < 32 for char in text):
                raise ValueError("is not an absolute path")
        case Kind.LINE:
            if any(ord(char) < 32 and char != "\t" for char in text):
                raise ValueError("has more than one line, or a control character")
    return text
