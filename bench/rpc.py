"""Remote procedure calls (RFC 5531) of NFS, as far as a replay must understand them. Pure."""

import struct
from collections.abc import Iterator

CALL, REPLY = b"\0\0\0\0", b"\0\0\0\1"
_VERSION = b"\0\0\0\2"
_LAST = 1 << 31
_NFS = struct.pack("!III", 100003, 4, 1)
# Operations of NFSv4.1 (RFC 8881, 18) in whose results a server gives something out, or that come before one.
_PUTFH, _PUTROOTFH, _OPEN, _EXCHANGE_ID, _CREATE_SESSION, _SEQUENCE = 22, 24, 18, 42, 43, 53
_GIVEN = {_OPEN: slice(4, 16), _EXCHANGE_ID: slice(0, 8), _CREATE_SESSION: slice(0, 16)}
_SKIPPED = {_PUTFH: 0, _PUTROOTFH: 0, _SEQUENCE: 36}


def is_call(data: bytes | bytearray) -> bool:
    """Tell whether a connection begins with a call."""
    return data[8:16] == CALL + _VERSION


def records(data: bytes | bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each whole record of a connection begins and ends, and what it is without its marks."""
    at = begin = 0
    parts: list[bytes] = []
    while at + 4 <= len(data):
        mark = int.from_bytes(data[at : at + 4])
        end = at + 4 + (mark & ~_LAST)
        if end > len(data):
            return
        parts.append(bytes(data[at + 4 : end]))
        at = end
        if mark & _LAST:
            yield begin, end, b"".join(parts)
            begin, parts = at, []


def result(reply: bytes) -> bytes:
    """Return how a call ended: the four bytes of its being accepted, and the first four of its result."""
    if reply[8:12] != b"\0\0\0\0":
        return reply[8:16]
    at = 20 + int.from_bytes(reply[16:20])
    return reply[at : at + 8]


def tokens(reply: bytes) -> Iterator[bytes]:
    """Yield what a server of NFSv4.1 gives out with a reply: names of a client, a session, an open file."""
    if reply[8:12] != b"\0\0\0\0":
        return
    at = 24 + int.from_bytes(reply[16:20])
    if len(reply) < at + 12 or reply[at - 4 : at + 4] != bytes(8):
        return
    length = int.from_bytes(reply[at + 4 : at + 8])
    at += 12 + (length + 3 & ~3)
    while at + 8 <= len(reply):
        operation, status = struct.unpack_from("!II", reply, at)
        at += 8
        if status:
            return
        if operation in _GIVEN:
            yield reply[at:][_GIVEN[operation]]
        if operation not in _SKIPPED:
            return
        at += _SKIPPED[operation]


def verifier(call: bytes) -> bytes:
    """Return the eight bytes by which a client of NFSv4.1 says which boot it is in; none in any other call.

    ``call`` is without its mark. With other bytes, a server takes it for the same client after a restart.
    """
    if call[12:24] != _NFS:
        return b""
    at = 24
    for _ in range(2):
        at += 8 + (int.from_bytes(call[at + 4 : at + 8]) + 3 & ~3)
    at += 12 + (int.from_bytes(call[at : at + 4]) + 3 & ~3)
    return call[at + 4 : at + 12] if int.from_bytes(call[at : at + 4]) == _EXCHANGE_ID else b""


def empty_reply(call: bytes) -> bytes:
    """Return the answer of a client that is called back with nothing."""
    return struct.pack("!I", _LAST | 24) + call[:4] + REPLY + bytes(16)
