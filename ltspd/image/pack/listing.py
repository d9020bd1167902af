"""What a packed layer holds by its own list: names and modes that give a secret away."""

import os
import re
from pathlib import Path

from ltspd.image.look.entries import Table, record_of
from ltspd.image.look.privacy import LOOK_BYTES, is_host_key, worth_a_look
from ltspd.image.source.excludes import Matcher, compile_patterns
from ltspd.system.run import run

_TOP = b"squashfs-root/"
_FILE = re.compile(rb"-\S+ \S+ +(\d+) \S+ \S+ ")


async def undecided(layer: Path, table: Table) -> list[str]:
    """Return what in a layer others may not read although it is not in a table; raises ToolFailed."""
    return (await read_listing(layer, Listing((), frozenset(), table))).secrets


async def read_listing(layer: Path, listing: "Listing") -> "Listing":
    """Give a layer's list to ``listing`` and return that; raises ToolFailed."""
    # With names of users instead of numbers it would look up each of 300,000 in /etc/passwd.
    await run(["unsquashfs", "-lln", "-no-progress", os.fspath(layer)], on_output=listing.take)
    return listing


class Listing:
    """Looks through what ``unsquashfs -lln`` prints, as it comes: all of it can be 50 MB.

    ``secrets`` are what may not be in a layer, ``small`` the small files to look into.
    """

    def __init__(self, patterns: tuple[str, ...], known: frozenset[bytes], table: Table | None) -> None:
        self.secrets: list[str] = []
        self.small: list[str] = []
        self._logs = b"var/log/" if patterns else None
        # By directory, each of which is listed before what is in it.
        self._known: dict[bytes, Matcher | None] = {b"": compile_patterns(patterns)}
        self._rest = b""
        self._shipped = known
        self._table = table
        self._closed: set[bytes] = set()

    def take(self, piece: bytes) -> None:
        """Look at the next piece of the list, which may end within a line."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            attributes, _, path = line.partition(_TOP)
            if path and attributes[:1] != b"c":
                self._look(attributes, path)

    def _look(self, attributes: bytes, path: bytes) -> None:
        if attributes[:1] == b"l":
            path = path.partition(b" -> ")[0]
        parent, _, name = path.rpartition(b"/")
        matcher = self._known.get(parent)
        below = matcher.enter(name) if matcher is not None else None
        if below is None:
            self.secrets.append("/" + os.fsdecode(path))
        if attributes[:1] == b"d":
            self._known[path] = below
        file = _FILE.match(attributes)
        size = int(file[1]) if file else 0
        if self._table is not None:
            self._look_at_mode(attributes, path, size)
        in_etc = path.startswith(b"etc/") and 0 < size <= LOOK_BYTES
        if file and (in_etc or worth_a_look(name, size)) and path not in self._shipped:
            self.small.append(os.fsdecode(path))
            if is_host_key(path):
                self.secrets.append("/" + os.fsdecode(path))
        if self._logs and path.startswith(self._logs) and size:
            self.secrets.append("/" + os.fsdecode(path))

    def _look_at_mode(self, attributes: bytes, path: bytes, size: int) -> None:
        """Note what others may not read and nobody has decided on, by the last three letters of its mode."""
        closed = path.rpartition(b"/")[0] in self._closed
        if attributes[:1] == b"d" and (closed or attributes[7:8] != b"r" or attributes[9:10] not in b"xt"):
            self._closed.add(path)
        if closed or (size and attributes[7:8] != b"r"):
            table = self._table
            if table is not None and record_of(table, path) is None:
                self.secrets.append("/" + os.fsdecode(path))
