"""Both sides of a trial together, as systemd joins them, around a QEMU that is a script."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.errors import NoMemory, NotInstalled, ToolFailed, WrongArchitecture
from ltspd.errors import TestFailed as Refused
from ltspd.model.image import Generation, Layer
from ltspd.paths import Paths
from ltspd.trial import trial
from ltspd.trial.messages import READS, Verdict
from tests import REPOSITORY
from tests.patience import PATIENCE

LAYER = Layer("ab" * 32, 4)
GENERATION = Generation("g1", "x", 0.0, "/", "x86_64", "6", (LAYER,), 1, 1, 1, 1, "")
WELL = r"""printf 'Linux version 6\r\nltsp: trial: its login will be told\r\nltsp: starting /sbin/init\r\n'
printf 'ltsp: trial: login\r\nltsp: trial: failed a.service\r\nltsp: trial: ended degraded\r\n'
sleep 60"""


class Steps:
    """A Progress that remembers its phases."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def phase(self, name: str, _share: float, _size: int = 0) -> None:
        self.names.append(name)

    def done(self, _fraction: float) -> None:
        return None


class World:
    """A server below a temporary root; its service manager starts the machine's process as the unit does."""

    def __init__(self, tmp_path: Path) -> None:
        self.paths = Paths(tmp_path / "root")
        self.programs = tmp_path / "bin"
        self.programs.mkdir()
        self.generation = self.paths.images / "x/generations/g1"
        self.layers = self.paths.images / "x/layers"
        for each in (self.generation, self.layers, self.paths.tftp_dir):
            each.mkdir(parents=True)
        for name in ("ltsp.img", "nbd.img"):
            (self.paths.tftp_dir / name).write_text(f"{name}.")
        (self.generation / "initrd.img").write_text("initrd")
        (self.layers / LAYER.file_name).write_text("hsqs")
        self.process: subprocess.Popen[bytes] | None = None
        self.refuses = ""
        self.steps = Steps()

    def qemu(self, script: str) -> None:
        file = self.programs / "qemu-system-x86_64"
        file.write_text(f'#!/bin/sh\necho "$@" >{self.programs}/arguments\n{script}\n')
        file.chmod(0o755)

    def _start(self, line: socket.socket) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        return subprocess.Popen(
            [sys.executable, "-m", "ltspd.trial"], stdin=line.fileno(), stdout=line.fileno(), env=environment
        )

    async def act(self, method: str, unit: str) -> str:
        assert unit == trial.UNIT
        if method == "StartUnit":
            if self.refuses:
                return self.refuses
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(self.paths.run / trial.SOCKET))
                self.process = self._start(line)
        elif self.process is not None:
            # The unit's KillSignal is for what does not end by itself when the daemon hangs up.
            await asyncio.to_thread(self.process.wait, PATIENCE)
        return "done"

    async def attempt(self, seconds: float = 30.0) -> Verdict:
        conditions = trial.Conditions(512, seconds, "quiet")
        places = (self.paths.run / "work", self.layers)
        return await trial.attempt(
            self.paths, self.act, GENERATION, places, self.generation, conditions, self.steps
        )


