"""Systemd's units over a private bus, with a stand-in that answers as systemd does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ltspd.dbus import connection
from ltspd.dbus import systemd as services
from ltspd.dbus.systemd import Systemd, unit_path
from ltspd.errors import Unanswered
from tests.patience import PATIENCE
from tests.worlds.bus import end_bus, private_bus, start_bus
from tests.worlds.fake_systemd import FakeSystemd1

UNIT = "ltspd-x.service"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_bus(tmp_path_factory.mktemp("bus")) as address:
        yield address


@pytest.fixture
async def fake(address: str) -> AsyncIterator[FakeSystemd1]:
    bus = await connection.connect(address)
    fake = FakeSystemd1(bus)
    await fake.start()
    yield fake
    await bus.close()


@pytest.fixture
def woken() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def systemd(address: str, fake: FakeSystemd1, woken: asyncio.Event) -> AsyncIterator[Systemd]:
    bus = await connection.connect(address)
    systemd = Systemd(bus, woken.set)
    await systemd.start()
    yield systemd
    await bus.close()


async def test_without_systemd_nothing_is_started(address: str) -> None:
    bus = await connection.connect(address)
    systemd = Systemd(bus, lambda: None)
    await systemd.start()
    assert not systemd.present
    assert await systemd.act("StartUnit", UNIT) == "no systemd"
    assert (await systemd.status(UNIT)).active == "inactive"
    await bus.close()


async def test_the_state_of_a_unit(systemd: Systemd, fake: FakeSystemd1) -> None:
    assert systemd.present
    fake.set(UNIT, "activating", "auto-restart", "exit-code")
    status = await systemd.status(UNIT)
    assert (status.name, status.active, status.sub, status.result) == (
        UNIT,
        "activating",
        "auto-restart",
        "exit-code",
    )


async def test_a_unit_that_systemd_does_not_know(systemd: Systemd) -> None:
    status = await systemd.status("none.service")
    assert (status.active, status.result) == ("inactive", "not-found")
    assert "not found" in await systemd.act("StartUnit", "none.service")


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("result", ["done", "failed", "timeout"])
async def test_a_jobs_result_is_waited_for(
    systemd: Systemd, fake: FakeSystemd1, early: bool, result: str
) -> None:
    fake.set(UNIT, "inactive")
    fake.early, fake.result = early, result
    assert await systemd.act("RestartUnit", UNIT) == result
    assert fake.acts == [("RestartUnit", UNIT)]


async def test_two_at_once_get_their_own_results(systemd: Systemd, fake: FakeSystemd1) -> None:
    fake.early = True
    fake.set(UNIT, "inactive")
    fake.set("ltspd-y.service", "inactive")
    one, other, none = await asyncio.gather(
        systemd.act("StartUnit", UNIT),
        systemd.act("StartUnit", "ltspd-y.service"),
        systemd.act("StartUnit", "none.service"),
    )
    assert (one, other) == ("done", "done")
    assert "not found" in none


async def test_a_job_that_never_ends_is_given_up(
    systemd: Systemd, fake: FakeSystemd1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "JOB_SECONDS", 0.1)
    fake.set(UNIT, "inactive")
    fake.silent = True
    assert "still not there after 0 s" in await systemd.act("StartUnit", UNIT)
    # Some may take longer.
    assert "still not there after 1 s" in await systemd.act("StartUnit", UNIT, 0.6)


async def test_jobs_of_others_are_not_remembered(systemd: Systemd, fake: FakeSystemd1) -> None:
    for _ in range(50):
        fake.stray_job()
    await systemd.status(UNIT)
    assert systemd._done == {}
    fake.set(UNIT, "inactive")
    fake.early = True
    assert await systemd.act("StartUnit", UNIT) == "done"
    assert (systemd._done, systemd._results) == ({}, {})


async def test_a_change_of_a_watched_unit_wakes_and_of_another_does_not(
    systemd: Systemd, fake: FakeSystemd1, woken: asyncio.Event
) -> None:
    await systemd.watch([UNIT, UNIT])
    fake.set("other.service", "active")
    fake.stray_job()
    await systemd.status(UNIT)
    await systemd.status(UNIT)
    assert not woken.is_set()
    fake.set(UNIT, "failed")
    async with asyncio.timeout(PATIENCE):
        await woken.wait()


@pytest.mark.parametrize("method", ["LoadUnit", "GetAll", "Get"])
async def test_an_error_tells_nothing_about_a_unit(systemd: Systemd, fake: FakeSystemd1, method: str) -> None:
    fake.set(UNIT, "active", "running")
    fake.wrong = {method: "org.freedesktop.DBus.Error.Failed"}
    with pytest.raises(Unanswered, match=rf"{UNIT} is \(it went wrong\)"):
        await systemd.status(UNIT)
    fake.wrong.clear()
    assert (await systemd.status(UNIT)).active == "active"


async def test_systemds_judgement_of_a_unit_is_an_answer_and_another_error_is_none(
    systemd: Systemd, fake: FakeSystemd1
) -> None:
    fake.set(UNIT, "inactive")
    fake.wrong = {"StartUnit": f"{services.SYSTEMD}.UnitMasked"}
    assert await systemd.act("StartUnit", UNIT) == "it went wrong"
    for method in ("StartUnit", "ResetFailedUnit"):
        fake.wrong = {method: "org.freedesktop.DBus.Error.LimitsExceeded"}
        with pytest.raises(Unanswered, match="it went wrong"):
            await systemd.act("StartUnit", UNIT)
    assert fake.acts == []


async def test_silence_is_waited_for_once_and_not_for_each_unit(
    systemd: Systemd, fake: FakeSystemd1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "ANSWER_SECONDS", 0.1)
    fake.set(UNIT, "active", "running")
    fake.wrong = {"LoadUnit": "", "ResetFailedUnit": ""}
    for _ in range(100):  # ten times the limit of this test, were each of them waited for
        with pytest.raises(Unanswered, match="did not answer within"):
            await systemd.status(UNIT)
        with pytest.raises(Unanswered, match="did not answer within"):
            await systemd.act("StartUnit", UNIT)
    fake.wrong.clear()
    monkeypatch.setattr(services, "SILENT_SECONDS", 0)
    systemd._silent = (0.0, None)
    assert (await systemd.status(UNIT)).active == "active"


async def test_a_systemd_that_is_silent_at_first_is_there_all_the_same(
    address: str, fake: FakeSystemd1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(services, "SILENT_SECONDS", 0)
    fake.wrong = {"Subscribe": ""}
    fake.set(UNIT, "inactive")
    bus = await connection.connect(address)
    systemd = Systemd(bus, lambda: None)
    await systemd.start()
    assert systemd.present
    fake.wrong.clear()
    monkeypatch.undo()
    assert await systemd.act("StartUnit", UNIT) == "done"
    await bus.close()


async def test_a_systemd_that_executes_itself_anew_is_heard_again(
    address: str, systemd: Systemd, fake: FakeSystemd1, woken: asyncio.Event
) -> None:
    """An upgrade of systemd does that: it comes back over another connection, under another unique name."""
    await systemd.watch([UNIT])
    await fake.bus.close()
    bus = await connection.connect(address)
    anew = FakeSystemd1(bus)
    await anew.start()
    async with asyncio.timeout(PATIENCE):
        await woken.wait()
    anew.set(UNIT, "inactive")
    assert (await systemd.status(UNIT)).active == "inactive"
    woken.clear()
    assert await systemd.act("StartUnit", UNIT) == "done"
    async with asyncio.timeout(PATIENCE):
        await woken.wait()
    await bus.close()


async def test_a_bus_that_ends_tells_nothing_about_units(tmp_path: Path) -> None:
    process, address = start_bus(tmp_path)
    bus = await connection.connect(address)
    systemd = Systemd(bus, lambda: None)
    systemd.present = True
    end_bus(process)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Unanswered):
            await systemd.status(UNIT)
        with pytest.raises(Unanswered):
            await systemd.act("StartUnit", UNIT)
        await systemd.watch([UNIT])
    await bus.close()


def test_object_paths_of_units_are_systemds() -> None:
    # What "systemd-escape"'s bus label form gives; a leading digit only matters for a whole label.
    assert unit_path("dbus.service") == "/org/freedesktop/systemd1/unit/dbus_2eservice"
    assert unit_path("ltspd-nfs@a.service").endswith("/ltspd_2dnfs_40a_2eservice")
