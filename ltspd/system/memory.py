"""Memory of this process. The daemon works for seconds and rests for weeks, so it gives freed memory back."""

import ctypes
import gc

# malloc.h of the GNU C library: parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The C library's own thresholds at start. Setting them keeps it from raising them, up to 32 MiB, with
# each large block that is freed, and from keeping what a build needed until the process ends.
_THRESHOLD = 128 << 10


def keep_little() -> bool:
    """Have freed memory go back to the system; return whether the C library can. Call it before any thread.

    The environment variables MALLOC_* do the same, but mksquashfs would inherit them, and its threads need an
    arena each. Our threads take turns, so more than one arena would only hold free memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _THRESHOLD), (_M_TRIM_THRESHOLD, _THRESHOLD))
    done = [mallopt(name, value) == 1 for name, value in wanted]
    return all(done)


def give_back() -> None:
    """Return the free memory between blocks in use to the system; takes some milliseconds.

    After a scan of 300,000 files that is 15 MB.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def loaded() -> None:
    """Exempt all present objects from garbage collection.

    They are the code's, 35,000. To scan them takes 20 ms and more, and blocks the event loop.
    """
    gc.collect()
    gc.freeze()
