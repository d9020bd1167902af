"""What this process does with memory. The daemon works for seconds, rests for weeks, and so keeps little."""

import ctypes
import gc

# malloc.h of the GNU C library: parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The C library's own thresholds at start. Setting them keeps it from raising them, up to 32 MiB, with
# each large block that is freed, and from keeping what a build needed until the process ends.
_THRESHOLD = 128 << 10


def keep_little() -> bool:
    """Have freed memory go back to the system; return whether the C library can. Call it before any thread.

    Not by the variables of the environment that do the same: mksquashfs would get them, too, and its
    threads need an arena each. Ours take turns anyway, and a pool for each of them only holds free pieces.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _THRESHOLD), (_M_TRIM_THRESHOLD, _THRESHOLD))
    done = [mallopt(name, value) == 1 for name, value in wanted]
    return all(done)


def give_back() -> None:
    """Return to the system what is free between blocks in use, too; takes some milliseconds.

    After a look at 300,000 files that is 15 MB.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def loaded() -> None:
    """Tell the garbage collector that what is there now stays.

    All the code is, 35,000 objects. To look through them takes 20 ms and more, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
