"""One build or fold by the product's own code in a process of its own, for its time and memory alone.

``python -m bench.operation build|full|fold STORE SOURCE`` prints what it took as JSON.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ltspd.image.build import Build, BuildOptions, build, preflight
from ltspd.image.fold import fold
from ltspd.model.image import Generation, Source, SourceKind
from ltspd.paths import Paths
from tests import REPOSITORY


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds on the clock and of processors, largest memory in bytes, sizes of layers, phases in s."""

    wall: float
    cpu: float
    memory: int
    layers: list[int]
    changed: bool = True
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(self.layers)


def run(kind: str, store: Path, source: Path) -> Took:
    """Do one operation in a new process; raises RuntimeError with the end of what it said."""
    command = [sys.executable, "-m", "bench.operation", kind, str(store), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode:
        raise RuntimeError(f"{kind} of {source.name}: {done.stderr[-2000:]}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


class _Watch:
    """A Progress that times the phases."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase."""
        self.began.append((name, time.monotonic()))

    def done(self, fraction: float) -> None:
        """Say nothing."""

    def times(self) -> dict[str, float]:
        """Return what each phase took."""
        ends = [moment for _, moment in self.began[1:]] + [time.monotonic()]
        return {name: end - begin for (name, begin), end in zip(self.began, ends, strict=True)}


async def _operate(kind: str, store: Path, source: Path, watch: _Watch) -> tuple[Generation, bool]:
    paths = Paths(root=store)
    if kind == "fold":
        return await fold(paths, source.name, watch, background=False), True
    found = Source(source.name, SourceKind.DIRECTORY, str(source))
    wanted = Build(paths, found, BuildOptions(full=kind == "full"), watch)
    built = await build(wanted, await preflight(wanted))
    return built.generation, built.changed


def _main(kind: str, store: Path, source: Path) -> None:
    watch = _Watch()
    began, before = time.monotonic(), os.times()
    generation, changed = asyncio.run(_operate(kind, store, source, watch))
    wall, after = time.monotonic() - began, os.times()
    # Not our own ru_maxrss: that includes the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    peaks = [own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]
    took = {
        "wall": wall,
        "cpu": sum(after[:4]) - sum(before[:4]),
        # An upper bound: the two maxima may be at different times.
        "memory": sum(peaks) * 1024,
        "layers": [layer.size for layer in generation.layers],
        "changed": changed,
        "phases": watch.times(),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
