"""Copying what changed in a source into one tar file, which is packed into a layer later.

The copy is short and made while the source's packages are locked; the compression is not.
"""

import errno
import os
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ltspd.errors import InconsistentSource
from ltspd.foreign.inside import open_file
from ltspd.image.look import entries
from ltspd.image.look.entries import RECORD, Changes, Table
from ltspd.image.look.replaced import Replacement
from ltspd.image.look.scan import MOUNT_POINT, record
from ltspd.image.pack import tarstream
from ltspd.image.pack.squashfs import BLOCK

# Smaller files are read and written at once, larger ones go from file to file inside the kernel.
SMALL = 64 << 10
# A cancelled copy ends after the present piece.
PIECE = 8 << 20
_TIME = struct.Struct("<q")
# Also what became a link, a device or a FIFO.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Spooled:
    """Entries that changed after they were scanned, with the records that the table must have for them.

    None is an entry that is gone. The next build takes all of these for changed.
    """

    corrections: Mapping[bytes, bytes | None]


def members(changes: Changes, links: Iterable[tuple[bytes, ...]]) -> frozenset[bytes]:
    """Return the entries that a layer must hold: all names of a changed file, and every parent directory."""
    wanted = set(changes.put)
    for group in links:
        if not wanted.isdisjoint(group):
            wanted.update(group)
    for path in (*wanted, *changes.gone):
        while path:
            path = path.rpartition(b"/")[0]
            if path in wanted:
                break
            wanted.add(path)
    # The root of a squashfs is made from options of mksquashfs.
    return frozenset(wanted - {b""})


def spool(
    root: Path,
    old: Table,
    new: Table,
    links: Iterable[tuple[bytes, ...]],
    changes: Changes,
    replaced: Mapping[bytes, Replacement],
    target: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _copied: None,
) -> Spooled:
    """Write the tar file of a layer that turns ``old``'s tree into ``new``'s; blocks.

    ``links`` are the names of each file that has several. When ``stop`` says so the file stays
    incomplete. ``progress`` gets the number of ``measure``'s bytes that are copied. Raises
    InconsistentSource, OSError.
    """
    wanted = members(changes, links)
    known = dict(_records(new, wanted))
    again = _again(links)
    gone = frozenset(changes.gone)
    corrections: dict[bytes, bytes | None] = {}
    lost: set[bytes] = set()
    first: dict[tuple[int, int], bytes] = {}
    copied = 0

    def ended(at: int) -> bool:
        progress(copied + at)
        return stop()

    with open(target, "xb", buffering=1 << 20) as out:
        for path in sorted(wanted | gone):
            if stop():
                return Spooled({})
            if path.rpartition(b"/")[0] in lost:
                lost.add(path)
            elif path in gone:
                out.write(tarstream.whiteout(path))
            elif path in replaced:
                _replacement(out, path, replaced[path])
            else:
                extra = tarstream.OPAQUE if path in changes.opaque else {}
                after = _copy(out, root, path, known[path], extra, first, ended)
                if after is None:
                    lost.add(path)
                    if entries.record_of(old, path) is not None:
                        out.write(tarstream.whiteout(path))
                if after != known[path]:
                    corrections[path] = after
            if path in known and path not in again:
                copied += RECORD.unpack(known[path])[4]
                progress(copied)
        out.write(tarstream.END)
        out.truncate()
    return Spooled(corrections)


