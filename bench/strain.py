"""Work in a home, timed: ``strain.py WORK DIRECTORY`` runs on a client, as a person, with Python alone.

The value is in seconds, but of ``rows``: there it is transactions of sqlite in a second.
"""

import contextlib
import io
import os
import sqlite3
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

MEGABYTES = 32
FILES = 2000
# Seconds in which rows are inserted.
_SPAN = 10.0


def _write(home: Path) -> float:
    """Write a large file, all of it to the server's disk."""
    block = os.urandom(1 << 20)
    began = time.monotonic()
    with (home / "large").open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


def _read(home: Path) -> float:
    """Read it; the caller has had the caches dropped."""
    began = time.monotonic()
    with (home / "large").open("rb") as file:
        while file.read(1 << 20):
            pass
    return time.monotonic() - began


def _unpack(home: Path) -> float:
    """Unpack an archive like a program's source: 2,000 files of some kilobytes in 100 directories."""
    data = os.urandom(20_000)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for n in range(FILES):
            entry = tarfile.TarInfo(f"source/directory{n % 100}/file{n}.c")
            entry.size = (n * 7919) % 16_000
            archive.addfile(entry, io.BytesIO(data[: entry.size]))
    packed.seek(0)
    began = time.monotonic()
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(home)
    os.sync()
    return time.monotonic() - began


def _stat(home: Path) -> float:
    """Ask for the attributes of all of them, as a file manager or git does; caches were dropped."""
    began, found = time.monotonic(), 0
    for directory, _, names in os.walk(home / "source"):
        for name in names:
            os.stat(os.path.join(directory, name))
            found += 1
    if found != FILES:
        raise RuntimeError(f"only {found} files are there")
    return time.monotonic() - began


def _rows(home: Path) -> float:
    """Insert rows, each in a transaction, as browsers do."""
    with contextlib.closing(sqlite3.connect(home / "base")) as base:
        base.execute("create table visits (id integer primary key, url text)")
        began = time.monotonic()
        done = 0
        while time.monotonic() - began < _SPAN:
            with base:
                base.execute("insert into visits (url) values (?)", (f"https://a.example/{done}",))
            done += 1
        return done / (time.monotonic() - began)


def _first(home: Path) -> float:
    """Write one small file."""
    began = time.monotonic()
    with (home / f"first{time.time_ns()}").open("wb") as file:
        file.write(b"x" * 1000)
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


WORKS: dict[str, Callable[[Path], float]] = {
    "write": _write,
    "read": _read,
    "unpack": _unpack,
    "stat": _stat,
    "rows": _rows,
    "first": _first,
}


if __name__ == "__main__":
    print(WORKS[sys.argv[1]](Path(sys.argv[2])))
