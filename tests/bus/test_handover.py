"""The gateway's side of the bus: what it hands over, to whom, and again when a bus or a daemon comes anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Message

from ltspd.api import gateway
from ltspd.api.service import Service
from ltspd.clients.fields import ON_THE_BUS
from ltspd.dbus import connection
from ltspd.dbus.connection import Connection
from ltspd.gateway import bus, delivery
from ltspd.gateway.exposition import text
from ltspd.gateway.handover import BATCH, Handover
from ltspd.gateway.metrics import Counts, families
from ltspd.gateway.registry import Registry
from ltspd.gateway.reports import Report
from ltspd.names import ROOT_PATH, interface
from tests.worlds.bus import ask, end_bus, start_bus
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.exposition import read

NOW = 1_700_000_000_000_000


class Handing:
    """A running handover, its registry and its counts."""

    def __init__(self) -> None:
        self.registry, self.counts = Registry(), Counts()
        self.handover = Handover(self.registry, self.counts)

    def report(self, number: int, stage: str = "root") -> None:
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        self.registry.take(Report(mac, stage, 3.0, "pc"), f"10.0.{number >> 8}.{number & 255}", NOW)
        self.handover.news()


@pytest.fixture
async def handing(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Handing]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    monkeypatch.setattr(delivery, "PACE", 0.01)
    monkeypatch.setattr(delivery, "AGAIN", 0.05)
    monkeypatch.setattr(bus, "PAUSES", (0.05,))
    handing = Handing()
    task = asyncio.create_task(handing.handover.run())
    yield handing
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came true")


def heard(server: FakeServer) -> list[dict[str, Any]]:
    return [each for call in server.calls if call[0] == "clients" for each in call[1]]


async def serve(address: str, server: FakeServer) -> Service:
    service = Service(await connection.connect(address), server)
    await service.start()
    server.service = service
    return service


async def test_what_is_reported_arrives(handing: Handing, service: Service, server: FakeServer) -> None:
    handing.report(1)
    await until(lambda: heard(server))
    told = {
        "Mac": "52:54:00:00:00:01",
        "Address": "10.0.0.1",
        "Hostname": "pc",
        "Stage": "root",
        "LastSeen": NOW,
        "Stages": {"root": NOW},
    }
    assert heard(server) == [{**dict.fromkeys(ON_THE_BUS.values(), ""), **told}]


async def test_a_flood_is_few_calls(handing: Handing, service: Service, server: FakeServer) -> None:
    await until(lambda: handing.handover._bus.daemon)
    for round_ in range(5):
        for number in range(BATCH + 100):
            handing.report(number, "root" if round_ == 4 else "network")
    await until(
        lambda: len({each["Mac"] for each in heard(server) if each["Stage"] == "root"}) == BATCH + 100
    )
    assert len(server.calls) <= 4


async def test_a_daemon_that_is_away_is_told_when_it_comes(
    handing: Handing, bus_address: str, server: FakeServer
) -> None:
    for number in range(3):
        handing.report(number)
    service = await serve(bus_address, server)
    await until(lambda: len(heard(server)) == 3)
    await service.stop()
    # Another daemon knows nothing of what its predecessor was told.
    server.calls.clear()
    handing.report(3)
    service = await serve(bus_address, server)
    await until(lambda: len({each["Mac"] for each in heard(server)}) == 4)
    await service.stop()


async def test_a_call_that_fails_is_made_again(
    handing: Handing, service: Service, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = [True, True]

    async def report(reports: Any) -> int:
        if fail:
            fail.pop()
            raise RuntimeError("broken")
        server.calls.append(("clients", tuple(reports)))
        return 0

    monkeypatch.setattr(server, "heard_clients", report)
    handing.report(1)
    await until(lambda: heard(server))
    assert not fail


async def test_what_is_wrong_is_told_and_taken_back_and_told_again_to_another_daemon(
    handing: Handing, bus_address: str, server: FakeServer
) -> None:
    told = server.problems_of_gateway
    handing.handover.tell_problems(("one", "two"))
    service = await serve(bus_address, server)
    await until(lambda: told == [("one", "two")])
    handing.handover.tell_problems(("one", "two"))
    handing.handover.tell_problems(("two",))
    await until(lambda: told[1:] == [("two",)])
    await service.stop()
    service = await serve(bus_address, server)
    await until(lambda: told[2:] == [("two",)])
    handing.handover.tell_problems(())
    await until(lambda: told[3:] == [()])
    many = tuple(f"problem {number}" for number in range(100))
    handing.handover.tell_problems(many)
    await until(lambda: len(told) == 5)
    assert told[4] == (*many[:8], "92 more addresses can't be served.")
    await service.stop()


async def test_a_daemon_that_takes_no_problems_is_told_of_clients(
    handing: Handing, service: Service, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"ReportClients": gateway.NOUN.calls["ReportClients"]}
    monkeypatch.setitem(vars(gateway.NOUN), "calls", calls)
    handing.handover.tell_problems(("one",))
    handing.report(1)
    await until(lambda: heard(server))


async def test_jobs_are_counted_by_what_they_were(
    handing: Handing, service: Service, client: Connection, server: FakeServer
) -> None:
    await until(lambda: handing.handover._bus.daemon)
    server.go.set()
    await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    await until(lambda: handing.counts.jobs["build", "done"] == 1)
    assert sum(handing.counts.jobs.values()) == 1


async def test_only_the_daemon_is_believed(handing: Handing, service: Service, client: Connection) -> None:
    await until(lambda: handing.handover._bus.daemon)
    body = [ROOT_PATH + "/job/x", "failed"]
    forged = Message.new_signal(ROOT_PATH, interface("Manager"), "JobFinished", "os", body)
    gone = Message.new_signal(
        connection.DAEMON_PATH, connection.DAEMON, "NameOwnerChanged", "sss", ["org.ltsp.Server1", ":1.1", ""]
    )
    for message in (forged, gone):
        message.destination = handing.handover._bus.name
        client.send(message)
    # Whatever is sent later is read later.
    handing.report(1)
    await until(lambda: not handing.registry.news)
    assert handing.handover._bus.daemon
    assert sum(handing.counts.jobs.values()) == 0


async def test_metrics_of_a_daemon(handing: Handing, service: Service) -> None:
    await until(lambda: handing.handover._bus.daemon)
    found = read(text(families(handing.counts, {}, await handing.handover.objects())))
    assert found["ltspd_image_generations"].samples["", (("image", "x86_64"),)] == 2
    assert found["ltspd_problems"].samples["", ()] == 1
    assert found["ltspd_revision"].samples["", ()] == 7
    assert found["ltspd_up"].samples["", ()] == 1


async def test_a_bus_that_was_restarted_is_found_again(
    tmp_path: Path, server: FakeServer, handing: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    del handing  # a second one, beside the first, whose bus is another
    (tmp_path / "own").mkdir()
    process, address = start_bus(tmp_path / "own")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    other = Handing()
    task = asyncio.create_task(other.handover.run())
    try:
        await until(lambda: other.handover._bus._writer is not None)
        end_bus(process)
        await until(lambda: other.handover._bus._writer is None)
        other.report(1)
        process, _ = start_bus(tmp_path / "own")
        service = await serve(address, server)
        await until(lambda: heard(server))
        assert await other.handover.objects() is not None
        await service.stop()
        await until(lambda: not other.handover._bus.daemon)
        assert await other.handover.objects() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        end_bus(process)
