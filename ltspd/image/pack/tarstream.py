"""Headers of a tar stream as mksquashfs reads it: any name, owner, device, socket and attribute. Pure.

Names longer than a header's field go into GNU's own records, because mksquashfs 4.5.1 strips a leading
``../`` from a link target that comes in a PAX record; only extended attributes need PAX.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from stat import S_IFMT, S_IMODE, S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG, S_ISSOCK

BLOCK = 512
END = bytes(2 * BLOCK)
# ustar: name, mode, uid, gid, size, mtime, checksum, type, link, magic, version, user and group name
# (empty: the server's accounts are not the source's), major, minor, prefix.
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_FIELD = 100
# Squashfs has 32 bits for a time.
_LAST_SECOND = 2**32 - 1
# All that squashfs can hold (squashfs_fs.h); ACLs are in system.*, what overlayfs wrote is its own affair.
_PREFIXES = ("user.", "trusted.", "security.")
_OVERLAY = ("trusted.overlay.", "user.overlay.")
OPAQUE = {"trusted.overlay.opaque": b"y"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream. ``mode`` has the type; ``target`` is a symbolic link's."""

    path: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    major: int = 0
    minor: int = 0
    target: bytes = b""


def keeps(attribute: str) -> bool:
    """Return whether an extended attribute of a source goes into an image.

    A name with ``=`` can't be in a PAX record.
    """
    return "=" not in attribute and attribute.startswith(_PREFIXES) and not attribute.startswith(_OVERLAY)


def header(entry: Entry, attributes: Mapping[str, bytes] | None = None) -> bytes:
    """Return everything of an entry that comes before its content; raises ValueError for an unknown type."""
    out = b"".join(_pax(name, value) for name, value in sorted((attributes or {}).items()))
    if out:
        out = _record(b"x", out)
    if len(entry.path) > _FIELD:
        out += _record(b"L", entry.path + b"\0")
    if len(entry.target) > _FIELD:
        out += _record(b"K", entry.target + b"\0")
    mode = S_IMODE(entry.mode)
    if S_ISSOCK(entry.mode):
        # Tar knows no sockets, but the type bits of the mode reach the image all the same.
        mode |= S_IFMT(entry.mode)
    return out + _header(entry, mode, _kind(entry.mode), entry.target)


def link(path: bytes, existing: bytes) -> bytes:
    """Return a hard link to an entry that came before."""
    out = _record(b"L", path + b"\0") if len(path) > _FIELD else b""
    if len(existing) > _FIELD:
        out += _record(b"K", existing + b"\0")
    return out + _header(Entry(path, 0o644), 0o644, b"1", existing)


def whiteout(path: bytes) -> bytes:
    """Return the sign that overlayfs takes for "nothing is here", a character device 0:0."""
    return header(Entry(path, 0o020000))


def padding(size: int) -> int:
    """Return how many zeros follow ``size`` bytes of content."""
    return -size % BLOCK


def _kind(mode: int) -> bytes:
    tests = ((S_ISREG, b"0"), (S_ISSOCK, b"0"), (S_ISLNK, b"2"), (S_ISCHR, b"3"), (S_ISBLK, b"4"))
    for test, kind in (*tests, (S_ISDIR, b"5"), (S_ISFIFO, b"6")):
        if test(mode):
            return kind
    raise ValueError(f"{mode:o} is no file type that an image can hold")


def _pax(attribute: str, value: bytes) -> bytes:
    body = b" SCHILY.xattr." + attribute.encode("utf-8", "surrogateescape") + b"=" + value + b"\n"
    length = len(body)
    # The length counts its own digits.
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _record(kind: bytes, content: bytes) -> bytes:
    head = _header(Entry(b"long", 0o644, size=len(content)), 0o644, kind, b"")
    return head + content + bytes(padding(len(content)))


def _header(entry: Entry, mode: int, kind: bytes, target: bytes) -> bytes:
    # A cut name is in a record before this header.
    head = _HEADER.pack(
        entry.path[:_FIELD],
        _number(mode, 8),
        _number(entry.uid, 8),
        _number(entry.gid, 8),
        _number(entry.size, 12),
        _number(min(max(0, entry.mtime), _LAST_SECOND), 12),
        b" " * 8,
        kind,
        target[:_FIELD],
        b"ustar\0",
        b"00",
        b"",
        b"",
        _number(entry.major, 8),
        _number(entry.minor, 8),
        b"",
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _number(value: int, width: int) -> bytes:
    """Return a field's digits, in base 256 with the top bit set where octal ones don't suffice."""
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")