def measure(new: Table, links: Iterable[tuple[bytes, ...]], changes: Changes) -> tuple[int, int]:
    """Return how many bytes of files ``spool`` copies, and in how many blocks mksquashfs packs them.

    A file with several names counts once.
    """
    again = _again(links)
    known = _records(new, members(changes, links))
    sizes = [RECORD.unpack(each)[4] for path, each in known if path not in again]
    return sum(sizes), sum(-(-size // BLOCK) for size in sizes)


def _again(links: Iterable[tuple[bytes, ...]]) -> frozenset[bytes]:
    """Return all names but the first of each file that has several: in the tar they refer to the first."""
    return frozenset(path for group in links for path in group[1:])


def _records(table: Table, paths: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    parents: dict[bytes, dict[bytes, bytes]] = {}
    for path in paths:
        parent, _, name = path.rpartition(b"/")
        if parent not in parents:
            parents[parent] = entries.records(table.directories[parent])
        yield path, parents[parent][name]


def _replacement(out: BinaryIO, path: bytes, each: Replacement) -> None:
    size = len(each.content)
    mode = stat.S_IFREG | each.mode
    out.write(tarstream.header(tarstream.Entry(path, mode, each.uid, each.gid, size, each.mtime)))
    out.write(each.content + bytes(tarstream.padding(size)))


def _copy(
    out: BinaryIO,
    root: Path,
    path: bytes,
    known: bytes,
    extra: Mapping[str, bytes],
    first: dict[tuple[int, int], bytes],
    ended: Callable[[int], bool],
) -> bytes | None:
    """Write one entry and return its record, an unsure one if it changed since; None if it is gone.

    ``ended`` gets the copied bytes of a large file between two pieces, and says whether to stop.
    """
    if known == MOUNT_POINT:
        out.write(tarstream.header(tarstream.Entry(path, stat.S_IFDIR | 0o755), extra))
        return known
    full = os.path.join(os.fsencode(root), path)
    mode = RECORD.unpack(known)[0]
    descriptor = -1
    try:
        # A link or a device may have taken the file's place: neither is followed or opened.
        if stat.S_ISREG(mode):
            descriptor = open_file(full)
        status = os.fstat(descriptor) if descriptor >= 0 else os.lstat(full)
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(mode):
            return None
        if stat.S_ISREG(mode) and mode & ~status.st_mode & 0o004:
            # It was made private since the scan, so a secret may have been written into it.
            return None
        target = os.readlink(full) if stat.S_ISLNK(mode) else b""
        _write(out, path, status, target, descriptor, full, extra, first, ended)
        now = record(os.fstat(descriptor) if descriptor >= 0 else status)
        # The end of a record is its ctime; an entry that was unsure stays so.
        if now == known or (RECORD.unpack(known)[-1] < 0 and now[:-8] == known[:-8]):
            return known
        return now[:-8] + _TIME.pack(-time.time_ns())
    except OSError as error:
        if error.errno in _GONE:
            return None
        if error.errno in (errno.EIO, errno.EACCES, errno.EPERM) and error.filename is not None:
            name = full.decode(errors="replace")
            raise InconsistentSource(
                f"{name} can't be read ({error.strerror}), so an image of {root} would lack it. "
                "Check the disk, or leave it out with ADD_IMAGE_EXCLUDES."
            ) from error
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _write(
    out: BinaryIO,
    path: bytes,
    status: os.stat_result,
    target: bytes,
    descriptor: int,
    full: bytes,
    extra: Mapping[str, bytes],
    first: dict[tuple[int, int], bytes],
    ended: Callable[[int], bool],
) -> None:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        identity = (status.st_dev, status.st_ino)
        if identity in first:
            out.write(tarstream.link(path, first[identity]))
            return
        first[identity] = path
    size = status.st_size if descriptor >= 0 else 0
    entry = tarstream.Entry(
        path,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        size,
        status.st_mtime_ns // 10**9,
        os.major(status.st_rdev),
        os.minor(status.st_rdev),
        target,
    )
    attributes = _attributes(full if descriptor < 0 else descriptor)
    out.write(tarstream.header(entry, {**attributes, **extra}))
    if descriptor >= 0:
        _content(out, descriptor, size, ended)


def _attributes(file: bytes | int) -> dict[str, bytes]:
    follow = isinstance(file, int)
    try:
        names = os.listxattr(file, follow_symlinks=follow)
        return {
            name: os.getxattr(file, name, follow_symlinks=follow) for name in names if tarstream.keeps(name)
        }
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
            return {}
        raise


def _content(out: BinaryIO, descriptor: int, size: int, ended: Callable[[int], bool]) -> None:
    """Copy exactly ``size`` bytes; holes stay holes, and what was cut off meanwhile becomes one."""
    if size <= SMALL:
        out.write(os.pread(descriptor, size, 0).ljust(size + tarstream.padding(size), b"\0"))
        return
    out.flush()
    start, at = out.tell(), 0
    while at < size and not ended(at):
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        end = min(os.lseek(descriptor, at, os.SEEK_HOLE), size, at + PIECE)
        out.seek(start + at)
        while at < end:
            sent = os.sendfile(out.fileno(), descriptor, at, end - at)
            if not sent:
                at = size
                break
            at += sent
    out.seek(start + size + tarstream.padding(size))
