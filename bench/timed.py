"""How long a command of a server takes, on the clock and of processors."""

import re
import shlex
from dataclasses import dataclass

from tests.lab.server import Server


@dataclass(frozen=True, slots=True)
class Build:
    """One build of an image: seconds on the clock, seconds of processors, bytes that clients get."""

    wall: float
    cpu: float
    size: int

    def words(self) -> str:
        """Return the build in one line."""
        return f"{self.wall:.1f} s, {self.cpu:.1f} s of processors, {self.size / 1e6:.1f} MB"


def timed(server: Server, command: str, patience: float) -> tuple[float, float]:
    """Run a command on a server; return its seconds on the clock, and those of it and its children.

    Raises RuntimeError with the end of its output if it fails or takes longer than ``patience`` seconds.
    """
    script = f"{{ {command}; }} >/tmp/timed.log 2>&1 || {{ tail -n 20 /tmp/timed.log; exit 1; }}"
    # bash's own clock covers all its children, and needs no package.
    clock = f'TIMEFORMAT="time %R %U %S"; time {{ {script}; }}'
    output = server.run(f"bash -c {shlex.quote(clock)}", timeout=patience)
    found = re.search(r"^time ([\d.]+) ([\d.]+) ([\d.]+)$", output, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"bash did not say how long {command!r} took: {output[-500:]}")
    wall, user, system = (float(each) for each in found.groups())
    return wall, user + system


def processor_time(stat: str) -> float:
    """Return the seconds of processors of a process and its ended children, as its file in /proc has them."""
    # proc(5): field 2, the name, is in parentheses and may contain anything; the times are fields 14 to 17.
    return sum(int(each) for each in stat.rpartition(")")[2].split()[11:15]) / 100
