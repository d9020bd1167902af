"""One fast walk over a source: what will be in its image, how big it is, what lies on other disks."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.excludes import Matcher, compile_patterns, literal

# File systems that hold the machine's own system. Anything else below the source (network, memory,
# container, loop-mounted packages) is somebody else's and stays out; its mount point stays in.
LOCAL_FILE_SYSTEMS = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "nilfs2", "bcachefs", "zfs", "vfat"],
)
# A private key file is small; nothing larger is looked into.
KEY_BYTES = 64 << 10
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|openssh-key-v1")
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Tree:
    """What a walk found: entries and allocated bytes that will be in the image, and special cases.

    ``emptied`` are mount points whose content is left out, ``dropped`` private keys below /etc and
    files that are mounts, ``logs`` the files directly in /var/log; all relative to the source.
    A walk that was stopped is not ``complete`` and its figures are lower bounds.
    """

    files: int
    size: int
    emptied: tuple[bytes, ...] = ()
    dropped: tuple[bytes, ...] = ()
    logs: tuple[bytes, ...] = ()
    complete: bool = True

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
    files = total = 0
    emptied: list[bytes] = []
    dropped: list[bytes] = []
    logs: list[bytes] = []
    linked: set[tuple[int, int]] = set()
    todo: list[tuple[bytes, bytes, Matcher]] = [(os.fsencode(root), b"", compile_patterns(patterns))]
    while todo and not stop():
        directory, prefix, matcher = todo.pop()
        try:
            entries = os.scandir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        in_etc = prefix.startswith(b"etc/")
        with entries:
            for entry in entries:
                path = prefix + entry.name
                below = matcher.enter(entry.name)
                if below is None:
                    continue
                files += 1
                if path in foreign:
                    # Not even a stat: a dead server's mount point would hang us. The directory has the type.
                    (emptied if entry.is_dir(follow_symlinks=False) else dropped).append(path)
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    todo.append((entry.path, path + b"/", below))
                    continue
                if status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in linked:
                        continue
                    linked.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
                if not entry.is_file(follow_symlinks=False):
                    continue
                if prefix == b"var/log/":
                    logs.append(path)
                elif in_etc and 0 < status.st_size <= KEY_BYTES and _is_key(entry.path):
                    dropped.append(path)
    return Tree(files, total, tuple(sorted(emptied)), tuple(sorted(dropped)), tuple(sorted(logs)), not todo)


def _is_key(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        return bool(_PRIVATE_KEY.search(file.read(KEY_BYTES)))
