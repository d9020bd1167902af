"""Reading ahead: mksquashfs asks for one file after the other, and a disk serves many requests at a time.

A source of 400 MB that is not in memory is read in a quarter of the time (0.5 s of 2 s, on a virtual disk).
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from ltspd.image.look.entries import RECORD, Table, records

# Bytes that are asked for at most; of a larger source, the beginning. Asking takes a second of processor time
# for 40,000 files, also if they are in memory already.
MOST = 1 << 30
# No more than this part of the memory is filled.
SHARE = 8


def read_ahead(root: Path, table: Table, stopped: Callable[[], bool]) -> None:
    """Have the kernel read the files of a source into memory, and do not wait for them; blocks a second."""
    left = min(MOST, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE)
    for directory in sorted(table.directories):
        for name, record in records(table.directories[directory]).items():
            mode, *_, size, _mtime, _ctime = RECORD.unpack(record)
            if not S_ISREG(mode) or not size:
                continue
            left -= size
            if left < 0 or stopped():
                return
            # A file that has gone meanwhile is no reason to end a build.
            with suppress(OSError):
                _ask_for(os.path.join(os.fsencode(root), directory, name))


def _ask_for(path: bytes) -> None:
    # What became a pipe meanwhile is not waited for.
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(file)
