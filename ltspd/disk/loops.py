"""Read-only loop devices over a part of an open file; each ends with its last user.

They are made with Linux's ioctls, because losetup chooses and sets up a device in two steps, which can race.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

from ltspd.errors import UnsupportedDisk

# include/uapi/linux/loop.h; LOOP_CONFIGURE, since Linux 5.8, does it in one step.
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
# struct loop_config: fd, block size; loop_info64: five numbers of 64 bits, four of 32 (the last are the
# flags), names of 64, 64 and 32 bytes, two numbers of 64; then eight reserved.
_CONFIG = struct.Struct("<II 5Q 4I 64s64s32s 2Q 64x")
ATTEMPTS = 64


def attach(file: int, offset: int = 0, size: int = 0) -> tuple[int, int]:
    """Return number and open descriptor of a loop device over ``size`` bytes (0: all) of an open file.

    It is detached when the last of its descriptors and mounts is gone. Raises UnsupportedDisk, OSError.
    """
    for _attempt in range(ATTEMPTS):
        try:
            control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UnsupportedDisk(
                f"This machine has no loop devices ({error}); disks can't be read."
            ) from error
        try:
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        finally:
            os.close(control)
        path = f"/dev/loop{number}"
        try:
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise UnsupportedDisk(
                f"All loop devices of this machine are in use, and {path} can't be made here. Free one."
            ) from error
        flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR
        name = b"ltspd"
        config = _CONFIG.pack(file, 512, 0, 0, 0, offset, size, 0, 0, 0, flags, name, b"", b"", 0, 0)
        try:
            fcntl.ioctl(device, LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(device)
            if error.errno == errno.EBUSY:
                continue  # another process took it first
            raise
        return number, device
    raise UnsupportedDisk("No loop device stays free on this machine long enough to be used. Try again.")


def backing(number: int) -> str:
    """Return the name of the file behind a loop device, or an empty string if it is free."""
    try:
        return Path(f"/sys/block/loop{number}/loop/backing_file").read_text().strip()
    except OSError:
        return ""
