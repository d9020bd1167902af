"""Whether somebody is writing to a disk image, and whether it is still the same. Looks only."""

import errno
import fcntl
import hashlib
import os
import signal
from pathlib import Path

from ltspd.foreign.inside import open_file

# Of the kernel's word on an open file's flags (proc(5), fdinfo): O_WRONLY or O_RDWR.
_WRITES = os.O_WRONLY | os.O_RDWR


def stamp(file: Path) -> str:
    """Return what changes whenever a disk image does; empty if it can't be read, or is being written to.

    A machine that runs writes to its disk all the time: what is read of it then was never there at once.
    Blocks.
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
    """Return who has a file open for writing, for a person; empty if nobody is known. Blocks.

    The kernel's loop devices and other machines are not found this way.
    """
    name = os.path.realpath(file)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for number in os.listdir(process / "fd"):
                # By its name: asking for more could wait for a file server that is gone.
                if os.readlink(process / "fd" / number) == name and _writes(process / "fdinfo" / number):
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return ""


def _writes(fdinfo: Path) -> bool:
    for line in fdinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return bool(int(value, 8) & _WRITES)
    return False


def written(descriptor: int) -> bool:
    """Return whether anybody, loop devices included, has the file open for writing."""
    try:
        # A lease for reading is given only while nobody writes (fcntl(2)). It is returned at once; whoever
        # opens the file in between waits for that, and the signal that tells us is one that does nothing.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        # Somebody else's file, or a file system without leases.
        return bool(writer(Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
