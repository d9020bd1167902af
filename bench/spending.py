"""What a server spends on its clients: seconds of processors of all its processes, and their memory."""

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.timed import processor_time
from tests.lab.server import Server

_CGROUPS = Path("/sys/fs/cgroup")
# Seconds between two looks at the memory.
EVERY = 2.0


@dataclass(slots=True)
class Spent:
    """Seconds of processors, of all processes and of each unit; bytes of memory: before, and at most."""

    processors: float = 0.0
    units: dict[str, float] = field(default_factory=dict)
    before: int = 0
    most: int = 0


@contextmanager
def spending(server: Server) -> Iterator[Spent]:
    """Watch a server; what it has spent is known at the end."""
    spent = Spent()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            spent.most = max(spent.most, memory(server))

    spent.before = spent.most = memory(server)
    began, first = processors(server), units(server)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield spent
    finally:
        ended.set()
        watcher.join()
        spent.processors = processors(server) - began
        spent.units = {name: used - first.get(name, 0.0) for name, used in units(server).items()}


def processors(server: Server) -> float:
    """Return the seconds of processors that the server's processes have used, those that ended included."""
    return _used(_top(server))


def units(server: Server) -> dict[str, float]:
    """Return the same of the processes that run now, and of their ended children, by their service."""
    found: dict[str, float] = {}
    for pid in _processes(server):
        with contextlib.suppress(OSError):
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            service = re.findall(r"/([^/\n]+\.service)\b", groups)
            name = service[-1] if service else "other"
            found[name] = found.get(name, 0.0) + processor_time(Path(f"/proc/{pid}/stat").read_text())
    return found


def _processes(server: Server) -> set[str]:
    return {line for path in _top(server).rglob("cgroup.procs") for line in path.read_text().split()}


def _top(server: Server) -> Path:
    old = _CGROUPS / "cpuacct" / server.session.name
    return old if old.is_dir() else _CGROUPS / server.session.name


def _used(place: Path) -> float:
    old = place / "cpuacct.usage"
    if old.exists():
        return int(old.read_text()) / 1e9
    found = re.search(r"^usage_usec (\d+)", (place / "cpu.stat").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1e6


def memory(server: Server) -> int:
    """Return the bytes of memory of the server's processes; what several share is counted once (PSS)."""
    found = 0
    for pid in _processes(server):
        with contextlib.suppress(OSError, AttributeError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found += int(re.search(r"^Pss: +(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return found * 1024
