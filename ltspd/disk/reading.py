"""Reading a disk's bytes with limits, and numbers and labels in them. Pure: the caller brings the bytes."""

from collections.abc import Callable
from dataclasses import dataclass

# Bytes of one read; no table or superblock is larger.
MAX_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class View:
    """A disk or a part of one: ``read(offset, length)`` returns fewer bytes only past ``size``."""

    read: Callable[[int, int], bytes]
    size: int

    def at(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes, zeros outside of the disk; never raises for odd places."""
        if not 0 < length <= MAX_READ or not 0 <= offset < self.size:
            return bytes(max(0, min(length, MAX_READ)))
        return self.read(offset, min(length, self.size - offset)).ljust(length, b"\0")

    def part(self, offset: int, size: int) -> "View":
        """Return a part of this, cut at its end."""
        offset = max(0, min(offset, self.size))
        return View(lambda at, length: self.read(offset + at, length), max(0, min(size, self.size - offset)))


def joined(disk: View, extents: tuple[tuple[int, int], ...]) -> View:
    """Return the view of a disk's pieces, each an offset and a size in bytes, one after the other."""
    if len(extents) == 1:
        return disk.part(*extents[0])

    def read(offset: int, length: int) -> bytes:
        found = bytearray()
        for start, size in extents:
            if offset < size and length > len(found):
                found += disk.at(start + offset, min(size - offset, length - len(found)))
                offset = size
            offset -= size
        return bytes(found)

    return View(read, sum(size for _, size in extents))


def of_bytes(content: bytes) -> View:
    """Return a view of bytes in memory."""
    return View(lambda offset, length: content[offset : offset + length], len(content))


def little(data: bytes, offset: int, length: int) -> int:
    """Return an unsigned little-endian number."""
    return int.from_bytes(data[offset : offset + length], "little")


def big(data: bytes, offset: int, length: int) -> int:
    """Return an unsigned big-endian number."""
    return int.from_bytes(data[offset : offset + length], "big")


def text(data: bytes) -> str:
    """Return a label: the text before the first NUL, with ``?`` for unprintable characters."""
    words = data.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
    return "".join(each if each.isprintable() else "?" for each in words)
