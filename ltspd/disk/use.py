"""Whether a program is writing to a disk image, and whether the image has changed. Reads only."""

import errno
import fcntl
import hashlib
import os
import signal
from pathlib import Path

from ltspd.foreign.inside import open_file

# Bits of an open file's flags (proc(5), fdinfo) that mean it is open for writing.
_WRITES = os.O_WRONLY | os.O_RDWR


def stamp(file: Path) -> str:
    """Return a text that changes with the disk image; empty if it can't be read or is being written to.

    A running machine writes to its disk all the time, so a copy read meanwhile is inconsistent. Blocks.
    """
    try:
        # The administrator may have made a link to it.
        descriptor = open_file(file.resolve())
    except OSError:
        return ""
    try:
        status = os.fstat(descriptor)
        if written(descriptor):
            return ""
    finally:
        os.close(descriptor)
    words = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
    return f"disk-{hashlib.sha256(words.encode()).hexdigest()}"


def writer(file: Path) -> str:
    """Return the name and number of a process that has a file open for writing, or an empty string. Blocks.

    This does not find the kernel's loop devices, nor other machines.
    """
    name = os.path.realpath(file)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for number in os.listdir(process / "fd"):
                # Compare names only: stat() could wait for a file server that is gone.
                if os.readlink(process / "fd" / number) == name and _writes(process / "fdinfo" / number):
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # it ended meanwhile, or may not be read
    return ""


def _writes(fdinfo: Path) -> bool:
    for line in fdinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return bool(int(value, 8) & _WRITES)
    return False


def written(descriptor: int) -> bool:
    """Return whether any process or loop device has the file open for writing."""
    try:
        # The kernel gives a read lease only while nobody has the file open for writing (fcntl(2)). We return
        # it at once; a process that opens the file meanwhile waits for that, and we ignore the signal for it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        # Another user's file, or a file system without leases.
        return bool(writer(Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
