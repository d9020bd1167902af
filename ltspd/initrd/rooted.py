"""Paths of a foreign root, followed as that system would see them: a symbolic link never leads out of it."""

import os
import stat
from pathlib import Path, PurePosixPath

# As many links as the kernel follows before it says ELOOP (MAXSYMLINKS of include/linux/namei.h).
_MAX_LINKS = 40


def inside(root: Path, path: str) -> Path | None:
    """Return where ``path`` of the system below ``root`` really lies, or None if it does not exist there.

    Absolute links start again at ``root``, and ``..`` stops there, as after a chroot. The result has no
    symbolic link below ``root``. (The tree must not be changed meanwhile by someone hostile: a source is
    root's own.)
    """
    todo = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
    where: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            where = where[:-1]
            continue
        here = root.joinpath(*where, part)
        try:
            mode = os.lstat(here).st_mode
        except OSError:
            return None
        if not stat.S_ISLNK(mode):
            where.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        target = PurePosixPath(os.readlink(here))
        if target.is_absolute():
            where = []
        todo += [piece for piece in reversed(target.parts) if piece != "/"]
    return root.joinpath(*where)


def read(root: Path, path: str) -> bytes | None:
    """Return the content of a regular file of that system, or None if there is none."""
    real = inside(root, path)
    return real.read_bytes() if real is not None and real.is_file() else None


def read_text(root: Path, path: str) -> str:
    """Return the text of a file of that system; empty if there is none."""
    return (read(root, path) or b"").decode("utf-8", "surrogateescape")
