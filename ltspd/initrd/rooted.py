"""Whole files of a source for an initrd, but none that is too large to be what it should be."""

import os
import stat
from pathlib import Path

from ltspd.errors import InconsistentSource
from ltspd.foreign.inside import open_inside, stat_inside

# No program, module, index or firmware is near this, in bytes. A source may be a disk image from anywhere,
# and what is read is held in memory.
MOST_BYTES = 128 << 20


def read(root: Path, path: str) -> bytes | None:
    """Return the content of a regular file of that system, or None if there is none.

    Raises InconsistentSource for one that is too large to be what it should be, OSError.
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
    """Return the text of a file of that system; empty if there is none."""
    return (read(root, path) or b"").decode("utf-8", "surrogateescape")
