"""Rooms: sections ``[room:NAME]``, whose MEMBERS say for which clients their settings count. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ltspd.config.document import Reference
from ltspd.config.headers import is_glob, is_ipv4, with_colons
from ltspd.config.parameter import BOTH, Parameter
from ltspd.config.readers import TEXT

MEMBERS = Parameter(
    "MEMBERS", TEXT, "", BOTH, "Who is in a room: MAC addresses, IP addresses, host names, globs of them"
)

# The kinds of members, by what they are compared with.
MAC, ADDRESS, NAME = "m", "i", "n"

_MAC_ADDRESS = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
_MAC_GLOB = re.compile(r"[0-9a-f:*?]+\Z")
_ADDRESS_GLOB = re.compile(r"[0-9.*?]*\.[0-9.*?]*\Z")
_NAME_GLOB = re.compile(r"[a-z0-9._*?-]+\Z")
# No address and no host name is longer (ltspd.names).
_LONGEST = 64


class Member(NamedTuple):
    """A pattern, in lower case, and the kind of what it is compared with."""

    kind: str
    pattern: str


def read_members(parts: Iterable[str | Reference]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Return the patterns that a MEMBERS lists, and what is wrong with it as (reason, next step)."""
    wrong: list[tuple[str, str]] = []
    found: list[str] = []
    text = ""
    for part in parts:
        if isinstance(part, Reference):
            return (), [("MEMBERS is made from another parameter, and rooms take no such", "write them out")]
        text += part
    for word in text.replace(",", " ").split():
        pattern = with_colons(re.sub(r"\*+", "*", word.lower()))
        if mistake := _mistake(pattern):
            wrong.append(mistake)
        elif pattern not in found:
            found.append(pattern)
    return tuple(found), wrong


def member(pattern: str) -> Member:
    """Return a pattern with its kind.

    So ``b*`` for names fits no MAC address. A pattern of wildcards alone stands for every machine: it is a
    MAC address's.
    """
    if ":" in pattern or not pattern.strip("*?"):
        return Member(MAC, pattern)
    return Member(ADDRESS if _ADDRESS_GLOB.match(pattern) else NAME, pattern)


def _mistake(pattern: str) -> tuple[str, str] | None:
    shown, (kind, _) = pattern[:60], member(pattern)
    if kind == MAC:
        if not (_MAC_GLOB if is_glob(pattern) else _MAC_ADDRESS).match(pattern):
            return f"the member {shown!r} is no MAC address", "write it like 52:54:00:00:00:01, or 52:54:00:*"
    elif kind == ADDRESS:
        if not is_glob(pattern) and not is_ipv4(pattern):
            return f"the member {shown!r} is not an IPv4 address", "write it like 10.0.3.20, or 10.0.3.*"
    elif not _NAME_GLOB.match(pattern) or len(pattern) > _LONGEST:
        step = "write MAC addresses, IPv4 addresses, host names, or globs such as 10.0.3.* and pc1*"
        return f"the member {shown!r} is neither an address nor a host name", step
    return None


@lru_cache(maxsize=1 << 14)
def overlap(one: str, other: str) -> bool:
    """Whether there is a text that both globs fit."""
    if not one or not other:
        return not (one or other).strip("*")
    if "*" in (one[0], other[0]):
        star, rest = (one, other) if one[0] == "*" else (other, one)
        return overlap(star[1:], rest) or overlap(star, rest[1:])
    return (one[0] == other[0] or "?" in (one[0], other[0])) and overlap(one[1:], other[1:])
