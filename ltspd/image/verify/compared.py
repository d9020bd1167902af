"""What a packed layer holds, entry by entry, beside what was to go into it. A program of its own.

`ltspd.image.verify.packed` starts it at low priority, alone in a namespace where the layer is mounted. It
prints a line of JSON.
"""

import json
import os
import random
import stat
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ltspd.image.look import entries
from ltspd.image.look.entries import RECORD
from ltspd.image.look.replaced import digest_of
from ltspd.image.look.scan import MOUNT_POINT, record
from ltspd.image.pack.listing import Listed, parse
from ltspd.image.verify.meant import Meant, Source, TreeSource, attributes, directories, join, read_tar, walk

# Bytes that are read at once. Of a file above LARGE bytes only PIECES of them are, unless it has holes.
PIECE = 1 << 20
LARGE, PIECES = 8 << 20, 4
# The content of at least this many entries or bytes is compared, which takes about 0.1 s.
LEAST, LEAST_BYTES = 500, 32 << 20
# At most this many wrong entries are named; one is enough to refuse a layer.
NAMED = 5
# Mode, owner, group, device number and size: all of a record that has to be the same in a layer.
_SAME = struct.Struct("<IIIIQ")
_MTIME = struct.Struct("<q")
# Squashfs has 32 bits for a time.
_TIME = 0xFFFFFFFF
_FIELDS = ("the mode {:o}", "the owner {}", "the group {}", "the device number {:#x}", "{} bytes")


@dataclass(slots=True)
class Result:
    """What was compared: the number of entries, of those whose content was read, and of its bytes."""

    entries: int = 0
    read: int = 0
    size: int = 0
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    def say(self, path: bytes, what: str) -> None:
        """Note that an entry is not right."""
        self.count += 1
        if len(self.wrong) < NAMED:
            self.wrong.append(f"{'/' + os.fsdecode(path)!r} {what}")


def compare(
    view: bytes, meant: Meant, seconds: float | None = None, listing: Iterable[bytes] | None = None
) -> Result:
    """Compare a mounted layer with what was meant: all of the metadata, and content for ``seconds``.

    None is without end; LEAST entries or LEAST_BYTES are read however short the time is. Files that replace
    another come first, then in no order those with several names or holes, then the rest in no order.
    With the lines of the layer's own ``listing`` the kernel is asked only for what these don't tell. Times
    are compared to the minute then, and to the second in what is read.
    """
    result = Result()
    found = Entries(meant)
    if listing is not None:
        found.read_listing(listing, os.statvfs(view).f_files)
    found.ask_kernel(view, result)
    first, rest, result.entries = found.first, found.rest, found.count
    random.shuffle(first)
    first.sort(key=lambda path: path not in meant.replaced)
    random.shuffle(rest)
    until = None if seconds is None else time.monotonic() + seconds
    for number, path in enumerate((*first, *rest)):
        enough = number >= LEAST or result.size >= LEAST_BYTES
        if until is not None and enough and time.monotonic() > until:
            break
        if listing is not None and (wrong := found.metadata(view, path)):
            result.say(path, wrong)
        _content(view, meant, path, result)
    return result


