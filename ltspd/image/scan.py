"""One fast walk over a source: what will be in its image, how big it is, what lies on other disks."""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFREG

from ltspd.image.entries import RECORD, Listing, Table, listing
from ltspd.image.excludes import Matcher, compile_patterns, literal

# File systems that hold the machine's own system. Anything else below the source (network, memory,
# container, loop-mounted packages) is somebody else's and stays out; its mount point stays in.
LOCAL_FILE_SYSTEMS = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "nilfs2", "bcachefs", "zfs", "vfat"],
)
# A private key file is small; nothing larger is looked into.
KEY_BYTES = 64 << 10
# Kernels stamp files with the time of their last tick, at most 10 ms ago (CONFIG_HZ=100); twice that.
TICK_NS = 20_000_000
# A file from a later future than this has a wrong clock to thank for it, and is no race.
FUTURE_NS = 3600 * 10**9
# What is mounted there is not looked at, and the directory below it can't be.
MOUNT_POINT = RECORD.pack(S_IFDIR | 0o755, 0, 0, 0, 0, 0, 0)
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|openssh-key-v1")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_NOTHING = Table(b"", {})


@dataclass(frozen=True, slots=True)
class Tree:
    """What a walk found: entries and allocated bytes that will be in the image, and special cases.

    ``emptied`` are mount points whose content is left out, ``dropped`` private keys below /etc and
    files that are mounts, ``logs`` the files directly in /var/log; all relative to the source.
    A walk that was stopped is not ``complete`` and its figures are lower bounds. ``table`` has the
    entries but the dropped ones and the logs; ``links`` are the names of each file that has several;
    ``used`` are the patterns that left something out.
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

    @property
    def patterns(self) -> tuple[str, ...]:
        """Excludes that this very source needs besides the configured ones."""
        below = (f"{literal(path)}/{each}" for path in self.emptied for each in ("*", ".*"))
        return (*below, *(literal(path) for path in (*self.dropped, *self.logs)))


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
) -> Tree:
    """Walk a source and return what an image of it would hold; raises OSError. Blocks: use a thread.

    Entries that vanish meanwhile are skipped: ``/`` is alive while it is read. ``stop`` is asked once a
    directory whether the walk shall end early.
    """
    if mountinfo is None:
        mountinfo = Path("/proc/self/mountinfo").read_bytes()
    foreign = foreign_mounts(root, mountinfo)
    foreign_in = {path.rpartition(b"/")[0] for path in foreign}
    # What changed in the tick in which it was looked at may change again with the same time.
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
    todo: list[tuple[bytes, bytes, Matcher]] = [(os.fsencode(root), b"", first)]
    while todo and not stop():
        directory, path, matcher = todo.pop()
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
                if kind == S_IFDIR:
                    todo.append((entry.path, prefix + name, below))
                else:
                    if status.st_nlink > 1:
                        group = linked.setdefault((status.st_dev, status.st_ino), [])
                        group.append(prefix + name)
                        if len(group) == 1:
                            total += status.st_blocks * 512
                    else:
                        total += status.st_blocks * 512
                    if kind == S_IFREG:
                        size = status.st_size
                        if in_log:
                            logs.append(prefix + name)
                            continue
                        if in_etc and 0 < size <= KEY_BYTES and _is_key(entry.path):
                            dropped.append(prefix + name)
                            continue
                    elif kind in (S_IFCHR, S_IFBLK):
                        rdev = status.st_rdev
                        if rdev == 0 and kind == S_IFCHR:
                            # To overlayfs this is the sign of a deleted file, so no client could see it.
                            continue
                found.append(
                    (name, pack(mode, status.st_uid, status.st_gid, rdev, size, status.st_mtime_ns, ctime))
                )
        directories[path] = listing(found)
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
        frozenset(first.used),
    )


def record(status: os.stat_result) -> bytes:
    """Return the record of an entry from its lstat."""
    kind = status.st_mode & 0o170000
    rdev = status.st_rdev if kind in (S_IFCHR, S_IFBLK) else 0
    size = status.st_size if kind == S_IFREG else 0
    return RECORD.pack(
        status.st_mode, status.st_uid, status.st_gid, rdev, size, status.st_mtime_ns, status.st_ctime_ns
    )


def _is_key(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        return bool(PRIVATE_KEY.search(file.read(KEY_BYTES)))
