"""The kernel's network tables as rtnetlink(7) hands them out. What they mean for us is not decided here.

Why not a library: the one for Python keeps 12 MB more in memory than these three questions need.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# netlink(7): length, type, flags, sequence number, port.
_HEADER = struct.Struct("=IHHII")
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_ERROR, _DONE = 2, 3
_ATTRIBUTE = struct.Struct("=HH")
# The two upper bits of an attribute's type are flags: nested, network byte order.
_TYPE = 0x3FFF

# rtnetlink(7), linux/rtnetlink.h: the question's type; the answer's is two less.
LINKS, ADDRESSES, ROUTES = 18, 22, 26
# The fixed part of an answer: struct ifinfomsg, ifaddrmsg, rtmsg.
_FIXED: Mapping[int, struct.Struct] = {
    LINKS: struct.Struct("=BBHiII"),
    ADDRESSES: struct.Struct("=BBBBi"),
    ROUTES: struct.Struct("=BBBBBBBBI"),
}
# A table that changes while it is told is asked for again, so often at most: what changed it wakes us anyway.
_ATTEMPTS = 4
# The kernel fills at most 32 KiB at a time.
_PIECE = 1 << 16
# Answers come from the kernel at once; seconds until we don't believe in one any more.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a table: the numbers of its fixed part in order, and its attributes by their type."""

    fixed: tuple[int, ...]
    attributes: Mapping[int, bytes]

    def text(self, attribute: int) -> str:
        """Return an attribute that is text; empty without it."""
        return self.attributes.get(attribute, b"").rstrip(b"\0").decode(errors="replace")

    def number(self, attribute: int) -> int:
        """Return an attribute that is a 32-bit number; 0 without it."""
        return int.from_bytes(self.attributes.get(attribute, b"")[:4], "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def table(which: int, family: int = socket.AF_UNSPEC) -> tuple[Row, ...]:
    """Return all rows of LINKS, ADDRESSES or ROUTES in this network namespace; raises OSError. Blocks."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_PATIENCE)
        sock.bind((0, 0))
        for attempt in range(1, _ATTEMPTS + 1):
            rows, whole = _ask(sock, which, family, attempt)
            if whole:
                break
    return rows


def _ask(sock: socket.socket, which: int, family: int, serial: int) -> tuple[tuple[Row, ...], bool]:
    """Return the rows, and whether nothing changed while the kernel told them."""
    fixed = _FIXED[which]
    body = bytes([family]).ljust(fixed.size, b"\0")
    sock.send(_HEADER.pack(_HEADER.size + len(body), which, _REQUEST | _DUMP, serial, 0) + body)
    rows: list[Row] = []
    whole = True
    while True:
        for kind, flags, number, content in messages(sock.recv(_PIECE)):
            if number != serial:
                continue  # the rest of an answer that was given up
            whole &= not flags & _INTERRUPTED
            if kind == _DONE:
                return tuple(rows), whole
            if kind == _ERROR:
                code = -struct.unpack_from("=i", content)[0]
                raise OSError(code, "the kernel does not tell its network tables")
            if kind == which - 2:
                attributes = dict(nested(content[fixed.size :]))
                rows.append(Row(fixed.unpack_from(content), attributes))


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the messages of one piece: type, flags, sequence number and content."""
    while len(data) >= _HEADER.size:
        length, kind, flags, serial, _ = _HEADER.unpack_from(data)
        yield kind, flags, serial, data[_HEADER.size : length]
        data = data[max(_aligned(length), _HEADER.size) :]


def nested(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield attributes, also those inside of one: type and content."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind & _TYPE, data[_ATTRIBUTE.size : length]
        data = data[max(_aligned(length), _ATTRIBUTE.size) :]


def _aligned(length: int) -> int:
    return length + -length % 4
