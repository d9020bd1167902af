"""Which parts of a boot initrd a machine needs for its network card. Pure.

An initrd is archives in a row: an index of what follows, a part that every machine needs, pieces that some
network cards' drivers need, and what names the generation. The kernel unpacks them all; a machine whose card
is known is served without the pieces of others. An initrd that doesn't begin with an index has no pieces.
"""

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from mmap import mmap

from ltspd.initrd import cpio

# The index of the whole initrd, and what a machine with a part of it is told: for which card that is.
INDEX, SLIM = "ltsp/cards", "ltsp/slim"
# Debian's kernels have 125 KB of aliases of network cards.
_MOST_INDEX = 8 << 20
# The network cards among the devices of virtio, for which a driver of the bus alone is on the PCI bus: before
# and since version 1.0 (the specification's "Virtio Over PCI Bus", device id 1).
_VIRTIO = {"1af4:1000": "virtio:d00000001v00001AF4", "1af4:1041": "virtio:d00000001v00001AF4"}
# An alias of a driver on the PCI bus, up to what a boot program doesn't tell (file2alias.c of the kernel).
_PCI = re.compile(r"pci:v0000([0-9A-F]{4})d(?:0000([0-9A-F]{4})|\*)")
_PCI_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Index:
    """Where the parts of an initrd are, and what they are for.

    ``parts`` are offset and size: first the one for all, then the pieces. ``pieces`` are the numbers of those
    that a driver needs; ``aliases`` are (pattern, driver). What follows ``end`` is for all.
    """

    parts: tuple[tuple[int, int], ...]
    pieces: Mapping[str, tuple[int, ...]]
    aliases: tuple[tuple[str, str], ...]

    @property
    def end(self) -> int:
        """Where the last part ends."""
        return sum(self.parts[-1])

    def drivers(self, card: str) -> tuple[str, ...]:
        """Return all drivers that a card may need; none, if it is not known here.

        ``card`` is a PCI id (``8086:10d3``), or what the kernel calls a device (``modalias``).
        """
        card = _VIRTIO.get(card, card)
        if _PCI_ID.fullmatch(card):
            vendor, _, device = card.upper().partition(":")
            found = {
                driver
                for pattern, driver in self.aliases
                if (match := _PCI.match(pattern)) and match[1] == vendor and match[2] in (device, None)
            }
        else:
            bus = card.partition(":")[0]
            found = {
                driver
                for pattern, driver in self.aliases
                if pattern.startswith(f"{bus}:") and fnmatchcase(card, pattern)
            }
        return tuple(sorted(found & self.pieces.keys()))

    def ranges(self, drivers: Iterable[str], size: int) -> tuple[tuple[int, int], ...]:
        """Return offset and size of all that a machine with these drivers needs of an initrd of that size."""
        wanted = {number for driver in drivers for number in self.pieces[driver]}
        chosen = (each for number, each in enumerate(self.parts) if number == 0 or number in wanted)
        return (*chosen, (self.end, size - self.end))


def make_index(sizes: Sequence[int], users: Sequence[frozenset[str]], aliases: str) -> bytes:
    """Return the index of parts with these sizes that follow it: the one for all, then the pieces.

    ``users`` are the drivers that need each piece, ``aliases`` the lines of modules.alias about all of them.
    """
    pieces: dict[str, list[int]] = {}
    for number, drivers in enumerate(users, start=1):
        for driver in sorted(drivers):
            pieces.setdefault(driver, []).append(number)
    text = json.dumps({"sizes": list(sizes), "pieces": pieces, "aliases": aliases}, separators=(",", ":"))
    return cpio.archive([cpio.file(INDEX, zlib.compress(text.encode("utf-8", "surrogateescape"), 9))])


def read_index(data: bytes | mmap) -> Index | None:
    """Return the index that an initrd begins with; None if there is none, or none that can be right."""
    try:
        members, end = cpio.read(data)
        (found,) = (each for each in members if each.path == INDEX)
        text = zlib.decompressobj().decompress(data[found.at : found.at + found.size], _MOST_INDEX)
        whole = json.loads(text)
        at = -(-end // cpio.BLOCK) * cpio.BLOCK
        parts = []
        for size in map(int, whole["sizes"]):
            parts.append((at, size))
            at += size
        pieces = {str(name): tuple(map(int, each)) for name, each in whole["pieces"].items()}
        if at > len(data) or not all(0 < each < len(parts) for one in pieces.values() for each in one):
            return None
        lines = (line.split() for line in str(whole["aliases"]).splitlines())
        aliases = tuple((words[1], words[2]) for words in lines if len(words) == 3)
        return Index(tuple(parts), pieces, aliases) if parts else None
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None


def marker(drivers: Iterable[str]) -> bytes:
    """Return the archive by which a machine knows that it has the drivers of one card alone: these."""
    return cpio.archive([cpio.file(SLIM, f"{' '.join(drivers)}\n".encode())])
