"""One fast walk over a source: what will be in its image, how big it is, what lies on other disks."""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFREG

from ltspd.image.look.closing import CLOSED, Closing, Noted, secret_of
from ltspd.image.look.entries import RECORD, Listing, Table, listing, record_of
from ltspd.image.look.privacy import LOOK_BYTES, Private, is_closed, worth_a_look
from ltspd.image.source.clean import READ
from ltspd.image.source.excludes import Matcher, compile_patterns, literal

# File systems that hold the machine's own system. Anything else below the source (network, memory,
# container, loop-mounted packages) is somebody else's and stays out; its mount point stays in.
LOCAL_FILE_SYSTEMS = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "nilfs2", "bcachefs", "zfs", "vfat"],
)
# Kernels stamp files with the time of their last tick, at most 10 ms ago (CONFIG_HZ=100); twice that.
TICK_NS = 20_000_000
# A file from a later future than this has a wrong clock to thank for it, and is no race.
FUTURE_NS = 3600 * 10**9
# Stands for a directory on which something foreign is mounted: its own metadata can't be read.
MOUNT_POINT = RECORD.pack(S_IFDIR | 0o755, 0, 0, 0, 0, 0, 0)
# These have other content in the image.
REWRITTEN = frozenset(each.encode() for each in READ)
_OCTAL = re.compile(rb"\\([0-7]{3})")
_EMPTY: Listing = (b"", b"")
_NOTHING = Table(b"", {})


@dataclass(frozen=True, slots=True)
class Tree:
    """What a walk found: entries and allocated bytes that will be in the image, and special cases.

    ``emptied`` are mount points whose content is left out, ``dropped`` files that are mounts, ``logs`` the
    files directly in /var/log; all relative to the source. ``private`` is what was left out because others
    may not read it or because it is a secret, ``told`` what is in although others may not read it, ``known``
    are files with a key or hashes as a package ships them; ``strict`` see ``Closing``.
    A walk that was stopped is not ``complete`` and its figures are lower bounds. ``table`` has the
    entries but those left out and the logs; ``links`` are the names of each file that has several;
    ``used`` are the patterns that left something out, or named something that is private.
    """

    files: int
    size: int
    emptied: tuple[bytes, ...] = ()
    dropped: tuple[bytes, ...] = ()
    logs: tuple[bytes, ...] = ()
    complete: bool = True
    table: Table = _NOTHING
    links: tuple[tuple[bytes, ...], ...] = ()
    used: frozenset[str] = frozenset()
    private: tuple[Private, ...] = ()
    told: tuple[Private, ...] = ()
    known: frozenset[bytes] = frozenset()
    strict: bool = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """Excludes that this very source needs besides the configured ones."""
        emptied = (*self.emptied, *(each.path for each in self.private if each.emptied))
        single = (each.path for each in self.private if not each.emptied)
        below = (f"{literal(path)}/{each}" for path in emptied for each in ("*", ".*"))
        return (*below, *(literal(path) for path in (*self.dropped, *single, *self.logs)))

    def was_public(self, table: Table) -> bool:
        """Return whether an older table has something that is left out now.

        A layer above would only hide it: a client that fetches all layers has it.
        """
        emptied = (each.path for each in self.private if each.emptied)
        single = (each.path for each in self.private if not each.emptied)
        return any(table.directories.get(path, _EMPTY)[0] for path in emptied) or any(
            record_of(table, path) is not None for path in (*self.dropped, *single)
        )


def foreign_mounts(root: Path, mountinfo: bytes) -> frozenset[bytes]:
    """Return the mount points below ``root`` whose content is not the system's own (proc(5)).

    A bind mount of a part of a file system counts as foreign too: its content has a home elsewhere.
    """
    own = os.fsencode(os.path.realpath(root)).rstrip(b"/") + b"/"
    last: dict[bytes, bool] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        fields, kind = left.split(b" "), right.split(b" ")
        if len(fields) < 5 or len(kind) < 2:
            continue
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        if point.startswith(own) and point != own:
            whole = fields[3] == b"/" or kind[0] in (b"btrfs", b"zfs")
            # Of several mounts on one point only the last is visible.
            last[point[len(own) :]] = not (whole and kind[0].decode(errors="replace") in LOCAL_FILE_SYSTEMS)
    return frozenset(point for point, foreign in last.items() if foreign)


