"""What a server spends on its clients: seconds of processors of all its processes, and their memory."""

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.server import Server

_CGROUPS = Path("/sys/fs/cgroup")
# Seconds between two looks at the memory.
EVERY = 2.0


@dataclass(slots=True)
class Spent:
    """Seconds of processors, and bytes of memory of all processes: before, and at most."""

    processors: float = 0.0
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
    began = processors(server)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield spent
    finally:
        ended.set()
        watcher.join()
        spent.processors = processors(server) - began


def processors(server: Server) -> float:
    """Return the seconds of processors that the server's processes have used, those that ended included."""
    name = server.session.name
    old = _CGROUPS / "cpuacct" / name / "cpuacct.usage"
    if old.exists():
        return int(old.read_text()) / 1e9
    found = re.search(r"^usage_usec (\d+)", (_CGROUPS / name / "cpu.stat").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1e6


def memory(server: Server) -> int:
    """Return the bytes of memory of the server's processes; what several share is counted once (PSS)."""
    name = server.session.name
    tops = [top for top in (_CGROUPS / "cpuacct" / name, _CGROUPS / name) if top.is_dir()]
    found = 0
    for pid in {line for path in tops[0].rglob("cgroup.procs") for line in path.read_text().split()}:
        with contextlib.suppress(OSError, AttributeError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found += int(re.search(r"^Pss: +(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return found * 1024
