"""What was to go into a layer: a table of entries, and a place to read from what is in them.

That is a tree, which may be alive, or the tar file of a layer of changes.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ltspd.disk.use import written
from ltspd.foreign.inside import open_file
from ltspd.image.look import entries
from ltspd.image.look.entries import RECORD, Table
from ltspd.image.look.scan import record
from ltspd.image.pack import tarstream

_XATTR = "SCHILY.xattr."


class Source(Protocol):
    """Where the content is that was to go into a layer."""

    def attributes(self, path: bytes) -> Mapping[str, bytes]:
        """Return an entry's extended attributes; raises OSError if it is gone."""

    def target(self, path: bytes) -> bytes:
        """Return a symbolic link's target; raises OSError if it is gone."""

    def open(self, path: bytes) -> tuple[int, int]:
        """Return a descriptor of a file's content, and where in it that begins; raises OSError."""

    def holes(self, path: bytes) -> bool:
        """Return whether a file has holes; raises OSError."""

    def steady(self, path: bytes) -> bool:
        """Return whether an entry is still what was to be packed, and nobody writes to it."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What was to go into a layer.

    ``links`` are the names of each file that has several. What is ``apart`` is not judged, because another
    layer has it, too; nothing in an ``opaque`` directory is. ``replaced`` have a digest of their content in
    the table. The root itself is nothing that clients see.
    """

    table: Table
    source: Source
    links: tuple[tuple[bytes, ...], ...] = ()
    apart: frozenset[bytes] = frozenset()
    opaque: frozenset[bytes] = frozenset()
    replaced: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class TreeSource(Source):
    """A tree, which may change: an entry is compared only if its record is still that of ``table``."""

    root: bytes
    table: Table | None = None

    def _at(self, path: bytes) -> bytes:
        return os.path.join(self.root, path)

    def attributes(self, path: bytes) -> Mapping[str, bytes]:
        """Return the attributes that it has now, or had in the tar file."""
        return attributes(self._at(path))

    def target(self, path: bytes) -> bytes:
        """Return where a link leads."""
        return os.readlink(self._at(path))

    def open(self, path: bytes) -> tuple[int, int]:
        """Return a descriptor, and where the content begins."""
        return open_file(self._at(path)), 0

    def holes(self, path: bytes) -> bool:
        """Return whether it has holes."""
        status = os.lstat(self._at(path))
        return status.st_blocks * 512 < status.st_size

    def steady(self, path: bytes) -> bool:
        """Return whether it can be judged."""
        if self.table is None:
            return True
        try:
            status = os.lstat(self._at(path))
            if record(status) != entries.record_of(self.table, path):
                return False
            if not stat.S_ISREG(status.st_mode):
                return True
            # A program that has it mapped into memory may write to it without a new time.
            with open(open_file(self._at(path)), "rb") as opened:
                return not written(opened.fileno())
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class TarSource(Source):
    """The tar file of a layer of changes; further names of a file have the member of the first."""

    file: int
    members: Mapping[bytes, tarfile.TarInfo]

    def attributes(self, path: bytes) -> Mapping[str, bytes]:
        """Return the attributes that it has now, or had in the tar file."""
        headers = self.members[path].pax_headers.items()
        return {
            key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
            for key, value in headers
            if key.startswith(_XATTR)
        }

    def target(self, path: bytes) -> bytes:
        """Return where a link leads."""
        return os.fsencode(self.members[path].linkname)

    def open(self, path: bytes) -> tuple[int, int]:
        """Return a descriptor, and where the content begins."""
        return os.dup(self.file), self.members[path].offset_data

    def holes(self, path: bytes) -> bool:
        """Return whether it has holes."""
        return False

    def steady(self, path: bytes) -> bool:
        """Return whether it can be judged."""
        return True


def attributes(file: bytes) -> dict[str, bytes]:
    """Return the extended attributes that an image keeps, and overlayfs's sign of a directory that hides."""
    try:
        names = os.listxattr(file, follow_symlinks=False)
    except OSError:
        return {}
    kept = (name for name in names if tarstream.keeps(name) or name in tarstream.OPAQUE)
    return {name: os.getxattr(file, name, follow_symlinks=False) for name in kept}


def walk(root: bytes) -> tuple[Table, tuple[tuple[bytes, ...], ...]]:
    """Return what a mounted tree has, as a table, and the names of each file that has several."""
    listings: dict[bytes, entries.Listing] = {}
    groups: dict[tuple[int, int], list[bytes]] = {}
    for path, found in directories(root, lambda _path: True):
        listings[path] = entries.listing((name, record(status)) for name, status in found.items())
        for name, status in found.items():
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                groups.setdefault((status.st_dev, status.st_ino), []).append(join(path, name))
    links = tuple(tuple(group) for group in groups.values() if len(group) > 1)
    return Table(record(os.lstat(root)), listings), links


def directories(
    root: bytes, enter: Callable[[bytes], bool], start: Iterable[bytes] = (b"",)
) -> Iterator[tuple[bytes, dict[bytes, os.stat_result]]]:
    """Yield each directory of a mounted tree that may be entered, with the state of all that is in it.

    Those to ``start`` at are relative to ``root``.
    """
    todo = [*start]
    while todo:
        path = todo.pop()
        with os.scandir(os.path.join(root, path)) as listed:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in listed}
        yield path, found
        below = (join(path, name) for name, status in found.items() if stat.S_ISDIR(status.st_mode))
        todo += filter(enter, below)


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of what is in a directory; the root is the empty path."""
    return directory + b"/" + name if directory else name


def read_tar(file: int) -> Meant:
    """Return what a tar file of ours was to make of a layer."""
    members: dict[bytes, tarfile.TarInfo] = {}
    found: dict[bytes, dict[bytes, bytes]] = {b"": {}}
    names: dict[bytes, list[bytes]] = {}
    # Not our own code, which has written the file: what both agree on is what a tar file means.
    with os.fdopen(os.dup(file), "rb") as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
        for each in tar:
            tar.members.clear()  # type: ignore[attr-defined]
            path = os.fsencode(each.name)
            parent, _, name = path.rpartition(b"/")
            if each.islnk():
                first = os.fsencode(each.linkname)
                names.setdefault(first, [first]).append(path)
                above, _, other = first.rpartition(b"/")
                found[parent][name] = found[above][other]
                members[path] = members[first]
                continue
            members[path] = each
            found[parent][name] = _record(each)
            if each.isdir():
                found[path] = {}
    table = Table(b"", {path: entries.listing(each.items()) for path, each in found.items()})
    return Meant(table, TarSource(file, members), tuple(map(tuple, names.values())))


def _record(each: tarfile.TarInfo) -> bytes:
    kinds = {
        tarfile.SYMTYPE: stat.S_IFLNK,
        tarfile.CHRTYPE: stat.S_IFCHR,
        tarfile.BLKTYPE: stat.S_IFBLK,
        tarfile.DIRTYPE: stat.S_IFDIR,
        tarfile.FIFOTYPE: stat.S_IFIFO,
    }
    device = os.makedev(each.devmajor, each.devminor) if each.ischr() or each.isblk() else 0
    mode = kinds.get(each.type) or stat.S_IFMT(each.mode) or stat.S_IFREG
    size = each.size if stat.S_ISREG(mode) else 0
    permissions = stat.S_IMODE(each.mode)
    return RECORD.pack(mode | permissions, each.uid, each.gid, device, size, int(each.mtime) * 10**9, 0)
