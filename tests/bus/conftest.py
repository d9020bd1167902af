"""A private bus for each test session, and a service with its fakes for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ltspd.api import polkit
from ltspd.api.service import Service
from ltspd.dbus import connection
from ltspd.dbus.connection import Connection
from tests.worlds.bus import private_bus
from tests.worlds.bus_fakes import FakePolkit, FakeServer
from tests.worlds.program import Ltspctl, Ran, begin, end


@pytest.fixture(scope="session")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_bus(tmp_path_factory.mktemp("bus")) as address:
        yield address


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    fake.instead(monkeypatch)
    yield fake
    await fake.jobs.stop()


async def _serving(
    address: str, server: FakeServer, trusted: frozenset[int] | None
) -> AsyncIterator[Service]:
    service = Service(await connection.connect(address), server, trusted=trusted)
    try:
        await service.start()
        server.service = service
        yield service
    finally:
        await server.jobs.stop()
        await service.stop()


@pytest.fixture
async def service(bus_address: str, server: FakeServer) -> AsyncIterator[Service]:
    async for each in _serving(bus_address, server, None):
        yield each


@pytest.fixture
async def strict(bus_address: str, server: FakeServer) -> AsyncIterator[Service]:
    """Serve, but trust nobody: polkit decides even about root."""
    async for each in _serving(bus_address, server, frozenset()):
        yield each


@pytest.fixture
def running(service: Service, server: FakeServer) -> FakeServer:
    """Return the fake behind a service that runs."""
    return server


@pytest.fixture
def ltspctl(bus_address: str) -> Ltspctl:
    async def run(*arguments: str) -> Ran:
        return await end(await begin(bus_address, *arguments))

    return run


@pytest.fixture
async def client(bus_address: str) -> AsyncIterator[Connection]:
    bus = await connection.connect(bus_address)
    yield bus
    await bus.close()


@pytest.fixture
async def authority(bus_address: str) -> AsyncIterator[FakePolkit]:
    bus = await connection.connect(bus_address)
    fake = FakePolkit(bus)
    try:
        await connection.daemon_call(bus, "RequestName", "su", [polkit.NAME, 4])
        yield fake
    finally:
        for task in list(fake.tasks):
            task.cancel()
        await asyncio.gather(*fake.tasks, return_exceptions=True)
        await bus.close()
