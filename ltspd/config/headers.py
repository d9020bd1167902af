"""Section headers: ``[a|b*]`` to patterns, and which host a pattern matches. Pure."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

SPECIAL = frozenset({"server", "common", "clients"})
# [room:NAME]: such a section's own lines say who is in it (see rooms).
ROOM = "room:"
# LTSP evaluates such a section for one of its commands only; the names are from ltsp(8).
APPLETS = frozenset(
    {
        "dnsmasq", "http", "image", "info", "init", "initrd", "initrd-bottom", "ipxe", "kernel",
        "login", "nfs", "remoteapps", "service", "session",
    }
)  # fmt: skip

_LINE = re.compile(r"[ \t]*\[[^\]\n]*\]")
_LEFT_OUT = re.compile(r"[^a-z0-9._:*?@/-]+")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
_DASHED_MAC = re.compile(r"[0-9a-f]{2}(?:-[0-9a-f]{2}){5}\Z")
_RANGE = re.compile(r"[0-9]+(?:\.[0-9]+){3}-[0-9]+(?:\.[0-9]+)*\Z")
_MAC_GLOB = re.compile(r"[0-9a-f:*?]+\Z")
_ROOM = re.compile(r"room:[a-z0-9][a-z0-9._-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header line says; ``mistakes`` are (reason, next step).

    Without patterns the section is nobody's. ``unreadable``: the line is no header at all.
    """

    name: str
    patterns: tuple[str, ...]
    mistakes: tuple[tuple[str, str], ...] = ()
    unreadable: bool = False


def read_header(line: str) -> Header:
    """Read one line that begins with ``[``; alternatives that can't match any host are left out."""
    if not _LINE.match(line):
        step = "write [name] alone on the line"
        return Header(line.strip(), (), (("this is not a section header", step),), unreadable=True)
    name = line.partition("#")[0].strip().removeprefix("[").removesuffix("]").strip().lower()
    patterns: list[str] = []
    mistakes: list[tuple[str, str]] = []
    for alternative in name.split("|"):
        word = alternative.strip()
        pattern = re.sub(r"\*+", "*", word if is_room(word) else readable(word))
        if pattern and pattern != re.sub(r"\*+", "*", word):
            reason = f"the section name {word!r} has a character that no name here has"
            step = f"it is read as {pattern}; use letters, digits, '.', '-', '_', ':', '*' and '?'"
            mistakes.append((reason, step))
        if _DASHED_MAC.match(pattern):
            mistakes.append((f"{pattern} has dashes", "it is read as a MAC address; write it with colons"))
            pattern = with_colons(pattern)
        if is_room(pattern) and "|" in name:
            mistakes.append((f"{pattern} stands beside others", "a room is a section of its own"))
        elif mistake := _mistake(pattern):
            mistakes.append(mistake)
        else:
            patterns.append(pattern)
    return Header("|".join(patterns) or name, tuple(patterns), tuple(mistakes))


def readable(name: str) -> str:
    """Return a section's name as LTSP reads it: [old screens] and INCLUDE="old screens" mean oldscreens."""
    return _LEFT_OUT.sub("", name.lower())


def _mistake(pattern: str) -> tuple[str, str] | None:
    if not pattern:
        return ("a section name is empty", "write a name, a MAC address, an IP address or a host name")
    if pattern == "unnamed":
        return ("the name unnamed stands for the lines above the first section", "choose another name")
    if is_room(pattern):
        step = "write [room:lab1]: letters, digits, '.', '_' and '-'"
        return None if _ROOM.match(pattern) else (f"{pattern!r} is no name of a room", step)
    if "/" in pattern:
        return None
    if ":" in pattern and not _MAC_GLOB.match(pattern):
        return (f"{pattern} can never match a MAC address", "write pairs of hexadecimal digits (0-9, a-f)")
    plain = not is_glob(pattern)
    if plain and ":" in pattern and not _MAC.match(pattern):
        return (
            f"{pattern} is not a MAC address",
            "write six pairs of hexadecimal digits like 52:54:00:00:00:01",
        )
    if _RANGE.match(pattern):
        return (
            f"{pattern} is a range, and sections have none",
            "write a glob such as [192.168.67.2?], or each address with | between them",
        )
    if plain and "." in pattern and pattern.replace(".", "").isdigit() and not is_ipv4(pattern):
        return (f"{pattern} is not an IPv4 address", "write four numbers of 0 to 255 like 192.168.67.20")
    return None


def with_colons(pattern: str) -> str:
    """Return a MAC address that is written with dashes as it is written here; any other text as it is."""
    return pattern.replace("-", ":") if _DASHED_MAC.match(pattern) else pattern


def is_room(pattern: str) -> bool:
    """Whether the pattern is a room's, which no host's address or name fits."""
    return pattern.startswith(ROOM)


def is_ipv4(text: str) -> bool:
    """Whether this is an IPv4 address."""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def is_glob(pattern: str) -> bool:
    """Whether the pattern has wildcards."""
    return "*" in pattern or "?" in pattern


def is_word(pattern: str) -> bool:
    """Whether the pattern is a bare name: no address, no wildcard, no applet."""
    return not (is_glob(pattern) or ":" in pattern or "/" in pattern or is_ipv4(pattern))


def section_id(name: str) -> str:
    """Return the name that LTSP gives to a section's function; INCLUDE may use it too."""
    return re.sub(r"[^a-z0-9]", "_", name)


def matches(pattern: str, subject: str) -> bool:
    """Whether a host's address or name (lower-case) fits; special words never stand for a host."""
    if pattern in SPECIAL:
        return False
    if not is_glob(pattern):
        return pattern == subject
    return fits(pattern, subject)


def fits(pattern: str, subject: str) -> bool:
    """Whether a text fits a glob as in the shell's ``case``.

    It goes back only to the last star, so that no pattern is slow.
    """
    at = place = mark = 0
    star = -1
    while place < len(subject):
        sign = pattern[at] if at < len(pattern) else ""
        if sign == "*":
            star, mark = at, place
            at += 1
        elif sign and sign in ("?", subject[place]):
            at += 1
            place += 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return not pattern[at:].strip("*")
