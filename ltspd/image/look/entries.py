"""The table of what is in a generation, entry by entry, and what differs between two of them. Pure.

An entry is compared by its record alone. A change of content, extended attributes, link target or
hard links always moves the change time (ctime), which no program can set, so none of these has to be read.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from stat import S_ISDIR, S_ISREG

# mode, owner, group, device number, size in bytes, mtime and ctime in ns. A file that the image has in
# another form than the source has a digest of its content in place of the ctime. One that may have
# changed since it was scanned has the negative time of that scan, which differs from any other.
RECORD = struct.Struct("<IIIIQqq")
WIDTH = RECORD.size
# Neither st_dev nor st_ino is in a record: both may change at a reboot with nothing else changed.
_MAGIC = b"ltspd entries 1\n"
_SECTION = struct.Struct("<III")
# 300,000 entries: level 1 makes 8 MB of 19 MB in 0.4 s, level 6 saves a tenth for four times that.
_LEVEL = 1

Listing = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Table:
    """Every directory by its path (the root's is empty): sorted names joined by NUL, and their records.

    ``root`` is the record of the source's top directory itself.
    """

    root: bytes
    directories: Mapping[bytes, Listing]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a layer must have to turn one table's tree into the other's; paths are relative.

    ``put`` are entries with new content or attributes, ``gone`` need a whiteout, ``opaque`` are
    directories of the new tree that hide whatever lower layers have at their path.
    """

    put: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    opaque: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.put or self.gone)


def is_directory(record: bytes) -> bool:
    """Return whether a record is a directory's."""
    return S_ISDIR(RECORD.unpack(record)[0])


def records(listing: Listing) -> dict[bytes, bytes]:
    """Return a directory's entries as {name: record}."""
    names, joined = listing
    if not names:
        return {}
    return {
        name: joined[start : start + WIDTH]
        for name, start in zip(names.split(b"\0"), range(0, len(joined), WIDTH), strict=True)
    }


def listing(entries: Iterable[tuple[bytes, bytes]]) -> Listing:
    """Return the listing of (name, record) pairs in any order; names must be unique."""
    pairs = sorted(entries)
    return b"\0".join([name for name, _ in pairs]), b"".join([record for _, record in pairs])


def record_of(table: Table, path: bytes) -> bytes | None:
    """Return an entry's record, or None if the table has no such entry."""
    if not path:
        return table.root
    parent, _, name = path.rpartition(b"/")
    found = table.directories.get(parent)
    return None if found is None else records(found).get(name)


def with_records(table: Table, changed: Mapping[bytes, bytes | None]) -> Table:
    """Return the table with some entries' records replaced; None removes an entry and all below it."""
    if not changed:
        return table
    directories = dict(table.directories)
    below: dict[bytes, dict[bytes, bytes | None]] = {}
    for path, record in changed.items():
        parent, _, name = path.rpartition(b"/")
        below.setdefault(parent, {})[name] = record
    removed = []
    for parent, news in below.items():
        merged = records(directories[parent]) | {name: new for name, new in news.items() if new is not None}
        for name in (name for name, new in news.items() if new is None):
            merged.pop(name, None)
            removed.append(parent + b"/" + name if parent else name)
        directories[parent] = listing(merged.items())
    for path in removed:
        if directories.pop(path, None) is not None:
            for each in [each for each in directories if each.startswith(path + b"/")]:
                del directories[each]
    return Table(table.root, directories)


def compare(old: Table, new: Table) -> Changes:
    """Return what a layer above ``old``'s tree must have, so that ``new``'s is seen."""
    put: list[bytes] = []
    gone: list[bytes] = []
    opaque: set[bytes] = set()
    if old.root != new.root:
        put.append(b"")
    for path, after in new.directories.items():
        before = old.directories.get(path, (b"", b""))
        if before == after:
            continue
        was, now = records(before), records(after)
        prefix = path + b"/" if path else b""
        changed = [name for name, record in now.items() if was.get(name) != record]
        put += [prefix + name for name in changed]
        # A directory that is new here must not show what a lower layer may still have below its name.
        fresh = (name for name in changed if is_directory(now[name]))
        opaque.update(prefix + name for name in fresh if name not in was or not is_directory(was[name]))
        missing = [name for name in was if name not in now]
        if missing and path and not _stays(was, now):
            opaque.add(path)
            put.append(path)
        else:
            gone += [prefix + name for name in missing]
    return Changes(tuple(sorted(set(put))), tuple(sorted(gone)), frozenset(opaque))


def _stays(was: Mapping[bytes, bytes], now: Mapping[bytes, bytes]) -> bool:
    """Return whether anything of a directory is still seen through a layer above it."""
    return any(
        name in now and (now[name] == record or (is_directory(record) and is_directory(now[name])))
        for name, record in was.items()
    )


def size_of(table: Table, paths: Iterable[bytes]) -> int:
    """Return the bytes that the files among ``paths`` hold by their sizes."""
    total = 0
    parents: dict[bytes, dict[bytes, bytes]] = {}
    for path in paths:
        parent, _, name = path.rpartition(b"/")
        if parent not in parents:
            parents[parent] = records(table.directories.get(parent, (b"", b"")))
        if (record := parents[parent].get(name)) is not None:
            mode, _, _, _, size, _, _ = RECORD.unpack(record)
            total += size if S_ISREG(mode) else 0
    return total


def to_bytes(table: Table) -> bytes:
    """Return the table as it is kept beside a manifest."""
    out = [table.root]
    for path, (names, joined) in table.directories.items():
        out += (_SECTION.pack(len(path), len(names), len(joined)), path, names, joined)
    return _MAGIC + zlib.compress(b"".join(out), _LEVEL)


def from_bytes(data: bytes) -> Table:
    """Return what ``to_bytes`` wrote; raises ValueError for anything else."""
    if not data.startswith(_MAGIC):
        raise ValueError("it is not a table of entries that this version knows")
    try:
        plain = zlib.decompress(data[len(_MAGIC) :])
        directories: dict[bytes, Listing] = {}
        at = WIDTH
        while at < len(plain):
            lengths = _SECTION.unpack_from(plain, at)
            at += _SECTION.size
            edges = [at, at + lengths[0], at + lengths[0] + lengths[1], at + sum(lengths)]
            path, names, joined = (plain[start:end] for start, end in pairwise(edges))
            at = edges[-1]
            if at > len(plain) or len(joined) != WIDTH * (names.count(b"\0") + 1 if names else 0):
                raise ValueError("it is cut short")
            directories[path] = (names, joined)
    except (zlib.error, struct.error) as error:
        raise ValueError(f"it is damaged ({error})") from error
    if len(plain) < WIDTH or b"" not in directories:
        raise ValueError("it is damaged (no root)")
    return Table(plain[:WIDTH], directories)
