"""The kernel's initramfs format: "newc" cpio archives from entries in memory. Pure; reads no file.

The format is described in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. The same
entries always give the same bytes: inode numbers count up, owner is root, times are 0.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from mmap import mmap
from pathlib import PurePosixPath
from typing import NamedTuple

_TRAILER = "TRAILER!!!"
# cpio(5) pads archives to blocks of 512 bytes; to the kernel, an archive after another must only begin at
# a multiple of 4.
BLOCK = 512
# A magic number and 13 fields of 8 hexadecimal digits.
_HEADER = 110


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. ``path`` is relative to the root, ``mode`` has the file type, ``data`` a link's target."""

    path: str
    mode: int
    data: bytes = b""
    major: int = 0
    minor: int = 0


def directory(path: str, mode: int = 0o755) -> Entry:
    """Return a directory."""
    return Entry(path, stat.S_IFDIR | mode)


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path, stat.S_IFREG | mode, data)


def symlink(path: str, target: str) -> Entry:
    """Return a symbolic link; ``target`` is written as it is."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode("utf-8", "surrogateescape"))


def character_device(path: str, major: int, minor: int, mode: int = 0o600) -> Entry:
    """Return a character device node."""
    return Entry(path, stat.S_IFCHR | mode, b"", major, minor)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of entries in their order, each after the directories that it lies in.

    The first entry of a path counts, so a directory may be given before the entries in it.
    Raises ValueError for an empty or absolute path, and for one with ``..``: mistakes of the caller.
    """
    pieces: list[bytes] = []
    seen: set[str] = set()
    for number, entry in enumerate(_with_parents(entries, seen), start=1):
        pieces += _member(entry, number)
    pieces += _member(Entry(_TRAILER, 0), 0)
    whole = b"".join(pieces)
    return whole + b"\0" * (-len(whole) % BLOCK)


def aligned(compressed: bytes) -> bytes:
    """Return a compressed archive padded with zeros, so that another archive may follow it."""
    return compressed + b"\0" * (-len(compressed) % 4)


class Member(NamedTuple):
    """One member of an archive that was read: its content is ``size`` bytes from ``at``."""

    path: str
    mode: int
    at: int
    size: int


def read(data: bytes | mmap, at: int = 0) -> tuple[list[Member], int]:
    """Return the members of the archive that begins at ``at``, and where it ends; raises ValueError."""
    members: list[Member] = []
    while True:
        header = data[at : at + _HEADER]
        if len(header) < _HEADER or header[:6] not in (b"070701", b"070702"):
            raise ValueError(f"there is no member of an archive at {at}")
        mode, size, length = (int(header[start : start + 8], 16) for start in (14, 54, 94))
        name = data[at + _HEADER : at + _HEADER + length].rstrip(b"\0")
        begin = at + -(-(_HEADER + length) // 4) * 4
        at = begin + -(-size // 4) * 4
        path = name.decode("utf-8", "surrogateescape")
        if path == _TRAILER:
            return members, at
        if begin + size > len(data):
            raise ValueError("it is cut short")
        members.append(Member(path.removeprefix("./").removeprefix("/"), mode, begin, size))


def _with_parents(entries: Iterable[Entry], seen: set[str]) -> Iterable[Entry]:
    for entry in entries:
        path = PurePosixPath(entry.path)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{entry.path!r} is not a path inside an archive.")
        for parent in reversed(path.parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield directory(str(parent))
        if str(path) not in seen:
            seen.add(str(path))
            yield entry


def _member(entry: Entry, number: int) -> list[bytes]:
    name = entry.path.encode("utf-8", "surrogateescape") + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0),
        *(entry.major, entry.minor, len(name), 0),
    )
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return [
        header,
        name,
        b"\0" * (-(len(header) + len(name)) % 4),
        entry.data,
        b"\0" * (-len(entry.data) % 4),
    ]
