"""The examples in docs/: what a page says to type, which test runs it, and what to write into ltsp.conf."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests import REPOSITORY

# How an example begins -> the test (or the tool of the lab) that runs it.
RUN = {
    "apt install ./ltspd_*.deb": "tests/package/test_package.py",
    "apt install /tmp/build/ltspd_*.deb": "tests/package/test_package.py",
    "apt install ltsp": "tests/package/test_migration.py",
    **dict.fromkeys(
        ("debian/make-source", "cd /tmp/build/ltspd-*", "dpkg-buildpackage"), "tests/package/packages.py"
    ),
    **dict.fromkeys(
        (
            "make install", "systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload",
            "systemctl reload dbus", "systemctl enable --now ltspd",
        ),
        "tests/package/test_package.py",
    ),
    "journalctl LTSPD_JOB=": "tests/unit/jobs/test_engine.py",
    "journalctl -u ltspd LTSPD_": "tests/bus/test_authorization.py",
    **dict.fromkeys(("S=org.ltsp.Server1", "busctl ", "gdbus "), "tests/bus/test_manual.py"),
    "cp classroom.qcow2": "tests/lab/booted.py",
    # These run the tests.
    "./demo": "demo",
    "./check": "check",
    ". /var/cache/ltspd-lab/venv/bin/activate": "tests/lab/setup.sh",
    "python -m pytest": "tests/lab/parts.py",
}  # fmt: skip
PROGRAMS = {
    *(start.split()[0] for start in RUN),
    *("ltspctl", "ltsp"),
}


def blocks(page: Path) -> Iterator[list[str]]:
    """Yield the lines of each example: fenced, or indented by four or (in a list) more.

    A fence with a second word is a file of an example of CONTRIBUTING.md, which other tests run.
    """
    fenced: list[str] | None = None
    indented: list[str] = []
    is_file = False
    for line in [*page.read_text().splitlines(), ""]:
        if line.startswith("```"):
            if fenced is not None and not is_file:
                yield fenced
            is_file = " " in line
            fenced = [] if fenced is None else None
        elif fenced is not None:
            fenced.append(line)
        elif re.match(r" {4,8}\S", line):
            indented.append(line.strip())
        elif indented and line.strip():
            yield indented
            indented = []


def is_conf(block: list[str]) -> bool:
    """Whether an example is a piece of ltsp.conf."""
    return any(re.fullmatch(r"\[[^]]+\]( +#.*)?", line) for line in block)


def is_command(line: str) -> bool:
    """Whether a line is one to type."""
    return line.split(" ")[0] in PROGRAMS


def commands(name: str) -> list[str]:
    """Return the commands of a page's examples, in their order."""
    found = []
    for block in blocks(REPOSITORY / "docs" / name):
        text = "\n".join(block).replace("\\\n", " ")
        found += [line for line in text.splitlines() if is_command(line)]
    return found