class Entries:
    """Compares names and metadata of a layer; ``first`` and ``rest`` are right, and read in this order."""

    def __init__(self, meant: Meant) -> None:
        """Compare with what was ``meant``; the kernel is to be asked for all as long as no list is read."""
        self.first: list[bytes] = []
        self.rest: list[bytes] = []
        self.count = 0
        self._meant = meant
        groups = [[path for path in group if path not in meant.replaced] for group in meant.links]
        self._group = {path: group for group in groups for path in group}
        # Directories that the kernel is asked for, and those that the list has shown to be right.
        self._unclear: set[bytes] = {b""}
        self._clear: set[bytes] = set()

    def read_listing(self, lines: Iterable[bytes], inodes: int) -> None:
        """Compare with the layer's own list; what that does not show to be right is left for the kernel.

        ``inodes`` are those of the layer: a list does not tell that two entries are one file.
        """
        meant, known = self._meant, self._meant.table.directories
        if not meant.apart and inodes != self._inodes():
            return
        left = {b"": entries.records(known[b""])}
        right: dict[bytes, list[tuple[bytes, bool]]] = {b"": []}
        unclear: set[bytes] = set()
        for path, listed in parse(lines):
            parent, _, name = path.rpartition(b"/")
            if (expected := left.get(parent)) is None:
                continue
            want = expected.pop(name, None)
            if not expected:
                # A dictionary that was large keeps its memory.
                left[parent] = {}
            if path in meant.apart:
                continue
            if want is None or listed is None or path in self._group or not _fits(listed, want):
                unclear.add(parent)
                continue
            right[parent].append((path, path in meant.replaced or self._has_holes(path, listed.size)))
            if stat.S_ISDIR(listed.mode) and self._may_enter(path):
                left[path], right[path] = entries.records(known[path]), []
        for path, missing in left.items():
            if any(join(path, name) not in meant.apart for name in missing):
                unclear.add(path)
        self._unclear, self._clear = unclear, left.keys() - unclear
        for path in self._clear:
            self.count += len(right[path])
            for each, first in right[path]:
                (self.first if first else self.rest).append(each)

    def ask_kernel(self, view: bytes, result: Result) -> None:
        """Compare what no list has shown to be right with what the kernel says of the mounted layer."""
        meant, known, unclear = self._meant, self._meant.table.directories, self._unclear
        inodes: dict[bytes, int] = {}

        def enter(path: bytes) -> bool:
            return self._may_enter(path) and path not in self._clear and path not in unclear

        for path, found in directories(view, enter, unclear):
            expected = entries.records(known[path])
            prefix = path + b"/" if path else b""
            for name, status in found.items():
                full = prefix + name
                want = expected.pop(name, None)
                if full in meant.apart:
                    continue
                if want is None:
                    # To overlayfs a device 0:0 is the sign that nothing is there: no client sees any.
                    if status.st_rdev or not stat.S_ISCHR(status.st_mode):
                        result.say(full, "was not to be in it")
                    continue
                self.count += 1
                # Most of 300,000 entries are plain, and done with here.
                if _is_plain(status, want) and full not in self._group and full not in meant.replaced:
                    self.rest.append(full)
                    continue
                group = self._group.get(full, [full])
                if wrong := _metadata(status, want, len(group)):
                    result.say(full, wrong)
                elif inodes.setdefault(group[0], status.st_ino) != status.st_ino and _can_be_linked(status):
                    result.say(full, f"is another file than /{os.fsdecode(group[0])}")
                elif full in meant.replaced or _is_special(meant.source, full, status):
                    self.first.append(full)
                else:
                    self.rest.append(full)
            for name in expected:
                if (full := join(path, name)) not in meant.apart:
                    result.say(full, "is missing")

    def metadata(self, view: bytes, path: bytes) -> str:
        """Return what the kernel says is wrong of an entry's metadata, or an empty string."""
        want = entries.record_of(self._meant.table, path) or b""
        return _metadata(os.lstat(os.path.join(view, path)), want, len(self._group.get(path, [path])))

    def _may_enter(self, path: bytes) -> bool:
        return path in self._meant.table.directories and path not in self._meant.opaque

    def _has_holes(self, path: bytes, size: int) -> bool:
        try:
            return size >= PIECE and self._meant.source.holes(path)
        except OSError:
            return False

    def _inodes(self) -> int:
        """Return how many inodes were meant, the root's among them. Links have one for each name."""
        table = self._meant.table
        names = sum(names.count(b"\0") + 1 for names, _ in table.directories.values() if names)
        groups = {id(group): group for group in self._group.values()}.values()
        records = ((group, entries.record_of(table, group[0]) or MOUNT_POINT) for group in groups)
        again = (len(group) - 1 for group, record in records if not stat.S_ISLNK(RECORD.unpack(record)[0]))
        return 1 + names - sum(again)


def _fits(listed: Listed, want: bytes) -> bool:
    """Return whether a line of a list is what was meant; its time as far as it goes, in whole minutes."""
    same = _SAME.pack(listed.mode, listed.uid, listed.gid, 0, listed.size)
    seconds = _MTIME.unpack_from(want, _SAME.size)[0] // 10**9 & _TIME
    return want.startswith(same) and bool(seconds // 60 == listed.minute)


def _is_plain(status: os.stat_result, want: bytes) -> bool:
    """Return whether an entry is a small file with one name or a directory, and as it was meant."""
    mode, size = status.st_mode, status.st_size
    if stat.S_ISDIR(mode):
        size = 0
    elif not stat.S_ISREG(mode) or status.st_nlink != 1 or size >= PIECE:
        return False
    same = _SAME.pack(mode, status.st_uid, status.st_gid, 0, size)
    return want.startswith(same) and _MTIME.unpack_from(want, _SAME.size)[0] // 10**9 == int(status.st_mtime)


def _can_be_linked(status: os.stat_result) -> bool:
    # mksquashfs makes two of a symbolic link with two names.
    return not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode)


