"""Runs the parts of `./check` side by side, as many as the machine bears, each with a log of its own.

The longest begins first. What the parts print does not mix: it is in `.check/NAME.log`, and what failed is
shown at the end. The last line counts all tests as pytest's closing line does.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests import REPOSITORY

LOGS = REPOSITORY / ".check"
TESTS = REPOSITORY / "tests"
# Parts that are no folder of tests.
TOOLS = ("lint", "types", "shell")
# Folders whose tests are independent of each other, so that one part may use all cores by itself.
SPREAD = ("pure", "unit", "bus")
# Each of these takes half an hour or more, or asks an archive that changes every day: they run if named.
NAMED = (
    *("package", "matrix", "nfs", "next", "managers", "firmware", "desktop", "classroom", "sessions"),
    "cockpit",
)
# About how many seconds a part takes on two cores. It only tells which begins first; others count as 60.
SECONDS = {
    "package": 2400,
    "matrix": 1800,
    "nfs": 1800,
    "next": 1800,
    "firmware": 1800,
    "desktop": 2400,
    "classroom": 300,
    "cockpit": 300,
    "sessions": 1500,
    "netboot": 2400,
    "running": 950,
    "namespaces": 1150,
    "login": 650,
    "unit": 230,
    "images": 190,
    "disks": 180,
    "pam": 250,
    "managers": 1800,
    "bus": 60,
    "types": 30,
}
# Root trees that a part needs are made before it, beside the others.
TREES = {
    "unit": ("ltsp",),
    "netboot": ("server", "trial-server", "client", "trixie"),
    "running": ("server", "client", "trixie"),
    "login": ("login-server", "trixie-server", "client", "trixie"),
    "pam": ("bookworm-logins", "trixie-logins"),
    "firmware": ("server", "dhcp-server", "client", "client-i386", "client-arm64"),
    "managers": ("bookworm-cards", "trixie-cards", "bookworm-firewalls", "trixie-firewalls", "client"),
    "matrix": ("server", "trial-server", "client", "trixie"),
    "nfs": ("nfs-server", "trixie-nfs-server", "server", "client"),
    "classroom": ("classroom-server", "classroom"),
    "cockpit": ("cockpit-server", "trixie-cockpit-server", "sessions", "client"),
    "desktop": ("login-server", "greeters", "trixie-server", "trixie-greeters"),
    "sessions": ("session-server", "sessions", "trixie-session-server", "trixie-sessions", "kiosks"),
    "next": ("next-server", "next-client", "next-initramfs", "login-server", "next-plasma"),
}
# GiB of memory that one part may take: a server, and several clients of 1 GiB of which each uses half.
MEMORY = 2
# Seconds that a part has to put things away after Ctrl-C.
PATIENCE = 60.0
# Seconds between two looks at what runs; parts run for seconds to half an hour.
LOOK = 0.2
# So many failures of one part may be tried once more; more are no accident of a busy machine.
FEW = 3
# Words of pytest's closing line, in its order, and the element of a JUnit report that means each.
OUTCOMES = {"failed": "failure", "passed": "", "skipped": "skipped", "error": "error"}


@dataclass(slots=True)
class Part:
    """A part: commands, of which each begins if the one before ended well; how many cores it takes."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    cores: int = 1
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0
    took: float = 0.0
    status: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"

    @property
    def report(self) -> Path:
        """Where pytest writes its JUnit report; a tool has none."""
        return LOGS / f"{self.name}.xml"


def shell_files() -> list[str]:
    """Return the shell scripts of the repository, by name or by first line."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    first = re.compile(rb"#! ?/(usr/)?bin/(env )?(busybox )?(ba|da)?sh")
    found = []
    for name in filter(None, names.decode().split("\0")):
        path = REPOSITORY / name
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if name.endswith(".sh") or first.match(file.read(64)):
                    found.append(name)
    return found


def folders() -> list[str]:
    """Return the folders of tests, which are the parts beside the tools."""
    return sorted({path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")})


def chosen(names: Sequence[str]) -> list[str]:
    """Return the parts to run, longest first; ValueError says which one is not there."""
    known = [*TOOLS, *folders()]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no part {name}; the parts are {' '.join(known)}; quick comes first")
    wanted = dict.fromkeys(names or (each for each in known if each not in NAMED))
    return sorted(wanted, key=lambda name: -SECONDS.get(name, 60))


def parts_of(names: Sequence[str], cores: int) -> list[Part]:
    """Return the parts of these names; independent tests use all cores if no other tests would."""
    spread = cores if all(name in (*SPREAD, *TOOLS) for name in names) else 1
    return [_part(name, spread if name in SPREAD else 1) for name in names]


def _part(name: str, cores: int) -> Part:
    match name:
        case "lint":
            return Part(name, (("ruff", "check", "."), ("ruff", "format", "--check", ".")))
        case "types":
            return Part(name, (("mypy",),))
        case "shell":
            return Part(name, (("shellcheck", *shell_files()),))
    tests = [sys.executable, "-m", "pytest", "-q", "--durations=10", "--durations-min=1"]
    tests += [f"--junit-xml={LOGS / name}.xml", "-o", f"cache_dir={LOGS / name}.cache", f"tests/{name}"]
    # Half of the time these tests wait for another process, so two of them share a core.
    tests += ["-n", str(2 * cores)] if cores > 1 else []
    trees = [(sys.executable, "-m", "tests.lab.trees", *TREES[name])] if name in TREES else []
    return Part(name, (*trees, tuple(tests)), cores)


def slots() -> int:
    """Return how many parts may run at a time: one a core, if there is memory for each."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, round(pages / (MEMORY << 30))))