def written(path: Path) -> str:
    """Wait until a file has something in it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.005)
    raise TimeoutError(str(path))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    assert not (made.paths.run / trial.SOCKET).exists()


async def test_a_login_is_told_with_what_failed_on_the_way(world: World) -> None:
    world.qemu(f'while [ "$1" != -initrd ]; do shift; done; cp "$2" {world.programs}/initrd; shift\n{WELL}')
    assert str(await world.attempt()).endswith("failed units: a.service")
    assert (world.steps.names[0], world.steps.names[-1]) == ("firmware", "login")
    # Each archive begins at a multiple of four.
    assert (world.programs / "initrd").read_bytes() == b"ltsp.img.\0\0\0nbd.img.initrd\0\0"
    assert "-m 512" in (world.programs / "arguments").read_text()
    (log,) = (world.paths.state / "trials").iterdir()
    assert log.name == "x-g1.log"
    assert "ltsp: trial: login" in log.read_text()


# Sends what stands in a file to whoever takes what the machine has read.
TELL = r"""take=$(echo "$*" | sed 's|.*10820-cmd:/bin/sh \([^, ]*\).*|\1|')
sh "$take" <"${0%/*}/tells"
"""


async def test_what_the_machine_has_read_is_told(world: World) -> None:
    (world.programs / "tells").write_bytes(b"usr/bin/a\nusr/b c\nusr/\xff\nusr/is cut of")
    world.qemu(TELL + WELL)
    assert (await world.attempt()).reads == ("usr/bin/a", "usr/b c")


async def test_a_machine_that_tells_without_end_is_heard_so_far(world: World) -> None:
    (world.programs / "tells").write_bytes(b"usr/bin/a\n" * READS)
    world.qemu(TELL + WELL)
    reads = (await world.attempt()).reads
    assert len(reads) == READS // 10
    assert set(reads) == {"usr/bin/a"}


async def test_a_panic_is_the_reason_and_the_consoles_end_is_shown(world: World) -> None:
    world.qemu(r"printf 'a line\r\nKernel panic - not syncing: no root\r\nCall trace\r\n'; sleep 60")
    with pytest.raises(Refused) as refused:
        await world.attempt()
    message = refused.value.message
    assert "Generation g1 of x did not reach its login: its kernel panicked: no root." in message
    assert message.endswith("x-g1.log\n  a line\n  Kernel panic - not syncing: no root\n  Call trace")


async def test_a_machine_that_says_nothing_is_given_up(world: World) -> None:
    world.qemu("sleep 60")
    with pytest.raises(Refused, match="it took longer than 1 s"):
        await world.attempt(1.0)


async def test_a_qemu_that_does_not_run_is_the_reason(world: World) -> None:
    world.qemu("echo 'cannot set up guest memory' >&2; exit 1")
    with pytest.raises(Refused, match=r"QEMU ended \(status 1\): cannot set up guest memory"):
        await world.attempt()


async def test_a_file_that_is_missing_is_the_reason(world: World) -> None:
    (world.paths.tftp_dir / "nbd.img").unlink()
    with pytest.raises(Refused, match=r"nbd\.img"):
        await world.attempt()


async def test_cancelling_ends_the_machine(world: World) -> None:
    world.qemu(f"echo $$ >{world.programs}/pid; sleep 60")
    task = asyncio.create_task(world.attempt())
    pid = await asyncio.to_thread(written, world.programs / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.process is not None
    assert world.process.poll() is not None
    assert not Path("/proc", pid).exists()


async def test_a_unit_that_does_not_start_is_named(world: World) -> None:
    world.refuses = "failed"
    with pytest.raises(ToolFailed, match=r"ltspd-trial\.service can't be started \(failed\)"):
        await world.attempt()


async def test_a_process_that_ends_at_once_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(method: str, _unit: str) -> str:
        if method == "StartUnit":
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(world.paths.run / trial.SOCKET))
        return "done"

    monkeypatch.setattr(world, "act", act)
    with pytest.raises(ToolFailed, match=r"ended before it had an answer|nonsense"):
        await world.attempt()


def test_what_is_missing_is_named_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    paths = world.paths
    usr = paths.at("/usr/bin")
    usr.mkdir(parents=True)
    paths.at("/proc").mkdir()
    paths.at("/proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1048576 kB\n")
    with pytest.raises(NotInstalled, match="qemu-system-x86"):
        trial.check(paths, "x86_64", 768)
    (usr / "qemu-system-x86_64").touch()
    with pytest.raises(NotInstalled, match="package nbd-server"):
        trial.check(paths, "x86_64", 768)
    (usr / "nbd-server").touch()
    trial.check(paths, "i686", 768)
    with pytest.raises(NoMemory, match="takes 1025 MiB of memory, but only 1024 MiB are free"):
        trial.check(paths, "x86_64", 769)
    with pytest.raises(WrongArchitecture, match="aarch64"):
        trial.check(paths, "aarch64", 1)


def test_the_unit_and_the_program_agree() -> None:
    unit = (REPOSITORY / "systemd/ltspd-trial.service").read_text().splitlines()
    assert f"StandardInput=file:/run/ltspd/{trial.SOCKET}" in unit
    assert f"StandardOutput=file:/run/ltspd/{trial.SOCKET}" in unit