def _is_special(source: Source, path: bytes, status: os.stat_result) -> bool:
    """Return whether mksquashfs treats a file specially, because it has several names or holes."""
    if not stat.S_ISREG(status.st_mode):
        return False
    return status.st_nlink > 1 or (status.st_size >= PIECE and source.holes(path))


def _metadata(status: os.stat_result, want: bytes, names: int) -> str:
    """Return what of an entry's metadata is wrong, or an empty string."""
    mode, uid, gid, device, size, mtime, _ = RECORD.unpack(want)
    if want == MOUNT_POINT:
        return "" if stat.S_ISDIR(status.st_mode) else "is no directory"
    have = record(status)
    if have[: _SAME.size] != want[: _SAME.size]:
        for what, one, other in zip(
            _FIELDS, _SAME.unpack_from(have), (mode, uid, gid, device, size), strict=True
        ):
            if one != other:
                return f"has {what.format(one)} instead of {what.format(other)}"
    if status.st_mtime_ns // 10**9 != mtime // 10**9 & _TIME:
        return f"is of {status.st_mtime_ns // 10**9} instead of {mtime // 10**9} (seconds since 1970)"
    if _can_be_linked(status) and status.st_nlink != names:
        return f"has {status.st_nlink} names instead of {names}"
    return ""


def _content(view: bytes, meant: Meant, path: bytes, result: Result) -> None:
    """Compare what is in an entry, if what was meant is still there to be compared with."""
    try:
        wrong = _difference(os.path.join(view, path), meant, path, result)
    except OSError as error:
        wrong = f"can't be compared ({error.strerror})"
    # A file that changed since the scan proves nothing; the layer above or the next build has it.
    if wrong and (path in meant.replaced or meant.source.steady(path)):
        result.say(path, wrong)


def _difference(packed: bytes, meant: Meant, path: bytes, result: Result) -> str:
    status = os.lstat(packed)
    if path in meant.replaced:
        want = entries.record_of(meant.table, path) or b""
        with open(packed, "rb") as file:
            return "" if digest_of(file.read()) == RECORD.unpack(want)[-1] else "has other content"
    if attributes(packed) != meant.source.attributes(path):
        return "has other extended attributes"
    result.read += 1
    if stat.S_ISLNK(status.st_mode):
        return "" if os.readlink(packed) == meant.source.target(path) else "leads elsewhere"
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return ""
    source, start = meant.source.open(path)
    try:
        with open(packed, "rb", buffering=0) as file:
            for at in _places(status.st_size, meant.source.holes(path)):
                length = min(PIECE, status.st_size - at)
                piece = os.pread(file.fileno(), length, at)
                result.size += length
                if piece != os.pread(source, length, start + at):
                    return f"has other content from byte {at}"
    finally:
        os.close(source)
    return ""


def _places(size: int, whole: bool) -> Iterable[int]:
    """Return where to read pieces of a file: everywhere, or of a large one at its ends and between."""
    every = range(0, size, PIECE)
    if whole or size <= LARGE:
        return every
    return sorted({every[0], every[-1], *random.sample(every, PIECES)})


def main() -> None:
    """Compare the layer mounted at ``view`` with what the JSON in the file that the argument names says."""
    said = json.loads(Path(sys.argv[1]).read_text("ascii"))
    seconds = said["seconds"]
    if said["kind"] == "tar":
        file = os.open(said["source"], os.O_RDONLY | os.O_CLOEXEC)
        meant = read_tar(file)
    elif said["kind"] == "view":
        root = os.fsencode(said["source"])
        table, links = walk(root)
        meant = Meant(table, TreeSource(root), links)
    else:
        table = entries.from_bytes(Path(said["table"]).read_bytes())
        links = tuple(tuple(map(os.fsencode, group)) for group in said["links"])
        sets = (frozenset(map(os.fsencode, said[name])) for name in ("apart", "opaque", "replaced"))
        meant = Meant(table, TreeSource(os.fsencode(said["source"]), table), links, *sets)
        with open(said["listing"], "rb") as lines:
            print(json.dumps(asdict(compare(b"view", meant, seconds, lines))), flush=True)
        return
    print(json.dumps(asdict(compare(b"view", meant, seconds))), flush=True)
