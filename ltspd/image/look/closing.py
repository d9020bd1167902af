"""Entries of a walk that others may not read, or that hold a key or hashes: which go into the image.

While the walk goes on such entries are only noted. At its end dpkg's lists are read once for all of them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from ltspd.foreign.inside import open_file
from ltspd.image.look.entries import RECORD, Listing, listing, records
from ltspd.image.look.privacy import KEY, LIST_BYTES, NEEDED, Private, enter, is_host_key, secret_in
from ltspd.image.source import shipped
from ltspd.image.source.excludes import Matcher, compile_patterns

CLOSED = "others may not read it"
# From this number on, private entries are named and left out by their directory, if nothing else is in it.
_MANY = 5


@dataclass(frozen=True, slots=True)
class Noted:
    """An entry that may have to stay out: its record, its bytes on the disk, and why.

    ``several`` tells a file that has several names by device and inode.
    """

    record: bytes
    size: int
    why: str
    several: tuple[int, int] | None = None

    @property
    def mode(self) -> int:
        """The entry's type and permissions."""
        return int(RECORD.unpack(self.record)[0])


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about the noted entries.

    ``kept`` go into the image, ``out`` are left out. ``told`` are in the image although others may not read
    them in the source; ``known`` are files with a key or hashes that are in it because a package ships them.
    """

    kept: dict[bytes, Noted]
    out: tuple[Private, ...]
    told: tuple[Private, ...]
    known: frozenset[bytes]


@dataclass(slots=True)
class Closing:
    """The entries of a walk that others may not read, and what is decided of them.

    ``strict``: the source is a server's own root, so what is closed to others stays out. ``wanted`` are
    patterns of what the administrator wants to have in the image all the same.
    """

    root: Path
    strict: bool = False
    wanted: tuple[str, ...] = ()
    noted: dict[bytes, Noted] = field(default_factory=dict)
    # Directories that others may not look into, in those that they may.
    doors: list[bytes] = field(default_factory=list)
    _first: Matcher = field(init=False)

    def __post_init__(self) -> None:
        """Compile the patterns once for a walk."""
        self._first = compile_patterns((*NEEDED, *self.wanted))

    @property
    def used(self) -> frozenset[str]:
        """The patterns that something was found for."""
        return frozenset(self._first.used)

    def enter(self, above: Matcher | None, directory: bytes, name: bytes) -> Matcher | None:
        """Return the matcher for an entry of a directory, None if clients need it.

        ``above`` is the directory's own matcher if others may not look into it.
        """
        matcher = above if above is not None else enter(self._first, directory)
        return matcher.enter(name) if matcher is not None else None

    def decide(self, directories: dict[bytes, Listing]) -> Decision:
        """Decide on all that was noted, and put into ``directories`` what stays. Blocks; raises OSError."""
        same = shipped.as_shipped(self.root, {path: each.mode for path, each in self.noted.items()})
        kept = {path for path in same if path in self.noted}
        told: list[Private] = []
        if not self.strict:
            open_to_all = {path for path, each in self.noted.items() if each.why == CLOSED} - kept
            told = self._shown({path for path in open_to_all if S_ISREG(self.noted[path].mode)}, set())
            kept |= open_to_all
        # A directory stays if anything in it does.
        for path in (*kept, *(each for each in self.noted if directories.get(each, (b"",))[0])):
            while path in self.noted:
                kept.add(path)
                path = path.rpartition(b"/")[0]
        below: dict[bytes, dict[bytes, bytes]] = {}
        for path in kept:
            parent, _, name = path.rpartition(b"/")
            below.setdefault(parent, {})[name] = self.noted[path].record
        for parent, new in below.items():
            directories[parent] = listing({**records(directories[parent]), **new}.items())
        out = {path for path in self.noted if path not in kept}
        for path in out:
            directories.pop(path, None)
        parents = Counter(path.rpartition(b"/")[0] for path in out)
        # One exclude for such a directory instead of one for each of its files: there may be 100,000.
        whole = {*self.doors, *kept, *(path for path, number in parents.items() if number >= _MANY)}
        empty = {path for path in whole if path in directories and not directories[path][0]}
        known = frozenset(path for path in kept if self.noted[path].why != CLOSED)
        return Decision(
            {path: self.noted[path] for path in kept}, tuple(self._shown(out, empty)), tuple(told), known
        )

    def _shown(self, paths: Iterable[bytes], empty: set[bytes]) -> list[Private]:
        """Return the topmost ones of ``paths``; if they are all of a directory, that stands for them."""
        top: dict[bytes, bytes] = {}
        files: dict[bytes, int] = {}
        why: dict[bytes, str] = {}
        for path in sorted(paths):
            parent = path.rpartition(b"/")[0]
            top[path] = above = top.get(parent, parent if parent in empty else path)
            each = self.noted[path]
            files[above] = files.get(above, 0) + (not S_ISDIR(each.mode))
            why.setdefault(above, each.why)
        return [Private(path, why[path], files[path], path in empty) for path in files]


def secret_of(file: bytes, path: bytes) -> str:
    """Return what secret a file of a source is, or an empty string. Blocks."""
    if is_host_key(path):
        return KEY
    try:
        descriptor = open_file(file)
    except OSError:
        return ""
    with open(descriptor, "rb") as opened:
        return secret_in(opened.read(LIST_BYTES))
