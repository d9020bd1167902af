"""LTSP's own code, run from Debian's package: which values it works out of an ltsp.conf for a host.

It runs in namespaces of its own: no network, no processes but its own, and a root that is read-only.
"""

import contextlib
import itertools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab import trees
from tests.patience import PATIENCE

DRIVER = Path(__file__).with_suffix(".sh")
_ENTER = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/mnt"
mkdir "$1/mnt/questions"
mount --bind "$2" "$1/mnt/questions"
chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=linux dash /mnt/questions/driver
exit $?
"""
# Variables of the shell, and of LTSP before it reads the file.
_OWN = frozenset(
    {"PATH", "HOME", "TERM", "PWD", "OLDPWD", "SHLVL", "_", "DEVICE", "MAC_ADDRESS", "IP_ADDRESS"}
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Who asks at which applet of LTSP.

    ``kind``: client, server, menu (the server, for a menu), hooks (a client that runs its hooks, too), and of
    ours: ours, our-hooks.
    """

    mac: str = "52:54:00:00:00:01"
    ip: str = "192.168.67.20"
    hostname: str = ""
    kind: str = "client"
    applet: str = "init"


@dataclass(frozen=True, slots=True)
class Answer:
    """The variables afterwards, and what the shell said; ``stopped``: LTSP gave up, so there are none."""

    values: Mapping[str, str]
    said: str
    stopped: bool


class Ltsp:
    """LTSP's code in its sandbox, which answers questions until it is closed."""

    def __init__(self, place: Path, tree: Path) -> None:
        """Start it; ``place`` is an empty directory for questions and answers."""
        self.tree = tree
        self._place = place
        self._numbers = itertools.count(1)
        (place / "driver").write_bytes(DRIVER.read_bytes())
        namespaces = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts")
        self._process = subprocess.Popen(
            [
                *("timeout", str(PATIENCE), "unshare", *namespaces, "--fork", "--kill-child"),
                *("sh", "-ec", _ENTER, "sh", str(tree), str(place)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, text: bytes, machines: Sequence[Machine]) -> list[Answer]:
        """Return what LTSP works out of this ltsp.conf for each machine."""
        return self._ask({"conf": text}, [(each, "conf") for each in machines])

    def run(self, programs: Sequence[tuple[Machine, bytes]], kind: str = "ours") -> list[Answer]:
        """Return the settings that our clients have: each runs its own script of client/live/code.sh."""
        files = {f"run{number}": program for number, (_, program) in enumerate(programs)}
        machines = (replace(each, kind=kind) for each, _ in programs)
        return self._ask(files, list(zip(machines, files, strict=True)))

    def _ask(self, files: Mapping[str, bytes], questions: Sequence[tuple[Machine, str]]) -> list[Answer]:
        assert self._process.stdin
        assert self._process.stdout
        for name, content in files.items():
            (self._place / name).write_bytes(content)
        numbers = [str(next(self._numbers)) for _ in questions]
        for number, (each, file) in zip(numbers, questions, strict=True):
            words = (number, each.kind, each.applet, each.mac, each.ip, each.hostname, file)
            self._process.stdin.write(" ".join(word or "-" for word in words) + "\n")
        self._process.stdin.flush()
        for number in numbers:
            assert self._process.stdout.readline() == f"{number}\n", "LTSP's code has ended"
        return [self._answer(number) for number in numbers]

    def _answer(self, number: str) -> Answer:
        said = _taken(self._place / f"{number}.said")
        try:
            values = _taken(self._place / f"{number}.values")
        except FileNotFoundError:
            return Answer({}, said, stopped=True)
        pairs = (each.partition("=") for each in values.split("\0")[:-1])
        found = {name: value for name, _, value in pairs}
        return Answer({name: found[name] for name in found if not _is_own(name)}, said, stopped=False)

    def close(self) -> None:
        """End it."""
        with self._process:
            pass


def _taken(file: Path) -> str:
    text = file.read_bytes().decode(errors="surrogateescape")
    file.unlink()
    return text


def _is_own(name: str) -> bool:
    """Whether a variable is the shell's, or LTSP's before it reads the file; section_x: x was read."""
    return name in _OWN or name.startswith("section_")


@contextlib.contextmanager
def ltsp(place: Path) -> Iterator[Ltsp]:
    """Have LTSP's code answer questions; ``place`` is an empty directory."""
    running = Ltsp(place, trees.tree("ltsp"))
    try:
        yield running
    finally:
        running.close()
