"""Whole files of a foreign root, bounded by size: read into memory or copied out."""

import errno
import os
import stat
from pathlib import Path

from ltspd.errors import InconsistentSource
from ltspd.foreign.inside import open_inside, stat_inside

# Programs, modules, indexes and firmware are far smaller than this, in bytes. The root may be a disk image
# from anywhere, and read_whole holds the file in memory.
MOST_BYTES = 128 << 20


def read_whole(root: Path, path: str) -> bytes | None:
    """Return the content of a regular file, or None if there is none.

    Raises InconsistentSource if it is larger than MOST_BYTES, OSError.
    """
    status = stat_inside(root, path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    with open(open_inside(root, path), "rb") as file:
        data = file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_size <= MOST_BYTES else None
    if data is None or len(data) > MOST_BYTES:
        raise InconsistentSource(
            f"{path} of {root} is larger than {MOST_BYTES >> 20} MiB, as no module, firmware or program is. "
            "Remove it there, or reinstall its package."
        )
    return data


def read_text(root: Path, path: str) -> str:
    """Return the text of a file; empty if there is none. Raises as ``read_whole``."""
    return (read_whole(root, path) or b"").decode("utf-8", "surrogateescape")


def copy_inside(root: Path, name: str, target: Path, limit: int = 1 << 30) -> int:
    """Copy a regular file out of the root and return its size in bytes, at most ``limit``; raises OSError."""
    with open(open_inside(root, name), "rb") as source, open(target, "xb") as out:
        # Both may be on different file systems, which copy_file_range() minds only before Linux 5.3.
        size = os.fstat(source.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        done = 0
        while done < size:
            # sendfile, because copy_file_range refuses to cross file systems of different kinds.
            sent = os.sendfile(out.fileno(), source.fileno(), done, size - done)
            if not sent:
                break
            done += sent
        out.flush()
        os.fchmod(out.fileno(), 0o644)
        return done
