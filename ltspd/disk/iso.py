"""The places of files in an ISO 9660 file system, without mounting it. Pure, bounded; raises BadDisk.

Each file lies in one piece, so a nested file system can be used in place, without a copy.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ltspd.disk.reading import View, little, text
from ltspd.errors import BadDisk

# ECMA-119: 2048 bytes to a block, the first descriptor in block 16.
BLOCK = 2048
DESCRIPTOR = 16 * BLOCK
MAX_DEPTH = 4
MAX_ENTRIES = 20_000
# Bytes of a directory; no live medium has a larger one.
MAX_DIRECTORY = 1 << 20
_DIRECTORY, _CONTINUED = 2, 0x80


@dataclass(frozen=True, slots=True)
class File:
    """One file: its path below the root, and its pieces: offsets and sizes in bytes of the disk."""

    path: str
    extents: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(size for _, size in self.extents)


def is_iso(disk: View) -> bool:
    """Return whether a disk is an ISO 9660 file system; it may also have a table, for USB sticks."""
    return disk.at(DESCRIPTOR, 6) == b"\1CD001"


def files(disk: View) -> tuple[File, ...]:
    """Return the files of an ISO, of a few levels of directories; raises BadDisk."""
    head = disk.at(DESCRIPTOR, BLOCK)
    if little(head, 128, 2) != BLOCK:
        raise BadDisk(f"It is an ISO with blocks of {little(head, 128, 2)} bytes; 2048 would be right.")
    found: dict[str, list[tuple[int, int]]] = {}
    seen: set[int] = set()
    count = 0
    todo = deque([("", 0, little(head, 158, 4) * BLOCK, little(head, 166, 4))])
    while todo:
        path, depth, start, length = todo.popleft()
        if start in seen or depth > MAX_DEPTH or length > MAX_DIRECTORY:
            continue
        seen.add(start)
        for name, record in _records(disk.at(start, length) if length else b""):
            count += 1
            if count > MAX_ENTRIES:
                raise BadDisk(f"It is an ISO of over {MAX_ENTRIES} files, which no live medium has.")
            at = (little(record, 2, 4) + record[1]) * BLOCK
            size = little(record, 10, 4)
            if record[25] & _DIRECTORY:
                todo.append((f"{path}{name}/", depth + 1, at, size))
            elif at + size <= disk.size:
                _put(found.setdefault(path + name, []), at, size)
    return tuple(File(path, tuple(extents)) for path, extents in found.items())


def _put(extents: list[tuple[int, int]], at: int, size: int) -> None:
    """Add a piece of a file; a file of over 4 GiB has several, one after the other."""
    if extents and sum(extents[-1]) == at:
        extents[-1] = extents[-1][0], extents[-1][1] + size
    elif size:
        extents.append((at, size))


def _records(directory: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at + 34 <= len(directory):
        length = directory[at]
        record = directory[at : at + length]
        if not length:
            # Records do not cross blocks, so the rest of this block is empty.
            at = at // BLOCK * BLOCK + BLOCK
            continue
        at += length
        if length < 34 or record[32] + 33 > len(record):
            raise BadDisk("It is an ISO with a damaged directory.")
        name = record[33 : 33 + record[32]]
        if name in (b"\0", b"\1"):
            continue
        # With a slash in it, the name would mean another file.
        yield (_long_name(record) or _short_name(name)).replace("/", "?"), record


def _short_name(name: bytes) -> str:
    return text(name).partition(";")[0].rstrip(".").lower()


def _long_name(record: bytes) -> str:
    """Return the Rock Ridge name in the entries after a record, or an empty string."""
    at = 33 + record[32] + (1 - record[32] % 2)
    found = b""
    while at + 4 <= len(record) and 4 <= record[at + 2] <= len(record) - at:
        if record[at : at + 2] == b"NM" and record[at + 2] >= 5:
            found += record[at + 5 : at + record[at + 2]]
        at += record[at + 2]
    return text(found)
