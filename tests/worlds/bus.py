"""A private bus, and a caller on it: what is asked, what is heard."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ltspd.dbus import connection
from ltspd.dbus.connection import Connection
from ltspd.names import ROOT_PATH, STEM, interface
from tests.patience import PATIENCE

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:abstract={socket}</listen>
  <auth>EXTERNAL</auth>
  {policy}
</busconfig>
"""
ALL_GRANTED = """
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
"""


def start_bus(folder: Path, policy: str = ALL_GRANTED) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a bus of its own, configured in ``folder``; the caller ends it."""
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("dbus-daemon is not installed")
    # Abstract: callers of other users must be able to reach it, and the folder is ours alone.
    socket = f"ltspd-test-{os.getpid()}-{folder.name}"
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(socket=socket, policy=policy))
    process = subprocess.Popen(
        [program, f"--config-file={config}", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    address = process.stdout.readline().decode().strip()
    if not address:
        end_bus(process)
        pytest.fail("dbus-daemon did not start")
    return process, address


def end_bus(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(PATIENCE)
    assert process.stdout is not None
    process.stdout.close()


@contextmanager
def private_bus(folder: Path, policy: str = ALL_GRANTED) -> Iterator[str]:
    """Have a bus of its own for a while, and yield its address."""
    process, address = start_bus(folder, policy)
    try:
        yield address
    finally:
        end_bus(process)


async def ask(
    bus: Connection,
    noun: str,
    member: str,
    signature: str = "",
    *body: Any,
    path: str = ROOT_PATH,
    flags: int = 0,
    timeout: float = 10.0,
) -> list[Any]:
    """Call a method of one of the product's interfaces."""
    name = noun if "." in noun else interface(noun)
    return await connection.call(bus, STEM, path, name, member, signature, body, flags=flags, timeout=timeout)


async def get_all(bus: Connection, noun: str, path: str = ROOT_PATH) -> dict[str, Any]:
    (found,) = await ask(bus, "org.freedesktop.DBus.Properties", "GetAll", "s", interface(noun), path=path)
    return {name: variant.value for name, variant in found.items()}


class Signals:
    """Everything that a connection hears from the service, in order."""

    def __init__(self, bus: Connection) -> None:
        self.bus = bus
        self.heard: list[Any] = []
        self.more = asyncio.Event()
        bus.add_message_handler(self._handle)

    async def subscribe(self) -> "Signals":
        rule = f"type='signal',sender='{STEM}'"
        await connection.daemon_call(self.bus, "AddMatch", "s", [rule])
        return self

    def _handle(self, message: Any) -> bool:
        if message.path and message.path.startswith(ROOT_PATH):
            self.heard.append(message)
            self.more.set()
        return False

    async def until(self, member: str, count: int = 1) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while len(found := [each for each in self.heard if each.member == member]) < count:
                self.more.clear()
                await self.more.wait()
        return found
