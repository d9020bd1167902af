"""Where the lab keeps what outlives a run (root trees, logs) and how runs wait for each other."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache directory: ``LTSPD_LAB_CACHE``, or the default that setup.sh knows too."""
    return Path(os.environ.get("LTSPD_LAB_CACHE", "/var/cache/ltspd-lab"))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel drops it if this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
