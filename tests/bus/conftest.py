"""A private bus for each test session, and a service with its fakes for each test."""

import asyncio
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbus_next.aio import MessageBus

from ltspd.bus import connection, polkit
from ltspd.bus.service import Service
from ltspd.names import ROOT_PATH, STEM, interface
from tests.bus.fakes import FakePolkit, FakeServer

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def start_bus(folder: Path) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a bus with a socket in ``folder`` that grants everything; the caller ends it."""
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("dbus-daemon is not installed")
    socket = folder / "bus"
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(socket=socket))
    process = subprocess.Popen(
        [program, f"--config-file={config}", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    address = process.stdout.readline().decode().strip()
    assert address, "dbus-daemon did not start"
    return process, address


def end_bus(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(5)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="session")
def bus_address() -> Iterator[str]:
    # Not pytest's own folder: callers of other users must be able to reach the socket.
    with tempfile.TemporaryDirectory(prefix="ltspd-bus-") as name:
        os.chmod(name, 0o755)
        process, address = start_bus(Path(name))
        try:
            yield address
        finally:
            end_bus(process)


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a descriptor behind."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    await asyncio.sleep(0)
    left = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
    assert not {name for name in left if name.startswith(("call", "job", "bus"))}
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    yield fake
    await fake.jobs.stop()


@pytest.fixture
async def start(bus_address: str, server: FakeServer) -> AsyncIterator[Start]:
    """Return a function that starts the service; it is stopped after the test."""
    running: list[Service] = []

    async def starter(**options: Any) -> Service:
        service = Service(await connection.connect(bus_address), server, **options)
        running.append(service)
        await service.start()
        server.service = service
        return service

    yield starter
    await server.jobs.stop()
    for service in running:
        await service.stop()
    server.service = None


@pytest.fixture
async def service(start: Start) -> Service:
    return await start()


@pytest.fixture
async def client(bus_address: str) -> AsyncIterator[MessageBus]:
    bus = await connection.connect(bus_address)
    yield bus
    await connection.disconnect(bus)


@pytest.fixture
async def authority(bus_address: str) -> AsyncIterator[FakePolkit]:
    bus = await connection.connect(bus_address)
    fake = FakePolkit(bus)
    await bus.request_name(polkit.NAME)
    yield fake
    for task in list(fake.tasks):
        task.cancel()
    await asyncio.gather(*fake.tasks, return_exceptions=True)
    await connection.disconnect(bus)


async def ask(
    bus: MessageBus,
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


async def get_all(bus: MessageBus, noun: str, path: str = ROOT_PATH) -> dict[str, Any]:
    (found,) = await ask(bus, "org.freedesktop.DBus.Properties", "GetAll", "s", interface(noun), path=path)
    return {name: variant.value for name, variant in found.items()}


class Signals:
    """Everything that a connection hears from the service, in order."""

    def __init__(self, bus: MessageBus) -> None:
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
        async with asyncio.timeout(5):
            while len(found := [each for each in self.heard if each.member == member]) < count:
                self.more.clear()
                await self.more.wait()
        return found
