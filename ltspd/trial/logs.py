"""The consoles of trials, kept in files for people to read: few, and of bounded size."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ltspd.paths import Paths
from ltspd.trial.console import plain

# Bytes of a kept console. A talkative boot has some 200 kB.
MOST_BYTES = 4 << 20
KEPT = 10
# The last lines of a console that go into an error.
TAIL = 15


class Log:
    """One console: its first MOST_BYTES in a file, and its last lines."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Write into an open file at ``path``."""
        self.path = path
        self._file = file
        self._free = MOST_BYTES
        self._lines: deque[str] = deque(maxlen=TAIL)
        self._line = ""

    def add(self, text: str) -> None:
        """Take a piece of the console; raises OSError."""
        data = text.encode("utf-8", "replace")[: self._free]
        self._file.write(data)
        self._free -= len(data)
        *lines, self._line = (self._line + text).split("\n")
        self._lines.extend(shown for line in lines if (shown := plain(line)))
        self._line = self._line[-4096:]

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that are not empty, as a screen shows them."""
        return (*self._lines, *([last] if (last := plain(self._line)) else []))[-TAIL:]


def directory(paths: Paths) -> Path:
    """Return the directory of the logs."""
    return paths.state / "trials"


@contextlib.contextmanager
def keep(paths: Paths, image: str, generation: str) -> Iterator[Log]:
    """Begin the log of a trial; remove an older log of the same generation, and the oldest logs."""
    home = directory(paths)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / f"{image}-{generation}.log"
    path.unlink(missing_ok=True)
    old = sorted(home.glob("*.log"), key=lambda each: each.stat().st_mtime_ns)
    for each in old[: len(old) - KEPT + 1] if len(old) >= KEPT else ():
        each.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", 0) as file:
        yield Log(path, file)
