"""How a parameter's text becomes a typed value, or a sentence why it can't. No table, no sections. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from typing import Generic, TypeVar

from ltspd.config.hostnames import hostname_problem
from ltspd.names import is_plain_path, is_resolver

T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)\Z")
_SIZE = re.compile(r"([1-9][0-9]{0,4})([MG])\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# An image as the store names it, and a channel or a generation of it if it is not the current one.
_IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:@(?:[a-z0-9][a-z0-9_-]{0,31}|[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}))?\Z"
)


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """Reads values of one kind.

    ``read`` raises ValueError with the reason (``is not a number``). ``word`` names the kind in the
    documentation; ``form`` says in messages how to write a value, where the word alone doesn't.
    """

    word: str
    read: Callable[[str], T_co]
    form: str = ""


def number(word: str, minimum: int, maximum: int) -> Reader[int]:
    """Read a decimal number within limits, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII):
            raise ValueError("is not a number")
        if not minimum <= int(text) <= maximum:
            raise ValueError(f"is not between {minimum} and {maximum}")
        return int(text)

    return Reader(word, read)


def count(maximum: int = 1000) -> Reader[int]:
    """Read how many of something; at least one."""
    return number("a number of at least 1", 1, maximum)


def port(*, or_none: bool = False) -> Reader[int]:
    """Read a TCP or UDP port; with ``or_none`` also 0, for none at all."""
    return number("a port number or 0", 0, 65535) if or_none else number("a port number", 1, 65535)


def duration(*, minimum: int = 0, maximum: int) -> Reader[int]:
    """Read ``3600``, ``60m``, ``8h`` or ``7d`` to seconds; the limits are in seconds, both included."""

    def read(text: str) -> int:
        found = _DURATION.match(text)
        if not found:
            raise ValueError("is not a duration like 3600, 60m, 8h or 7d")
        seconds = int(found[1]) * _UNITS[found[2]]
        if not minimum <= seconds <= maximum:
            raise ValueError(f"is not between {_spelled(minimum)} and {_spelled(maximum)}")
        return seconds

    return Reader("a duration", read)


def size(*, maximum: int) -> Reader[int]:
    """Read ``512M`` or ``2G`` to bytes, 0 or nothing to 0; the limit is in bytes."""

    def read(text: str) -> int:
        if text in ("", "0"):
            return 0
        found = _SIZE.match(text)
        if not found:
            raise ValueError("is neither 0 nor a size like 512M or 2G")
        count = int(found[1]) << {"M": 20, "G": 30}[found[2]]
        if count > maximum:
            raise ValueError(f"is more than {maximum >> 30}G")
        return count

    return Reader("a size", read, "0, or a size like 512M or 2G")


def _spelled(seconds: int) -> str:
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((each for each in units if seconds >= each[0]), units[-1])
    return f"{seconds // size} {unit}{'s' if seconds // size != 1 else ''}"


def choice(word: str, kinds: type[E]) -> Reader[E | None]:
    """Read one of an enumeration's words; empty text gives None."""
    *most, last = kinds

    def read(text: str) -> E | None:
        if not text:
            return None
        try:
            return kinds(text)
        except ValueError:
            raise ValueError(f"is not one of {', '.join(kinds)}") from None

    return Reader(word, read, f"{', '.join(most)} or {last}")


def read_address(word: str) -> IPv4Address:
    """Read one IPv4 address; ValueError with the reason otherwise."""
    try:
        return IPv4Address(word)
    except AddressValueError:
        raise ValueError(f"has {word!r}, which is not an IPv4 address") from None


def _flag(text: str) -> bool:
    # Empty is 0, as in LTSP.
    if text not in ("", "0", "1"):
        raise ValueError("is neither 0 nor 1")
    return text == "1"


def _line(text: str) -> str:
    if any(ord(char) < 32 and char != "\t" for char in text):
        raise ValueError("has more than one line, or a control character")
    return text


def _addresses(text: str) -> tuple[IPv4Address, ...]:
    found = tuple(read_address(word) for word in text.replace(",", " ").split())
    for each in found:
        if not is_resolver(each):
            raise ValueError(f"has {each}, which can't be a server's address")
    return found


def _hostname(text: str) -> str:
    if why := hostname_problem(text):
        raise ValueError(why)
    return text


def _expression(text: str) -> str:
    # Clients have no Python. What both understand means the same there.
    if re.search(r"\\[A-Za-z0-9]|\(\?|[*+?}][?+*]", text):
        raise ValueError("has a part of Python's regular expressions, which clients can't use")
    try:
        re.compile(_line(text))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    return text


def _image(text: str) -> str:
    if text and not _IMAGE.match(text):
        raise ValueError("is not an image name")
    return text


def _path(text: str) -> str:
    if text and (not text.startswith("/") or ".." in text.split("/") or any(ord(char) < 32 for char in text)):
        raise ValueError("is not an absolute path")
    return text


def _plain_path(text: str) -> str:
    if text and not is_plain_path(text):
        raise ValueError("is not the absolute path of a directory, of letters, digits and . _ - alone")
    return text


TEXT = Reader("text", str)
LINE = Reader("one line", _line)
# An extended regular expression, as of grep -E.
EXPRESSION = Reader("a regular expression", _expression)
FLAG = Reader("0 or 1", _flag)
# Addresses of servers that clients are told, between white space or commas.
ADDRESSES = Reader("IPv4 addresses", _addresses)
HOSTNAME = Reader("a host name", _hostname)
IMAGE = Reader("an image name", _image)
PATH = Reader("an absolute path", _path)
PLAIN_PATH = Reader("the absolute path of a directory", _plain_path)