def scan(
    root: Path,
    patterns: Iterable[str],
    mountinfo: bytes | None = None,
    stop: Callable[[], bool] = lambda: False,
    *,
    strict: bool = False,
    wanted: tuple[str, ...] = (),
) -> Tree:
    """Walk a source and return what an image of it would hold; raises OSError. Blocks: use a thread.

    Entries that vanish meanwhile are skipped: ``/`` is alive while it is read. ``stop`` is asked once a
    directory whether the walk shall end early. ``strict`` and ``wanted`` are as in ``Closing``.
    """
    if mountinfo is None:
        mountinfo = Path("/proc/self/mountinfo").read_bytes()
    foreign = foreign_mounts(root, mountinfo)
    foreign_in = {path.rpartition(b"/")[0] for path in foreign}
    # A file that changed in this very tick may change again and have the same time.
    recent = time.time_ns() - TICK_NS
    far = recent + FUTURE_NS
    unsure = -recent
    files = total = 0
    emptied: list[bytes] = []
    dropped: list[bytes] = []
    logs: list[bytes] = []
    linked: dict[tuple[int, int], list[bytes]] = {}
    directories: dict[bytes, Listing] = {}
    pack = RECORD.pack
    first = compile_patterns(patterns)
    closing = Closing(root, strict, wanted)
    # The last one is the matcher of a directory that others may not look into.
    todo: list[tuple[bytes, bytes, Matcher, Matcher | None]] = [(os.fsencode(root), b"", first, None)]
    while todo and not stop():
        directory, path, matcher, closed = todo.pop()
        try:
            entries = os.scandir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        prefix = path + b"/" if path else b""
        in_etc = prefix.startswith(b"etc/")
        in_log = prefix == b"var/log/"
        plain = not (matcher.active or matcher.anywhere)
        has_foreign = path in foreign_in
        found: list[tuple[bytes, bytes]] = []
        with entries:
            # This loop is most of what a build without changes costs: 300,000 times 6 µs.
            for entry in entries:
                name = entry.name
                below = matcher if plain else matcher.enter(name)
                if below is None:
                    continue
                files += 1
                if has_foreign and prefix + name in foreign:
                    # Not even a stat: a dead server's mount point would hang us. The directory has the type.
                    if entry.is_dir(follow_symlinks=False):
                        emptied.append(prefix + name)
                        found.append((name, MOUNT_POINT))
                        directories[prefix + name] = (b"", b"")
                    else:
                        dropped.append(prefix + name)
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                mode = status.st_mode
                kind = mode & 0o170000
                ctime = status.st_ctime_ns
                if recent <= ctime < far:
                    ctime = unsure
                size = rdev = 0
                why = ""
                inside = None
                if closed is not None or (mode & 0o005 != 0o005 and is_closed(mode)):
                    inside = closing.enter(closed, path, name)
                    if inside is not None and (closed is not None or (kind == S_IFREG and status.st_size)):
                        why = CLOSED
                if kind == S_IFDIR:
                    todo.append((entry.path, prefix + name, below, inside))
                    if inside is not None and not why:
                        closing.doors.append(prefix + name)
                elif kind == S_IFREG:
                    size = status.st_size
                    if in_log:
                        logs.append(prefix + name)
                        continue
                    if worth_a_look(name, size) or (in_etc and 0 < size <= LOOK_BYTES):
                        own = prefix + name
                        why = ("" if own in REWRITTEN else secret_of(entry.path, own)) or why
                elif kind in (S_IFCHR, S_IFBLK):
                    rdev = status.st_rdev
                    if rdev == 0 and kind == S_IFCHR:
                        # To overlayfs this is the sign of a deleted file, so no client could see it.
                        continue
                each = pack(mode, status.st_uid, status.st_gid, rdev, size, status.st_mtime_ns, ctime)
                disk = status.st_blocks * 512 if kind != S_IFDIR else 0
                several = None
                if status.st_nlink > 1 and kind != S_IFDIR:
                    several = (status.st_dev, status.st_ino)
                if why:
                    closing.noted[prefix + name] = Noted(each, disk, why, several)
                    continue
                if several is None:
                    total += disk
                else:
                    group = linked.setdefault(several, [])
                    group.append(prefix + name)
                    total += disk if len(group) == 1 else 0
                found.append((name, each))
        directories[path] = listing(found)
    decision = closing.decide(directories)
    for name, noted in decision.kept.items():
        group = linked.setdefault(noted.several, []) if noted.several else []
        group.append(name)
        total += noted.size if len(group) == 1 else 0
    files -= len(closing.noted) - len(decision.kept)
    groups = tuple(tuple(sorted(group)) for group in linked.values() if len(group) > 1)
    table = Table(record(os.lstat(root)), directories)
    return Tree(
        files,
        total,
        tuple(sorted(emptied)),
        tuple(sorted(dropped)),
        tuple(sorted(logs)),
        not todo,
        table,
        groups,
        closing.used | first.used,
        decision.out,
        decision.told,
        decision.known,
        strict,
    )


def record(status: os.stat_result) -> bytes:
    """Return the record of an entry from its lstat."""
    kind = status.st_mode & 0o170000
    rdev = status.st_rdev if kind in (S_IFCHR, S_IFBLK) else 0
    size = status.st_size if kind == S_IFREG else 0
    return RECORD.pack(
        status.st_mode, status.st_uid, status.st_gid, rdev, size, status.st_mtime_ns, status.st_ctime_ns
    )
