"""What a packed layer holds by its own list: what gives a secret away, and each entry's metadata."""

import os
import re
from calendar import timegm
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, S_ISLNK, S_ISREG
from time import strptime

from ltspd.image.look.entries import Table, record_of
from ltspd.image.look.privacy import LOOK_BYTES, is_host_key, worth_a_look
from ltspd.image.source.excludes import Matcher, compile_patterns
from ltspd.system.run import run

_TOP = b"squashfs-root/"
_FILE = re.compile(rb"-\S+ \S+ +(\d+) \S+ \S+ ")
# Letters of the mode, owner, group, size (of a device two numbers), time, path; the root has none.
_LINE = re.compile(
    rb"([-dlpsbc]\S{9}) (\d+)/(\d+) +(?:(\d+)|\d+, *\d+) (\d{4}-\d\d-\d\d \d\d:\d\d) "
    rb"squashfs-root(?:/(.+))?"
)
_TYPES = {b"-": S_IFREG, b"d": S_IFDIR, b"l": S_IFLNK, b"p": S_IFIFO, b"s": S_IFSOCK}


async def undecided(layer: Path, table: Table) -> list[str]:
    """Return what in a layer others may not read although it is not in a table; raises ToolFailed."""
    return (await read_listing(layer, Listing((), frozenset(), table))).secrets


async def read_listing(layer: Path, listing: "Listing", copy: Path | None = None) -> "Listing":
    """Give a layer's list to ``listing``, and write it to the file ``copy``; raises ToolFailed, OSError."""
    # With names of users instead of numbers it would look up each of 300,000 in /etc/passwd.
    argv = ["unsquashfs", "-lln", "-no-progress", os.fspath(layer)]
    with open(os.devnull if copy is None else copy, "wb") as out:

        def take(piece: bytes) -> None:
            out.write(piece)
            listing.take(piece)

        await run(argv, env={**os.environ, "TZ": "UTC0"}, on_output=take)
    return listing


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as a list has it: type and permissions, owner, group, size, and its mtime in whole minutes."""

    mode: int
    uid: int
    gid: int
    size: int
    minute: int


def parse(lines: Iterable[bytes]) -> Iterator[tuple[bytes, Listed | None]]:
    """Yield path and entry of each line of a list but the root's.

    The entry is None if the line does not tell it: that of a device, or a part of a name or link target with
    a line break. Where there is no path in it, it is that of the line before.
    """
    modes: dict[bytes, int] = {}
    minutes: dict[bytes, int] = {}
    path = b""
    for line in lines:
        found = _LINE.fullmatch(line.rstrip(b"\n"))
        if found is None:
            _, top, after = line.rstrip(b"\n").partition(_TOP)
            path = after if top else path
            yield path, None
            continue
        letters, uid, gid, size, day, path = found.groups()
        if path is None:
            path = b""
        elif size is None:
            yield path, None
        else:
            if (mode := modes.get(letters)) is None:
                mode = modes[letters] = _mode(letters)
            if (minute := minutes.get(day)) is None:
                minute = minutes[day] = timegm(strptime(day.decode(), "%Y-%m-%d %H:%M")) // 60
            path = path.partition(b" -> ")[0] if S_ISLNK(mode) else path
            yield path, Listed(mode, int(uid), int(gid), int(size) if S_ISREG(mode) else 0, minute)


def _mode(letters: bytes) -> int:
    """Return the mode that ten letters stand for, as ls prints them."""
    mode = _TYPES[letters[:1]]
    for place, letter in enumerate(letters[1:].decode()):
        mode |= (letter not in "-ST") << (8 - place)
    for place, bit in ((3, 0o4000), (6, 0o2000), (9, 0o1000)):
        mode |= bit if letters[place : place + 1] in b"sStT" else 0
    return mode


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
