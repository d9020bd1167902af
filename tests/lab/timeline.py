"""Where a boot's time goes: which text on the console begins which stage, and a table of it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# The first text that shows that a stage has been reached; for the menu the last before the kernel, because
# a network card's own iPXE announces itself before the one that we serve, and that before our menu.
STAGES: Mapping[str, re.Pattern[str]] = {
    "firmware": re.compile(r"\S"),
    "menu": re.compile(r"iPXE (?:initialising|\d)|Press m for the boot menu|PXELINUX \d|Loading \S+ from \d"),
    "kernel": re.compile(r"Linux version \d"),
    "network": re.compile(r"ltsp: network up"),
    "root": re.compile(r"ltsp: root mounted"),
    "init": re.compile(r"ltsp: starting /"),
    # The kernel may say something between the host's name and the rest, which is on the next line then.
    "login": re.compile(r"(?m:\S*(?<!Last) |^)login: "),
}
REPEATED = frozenset({"menu"})


@dataclass(frozen=True, slots=True)
class Mark:
    """When a stage was reached, in seconds since power-on, and the bytes the client had received."""

    seconds: float
    received: int


def table(clients: Mapping[str, Mapping[str, Mark]]) -> str:
    """Return a table of when each client reached each stage; a stage never seen is a dash."""
    width = max([len(name) for name in clients] + [6])
    lines = ["".ljust(width) + "".join(f"{stage:>18}" for stage in STAGES)]
    for name, marks in clients.items():
        cells = [
            f"{marks[stage].seconds:7.1f} s {marks[stage].received / 1e6:5.1f} MB" if stage in marks else "–"
            for stage in STAGES
        ]
        lines.append(name.ljust(width) + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
