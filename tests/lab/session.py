"""One run of the lab: its directories, its lock, its programs, and what dead runs left behind.

Everything a run makes carries the run's name, so that whatever is left can be told from other
people's things, and removed by whoever comes next.
"""

import atexit
import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.lab import inotify
from tests.lab.cache import cache_dir, locked
from tests.patience import PATIENCE

PREFIX = "ltspd-lab"
# Logs of this many runs that have ended are kept.
KEPT_LOGS = 12
_NETNS = Path("/run/netns")
_CGROUPS = Path("/sys/fs/cgroup")
# systemd-nspawn keeps a directory a machine here, and can't remove it where /run is no tmpfs.
_NSPAWN = Path("/run/systemd/nspawn/propagate")
_counter = itertools.count(1)


@dataclass(slots=True)
class Session:
    """A run: ``name`` is in the name of everything it makes; ``stack`` removes all of it."""

    name: str
    directory: Path
    logs: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(
        self,
        argv: Sequence[str],
        *,
        log: str,
        netns: str | None = None,
        stop_signal: int = signal.SIGTERM,
        pass_fds: Sequence[int] = (),
    ) -> "subprocess.Popen[bytes]":
        """Start a program that ends with this run, whatever happens to this process.

        ``log`` names the file in ``logs`` that takes its output; ``netns`` the network namespace it
        runs in. The program is outside our process group, so that Ctrl-C reaches only us.
        """
        command = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
        if netns is not None:
            command = ["nsenter", f"--net={_NETNS / netns}", "--", *command]
        with (self.logs / log).open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        self.stack.callback(end, process, stop_signal)
        return process

    def close(self) -> None:
        """Remove everything this run made; the logs stay. Further Ctrl-C waits until that is done."""
        with _signals_held():
            self.stack.close()


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM, patience: float = 10.0) -> None:
    """End one program: ask with the signal ``number``, after ``patience`` seconds kill."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@contextlib.contextmanager
def open_session() -> Iterator[Session]:
    """Make a run of the lab; all it made is gone when this ends, also by an error or a signal."""
    if os.geteuid() != 0:
        raise RuntimeError("the lab needs root: it makes network namespaces, mounts and a container")
    name = f"{PREFIX}-{os.getpid()}-{next(_counter)}"
    directory = cache_dir() / "runs" / name
    logs = cache_dir() / "logs" / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
    # Nobody may sweep between our making the directory and our locking it.
    with locked(cache_dir() / "runs.lock"):
        sweep()
        inotify.raise_limit(cache_dir() / "runs")
        directory.mkdir(parents=True)
        lock = hold(directory)
        logs.mkdir(parents=True, exist_ok=True)
        (directory / "logs").symlink_to(logs)
    session = Session(name, directory, logs)
    session.stack.callback(lock.close)
    session.stack.callback(_give_back_limits)
    session.stack.callback(shutil.rmtree, directory, ignore_errors=True)
    session.stack.callback(_remove_container, name)
    session.stack.callback(_detach_loop_devices, directory)
    atexit.register(session.close)
    try:
        with _signals_raise():
            yield session
    finally:
        session.close()
        atexit.unregister(session.close)


def hold(directory: Path) -> IO[str]:
    """Lock a run's directory, which says that the run lives until the file is closed."""
    lock = (directory / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _give_back_limits() -> None:
    with locked(cache_dir() / "runs.lock"):
        runs = cache_dir() / "runs"
        inotify.give_back(runs, others=any(runs.glob(f"{PREFIX}-*")))


def sweep() -> None:
    """Remove what runs left behind that died without cleaning up; a live run holds its lock.

    The caller holds the lock of all runs.
    """
    runs = cache_dir() / "runs"
    for directory in runs.glob(f"{PREFIX}-*"):
        with contextlib.suppress(OSError), (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for netns in _NETNS.glob(f"{directory.name}-*"):
                subprocess.run(["ip", "netns", "delete", netns.name], check=False)
            _detach_loop_devices(directory)
            _remove_container(directory.name)
            shutil.rmtree(directory, ignore_errors=True)
    # A run may live for as long as many others that come and go, so its own logs are no old ones.
    used = {place.readlink().name for place in runs.glob(f"{PREFIX}-*/logs")}
    ended = [logs for logs in sorted((cache_dir() / "logs").glob("2*")) if logs.name not in used]
    for old in ended[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)


def leftovers(name: str) -> list[str]:
    """Return what still exists of the run ``name`` on this machine, in words; empty when clean."""
    found = [f"network namespace {path.name}" for path in _NETNS.glob(f"{name}-*")]
    found += [f"directory {path}" for path in (cache_dir() / "runs").glob(name)]
    found += [f"directory {path}" for path in _NSPAWN.glob(name)]
    found += [f"control group {path}" for path in _cgroups(name)]
    found += [f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if name in line]
    found += [f"loop device {device}" for device in loop_devices(cache_dir() / "runs" / name)]
    found += [f"process {pid}" for pid in _processes(name)]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if name.encode() in (process / "cmdline").read_bytes():
                found.append(f"process {process.name}")
    return found


def loop_devices(directory: Path) -> list[str]:
    """Return the loop devices attached to files below ``directory``, by inode number and file name.

    The path that the kernel tells is of no use: it is the one in the container, or no longer one.
    """
    columns = ["losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-INO,BACK-FILE"]
    rows = subprocess.run(columns, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {}
    for device, inode, *path in (row.split() for row in rows):
        wanted[int(inode), Path(path[0].replace("\\x20", " ").split(" (deleted)")[0]).name] = device
    found = []
    for parent, _, names in os.walk(directory) if wanted else ():
        for name in {name for _, name in wanted}.intersection(names):
            with contextlib.suppress(OSError):
                key = ((Path(parent) / name).stat().st_ino, name)
                found += [wanted[key]] if key in wanted else []
    return sorted(set(found))


def _detach_loop_devices(directory: Path) -> None:
    for device in loop_devices(directory):
        subprocess.run(["losetup", "--detach", device], check=False)


def _cgroups(name: str) -> list[Path]:
    # Version 1 has one tree a controller below the top; version 2 is either one of them or the top itself.
    return [*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}")]


def _processes(name: str) -> set[int]:
    """Return the processes in the run's control groups; nobody else's are there."""
    lists = [path for top in _cgroups(name) for path in top.rglob("cgroup.procs")]
    found: set[int] = set()
    for path in lists:
        with contextlib.suppress(OSError):
            found.update(int(line) for line in path.read_text().split())
    return found - {0}


def _remove_container(name: str) -> None:
    # The kernel ends a container's processes when its first one dies, but that takes it a moment.
    deadline = time.monotonic() + PATIENCE
    while (left := _processes(name)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    shutil.rmtree(_NSPAWN / name, ignore_errors=True)
    for top in _cgroups(name):
        for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack like Ctrl-C does, instead of ending us on the spot."""

    def unwind(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