def run(parts: Iterable[Part], free: int) -> None:
    """Run parts in their order as cores become free, to the last one's end. KeyboardInterrupt ends all."""
    waiting, running = list(parts), list[Part]()
    most = free
    try:
        while waiting or running:
            for part in list(waiting):
                if min(part.cores, most) <= free:
                    waiting.remove(part)
                    free -= min(part.cores, most)
                    running.append(part)
                    _start(part)
            time.sleep(LOOK)
            for part in list(running):
                if part.process and (status := part.process.poll()) is not None:
                    running.remove(part)
                    free += min(part.cores, most)
                    _ended(part, status)
    except BaseException:
        _end(running)
        raise


def _start(part: Part) -> None:
    part.began = time.monotonic()
    part.report.unlink(missing_ok=True)
    print(f"== {part.name}: begins; its log is {part.log.relative_to(REPOSITORY)}", flush=True)
    # Should we be killed, the last command, which takes the shell's place, gets a Ctrl-C.
    *before, last = map(shlex.join, part.commands)
    script = " && ".join([*before, f"exec {last}"])
    with part.log.open("wb") as log:
        part.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "INT", "--", "sh", "-c", script],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _ended(part: Part, status: int) -> None:
    part.status = status
    part.took = time.monotonic() - part.began
    part.counts = counts(part.report)
    if status and not part.counts["failed"] + part.counts["error"]:
        part.counts["error"] += 1  # a tool that found something, or a pytest that did not come to its end
    print(f"== {part.name}: {summary(part.counts, part.took)}", flush=True)


def once_more(part: Part) -> None:
    """Run the few tests of a part that failed once more, now that nothing else runs beside them.

    Emulated machines on a busy computer sometimes come late in a way that no test foresaw. Such a test is
    named as unsteady, so that somebody mends it, and holds nobody up. One that fails again has failed.
    """
    if part.name in TOOLS or part.counts["error"] or not 0 < part.counts["failed"] <= FEW:
        return
    print(*findings(part), f"== {part.name}: what failed runs once more, alone", sep="\n", flush=True)
    command = [*part.commands[-1], "--last-failed", "--last-failed-no-failures=none"]
    with part.log.open("ab") as log:
        status = subprocess.run(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).returncode
    again = counts(part.report)
    if status or again["passed"] != part.counts["failed"]:
        return
    print(f"== {part.name}: UNSTEADY: {again['passed']} failed beside others and passed alone", flush=True)
    part.counts["passed"] += part.counts.pop("failed")
    part.status = 0


def _end(running: Sequence[Part]) -> None:
    """End parts by their process groups: as Ctrl-C does, so that each puts its things away, or by force."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        print(f"\n== ending {', '.join(each.name for each in running)}", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for part in running:
                assert part.process is not None
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(part.process.pid, number)
            deadline = time.monotonic() + PATIENCE
            for part in running:
                assert part.process is not None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.process.wait(max(0.1, deadline - time.monotonic()))
    finally:
        # Programs that are started later inherit what is blocked, and would not hear Ctrl-C.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def counts(report: Path) -> Counter[str]:
    """Count the outcomes of a JUnit report; none if it was not written to its end."""
    found = Counter[str]()
    with contextlib.suppress(OSError, ElementTree.ParseError):
        for case in ElementTree.parse(report).iter("testcase"):
            inside = {each.tag for each in case}
            found[next((word for word, tag in OUTCOMES.items() if tag in inside), "passed")] += 1
    return found


def summary(found: Counter[str], seconds: float) -> str:
    """Return what pytest's closing line says: `1 failed, 2 passed in 3.00s`."""
    words = [
        f"{found[word]} {word}{'s' * (word == 'error' and found[word] > 1)}"
        for word in OUTCOMES
        if found[word]
    ]
    hours = f" ({int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02})"
    return f"{', '.join(words) or 'passed'} in {seconds:.2f}s{hours if seconds >= 60 else ''}"


def findings(part: Part) -> Iterator[str]:
    """Yield what a part that failed has to say: pytest's failures, or all that a tool printed."""
    text = part.log.read_text(errors="replace")
    begin = re.search(r"^=+ (FAILURES|ERRORS) =+$", text, re.MULTILINE)
    yield f"{f' {part.name} ':=^110}"
    yield text[begin.start() if begin else 0 :].rstrip("\n")


def main() -> int:
    """Run what the arguments name, and return the exit status."""
    began = time.monotonic()
    try:
        names = chosen(sys.argv[1:])
    except ValueError as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    LOGS.mkdir(exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    parts = parts_of(names, slots())
    try:
        run(parts, slots())
        for part in parts:
            if part.status:
                once_more(part)
    except KeyboardInterrupt:
        print("== ended by a signal")
        return 130
    failed = [part for part in parts if part.status]
    for part in failed:
        print(*findings(part), sep="\n")
    if failed:
        print(f"== FAILED: {' '.join(part.name for part in failed)}")
    total = sum((part.counts for part in parts), Counter[str]())
    print(f"{f' {summary(total, time.monotonic() - began)} ':=^110}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
