"""What one test left behind in this process and on this machine, told apart from what was there before."""

import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What ends by itself (a child's last breath, a thread that was told to stop) is waited for, in seconds. On a
# machine that does other work that takes a while; only a test that leaves something behind takes all of it.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything this process holds that outlives a test if nobody gives it back, in words."""

    things: frozenset[str]


def holdings() -> Holdings:
    """Return what is held now: children, descriptors, threads, temporary files, mounts, loop devices."""
    parts: tuple[Callable[[], set[str]], ...] = (_children, _descriptors, _threads, _files, _mounts)
    return Holdings(frozenset(thing for part in parts for thing in part()))


def left_behind(before: Holdings) -> list[str]:
    """Return what is held now and was not ``before``; waits a moment for what is just ending."""
    deadline = time.monotonic() + PATIENCE
    while left := holdings().things - before.things:
        if time.monotonic() > deadline:
            return sorted(left)
        # A descriptor in a reference cycle is given back late, but it is given back.
        gc.collect()
        time.sleep(0.02)
    return []


def _children() -> set[str]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue  # the thread ended meanwhile
        found |= {f"child process {pid} ({_command(pid)})" for pid in pids}
    return found


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"


def _descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the one that lists the directory
        found.add(f"descriptor {number} ({target})")
    return found


def _threads() -> set[str]:
    return {f"thread {thread.name}" for thread in threading.enumerate() if not thread.daemon}


def _files() -> set[str]:
    """Files in the temporary directory; conftest.py makes that one of our own."""
    return {f"temporary file {entry.path}" for entry in os.scandir(tempfile.gettempdir())}


def _mounts() -> set[str]:
    """Mounts and loop devices below the test run's directories; others on this machine have theirs."""
    ours = str(Path(tempfile.gettempdir()).parent)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = {f"mount {line.split()[4]}" for line in mounts if ours in line}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            path = backing.read_text().strip()
        except OSError:
            continue  # detached meanwhile
        if path.startswith(ours):
            found.add(f"loop device {backing.parts[3]} of {path}")
    return found
