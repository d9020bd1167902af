"""Paths of a foreign root, followed as that system would see them: a symbolic link never leads out of it."""

import os
import stat
from pathlib import Path, PurePosixPath

from ltspd.errors import InconsistentSource

# As many links as the kernel follows before it says ELOOP (MAXSYMLINKS of include/linux/namei.h).
_MAX_LINKS = 40
# No program, module, index or firmware is near this, in bytes. A source may be a disk image from anywhere,
# and what is read is held in memory.
MOST_BYTES = 128 << 20


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
    """Return the content of a regular file of that system, or None if there is none.

    Raises InconsistentSource for one that is too large to be what it should be, OSError.
    """
    real = inside(root, path)
    if real is None or not real.is_file():
        return None
    with open(real, "rb") as file:
        data = file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_size <= MOST_BYTES else None
    if data is None or len(data) > MOST_BYTES:
        raise InconsistentSource(
            f"{path} of {root} is larger than {MOST_BYTES >> 20} MiB, as no module, firmware or program is. "
            "Remove it there, or reinstall its package."
        )
    return data


def read_text(root: Path, path: str) -> str:
    """Return the text of a file of that system; empty if there is none."""
    return (read(root, path) or b"").decode("utf-8", "surrogateescape")
