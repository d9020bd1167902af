"""Opening names inside a foreign root: links are followed as after a chroot, never out of the root."""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# As many links as Linux itself follows in one lookup (MAXSYMLINKS in include/linux/namei.h).
MAX_LINKS = 40


@contextmanager
def _followed(root: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield an O_PATH descriptor of ``name``, and the components of its path without links; raises OSError.

    Each component is opened by itself, without following links, so that a link that is swapped in meanwhile
    can't lead out. Absolute links start again at ``root``, and ``..`` stops there, as after a chroot.
    """
    stack = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    way: list[str] = []
    try:
        todo = deque(name.split("/"))
        links = 0
        while todo:
            part = todo.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                if way:
                    way.pop()
                    os.close(stack.pop())
                continue
            stack.append(os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=stack[-1]))
            if not stat.S_ISLNK(os.fstat(stack[-1]).st_mode):
                way.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
            target = os.readlink("", dir_fd=stack[-1])
            if target.startswith("/"):
                way.clear()
            while len(stack) > len(way) + 1:
                os.close(stack.pop())
            todo.extendleft(reversed(target.split("/")))
        yield stack[-1], way
    finally:
        for each in stack:
            os.close(each)


def open_inside(root: Path, name: str, flags: int = os.O_RDONLY) -> int:
    """Open ``name`` as if ``root`` were ``/`` and return the descriptor; raises OSError.

    It must be a regular file, unless ``flags`` ask for a directory (``O_DIRECTORY``) or only for the name
    (``O_PATH``).
    """
    with _followed(root, name) as (descriptor, _):
        return _open(descriptor, flags, name)


def open_file(path: str | bytes | Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return the descriptor; raises OSError, also if ``path`` is a link."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _open(descriptor, flags, path)
    finally:
        os.close(descriptor)


def _open(descriptor: int, flags: int, name: str | bytes | Path) -> int:
    """Open the file of an O_PATH descriptor if it is no device or FIFO.

    Opening one has effects: a tape is rewound, a watchdog starts to count, a reader waits.
    """
    mode = os.fstat(descriptor).st_mode
    if not flags & (os.O_PATH | os.O_DIRECTORY) and not stat.S_ISREG(mode):
        number = errno.ELOOP if stat.S_ISLNK(mode) else errno.ENXIO
        raise OSError(number, "It is not a regular file", name)
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)


def path_inside(root: Path, name: str) -> Path | None:
    """Return the real path of ``name`` below ``root``, without links; None if it leads nowhere.

    Opening the path looks it up again. If someone hostile can change the tree meanwhile, use ``open_inside``.
    """
    try:
        with _followed(root, name) as (_, way):
            return root.joinpath(*way)
    except OSError:
        return None


def read_inside(root: Path, name: str, limit: int = 64 << 20) -> bytes | None:
    """Return a regular file's content, or None if there is none; ``limit`` is in bytes."""
    try:
        descriptor = open_inside(root, name)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        return file.read(limit)


def stat_inside(root: Path, name: str) -> os.stat_result | None:
    """Return the status of ``name`` after following links, or None if it leads nowhere."""
    try:
        descriptor = open_inside(root, name, os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def list_inside(root: Path, name: str) -> tuple[str, ...]:
    """Return the names in a directory, sorted; nothing if it is not there."""
    try:
        descriptor = open_inside(root, name, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return ()
    try:
        return tuple(sorted(os.listdir(descriptor)))
    finally:
        os.close(descriptor)
