"""Cold caches: drops the contents of one tree from memory, and of nothing else."""

import os
from pathlib import Path


def evict(tree: Path) -> None:
    """Ask the kernel to forget the contents of every regular file below ``tree``.

    Names and inodes may stay in memory. Dropping all caches (/proc/sys/vm/drop_caches) would disturb others.
    """
    with os.scandir(tree) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                evict(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)
