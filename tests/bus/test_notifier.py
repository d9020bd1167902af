"""The notifier between the service and a notification server, both on the private bus."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Message, MessageType

from ltspd.api.service import Service
from ltspd.dbus import connection
from ltspd.dbus.connection import Connection
from ltspd.errors import ToolFailed
from ltspd.notifier import notice
from ltspd.notifier.__main__ import NAME, PATH
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.bus import end_bus, start_bus
from tests.worlds.bus_fakes import FakeServer


class Desktop:
    """A notification server: remembers what it is to show, and clicks."""

    def __init__(self, bus: Connection) -> None:
        self.bus = bus
        self.shown: list[list[Any]] = []
        self.more = asyncio.Event()
        self.sender = ""
        bus.add_message_handler(self._handle)

    def _handle(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        assert (message.member, message.signature) == ("Notify", "susssasa{sv}i")
        self.sender = message.sender
        self.shown.append(message.body)
        self.bus.send(Message.new_method_return(message, "u", [message.body[1] or len(self.shown)]))
        self.more.set()
        return True

    async def until(self, fits: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while not (found := [each for each in self.shown if fits(each)]):
                self.more.clear()
                await self.more.wait()
        return found[-1]

    def click(self, number: int, action: str) -> None:
        """Tell only the program that the notification is from, as some desktops do."""
        signal = Message.new_signal(PATH, NAME, "ActionInvoked", "us", [number, action])
        signal.destination = self.sender
        self.bus.send(signal)


@pytest.fixture
async def desktop(bus_address: str) -> AsyncIterator[Desktop]:
    bus = await connection.connect(bus_address)
    fake = Desktop(bus)
    try:
        await connection.daemon_call(bus, "RequestName", "su", [NAME, 4])
        yield fake
    finally:
        await bus.close()


@pytest.fixture
async def notifier(
    service: Service, desktop: Desktop, bus_address: str, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    opened = f'cat "$1" > {tmp_path}/opened; mv {tmp_path}/opened {tmp_path}/seen'
    programs = {"journalctl": 'echo "$@"', "xdg-open": opened}
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ltspd.notifier", "--always",
        cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(tmp_path),
            "DBUS_SYSTEM_BUS_ADDRESS": bus_address, "DBUS_SESSION_BUS_ADDRESS": bus_address,
        },
    )  # fmt: skip
    yield process
    if process.returncode is None:
        process.terminate()
    _, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()


async def test_what_is_wrong_at_login_and_what_comes_later_is_told(
    notifier: object, desktop: Desktop, server: FakeServer
) -> None:
    first = await desktop.until(lambda each: "line 3 is odd" in each[4])
    assert first[3] == "The network boot server needs attention"
    server.set(problems=(*server.state.problems, "dhcp: <port> 67 & so"))
    second = await desktop.until(lambda each: "port" in each[4])
    assert second[4] == "dhcp: &lt;port&gt; 67 &amp; so"
    assert second[1] == 1, "it takes the place of the first"


async def test_a_build_is_told_and_can_be_reverted(
    notifier: object, desktop: Desktop, server: FakeServer
) -> None:
    await desktop.until(lambda each: True)
    server.go.set()
    job = await server.builds.start("x86_64", {}, 0)
    told = await desktop.until(lambda each: each[3] == "The image x86_64 is built")
    assert told[5] == [f"log {job}", "Show log", "revert x86_64", "Back to the one before"]
    assert told[6]["urgency"].value == 1
    number = len(desktop.shown)
    desktop.click(number + 50, "revert x86_64")  # somebody else's
    desktop.click(number, "revert x86_64")
    await desktop.until(lambda each: "of before" in each[3])
    assert server.calls[1:] == [("revert", "x86_64", "")]


async def test_a_failed_build_is_told_with_its_reason_and_its_log(
    notifier: object, desktop: Desktop, server: FakeServer, tmp_path: Path
) -> None:
    await desktop.until(lambda each: True)
    server.build_error = ToolFailed("mksquashfs: No space left")
    server.go.set()
    job = await server.builds.start("x86_64", {}, 0)
    told = await desktop.until(lambda each: "could not be built" in each[3])
    assert (told[4], told[6]["urgency"].value) == ("mksquashfs: No space left", 2)
    desktop.click(len(desktop.shown), "log ../../etc/x")
    desktop.click(len(desktop.shown), f"log {job}")
    async with asyncio.timeout(PATIENCE):
        while not (tmp_path / "seen").exists():  # noqa: ASYNC110 (another process acts)
            await asyncio.sleep(0.02)
    assert f"--output=short LTSPD_JOB={job}" in (tmp_path / "seen").read_text()


async def test_a_refused_revert_is_told(notifier: object, desktop: Desktop, server: FakeServer) -> None:
    await desktop.until(lambda each: True)
    server.go.set()
    await server.builds.start("bad name/%", {}, 0)
    await desktop.until(lambda each: each[3].endswith("is built"))
    desktop.click(len(desktop.shown), "revert bad name/%")
    told = await desktop.until(lambda each: "left as it is" in each[3])
    assert "no other generation" in told[4]


async def test_it_ends_with_the_bus(tmp_path_factory: pytest.TempPathFactory) -> None:
    bus, address = start_bus(tmp_path_factory.mktemp("ending"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ltspd.notifier", "--always",
        cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address, "DBUS_SESSION_BUS_ADDRESS": address},
    )  # fmt: skip
    # Its two connections, and ours.
    ours = await connection.connect(address)
    async with asyncio.timeout(PATIENCE):
        while sum(name.startswith(":") for name in (await connection.daemon_call(ours, "ListNames"))[0]) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await ours.close()
    end_bus(bus)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    assert b"Traceback" not in err


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
async def test_it_is_quiet_for_those_whom_it_does_not_concern() -> None:
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
        "from ltspd.notifier.__main__ import main; sys.exit(main([]))",
        env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, err) == (0, b"")


def test_only_new_problems_are_told_and_not_too_many() -> None:
    assert notice.attention(["a"], ["a"]) is None
    assert notice.attention(["a"], []) is None
    told = notice.attention([], [str(number) for number in range(9)])
    assert told is not None
    assert told.body.splitlines() == ["0", "1", "2", "3", "… and 5 more: ltspctl status"]
    assert notice.finished({"Kind": "fold", "Subject": "x", "Id": "1", "State": "failed"}) is None
    assert notice.finished({"Kind": "build", "Subject": "x", "Id": "1", "State": "cancelled"}) is None
