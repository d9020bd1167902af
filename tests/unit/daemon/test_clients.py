"""Clients as the whole daemon shows them: reported, bounded, a problem when they can't boot."""

import time
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.dbus.connection import BusError
from ltspd.names import object_path
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World, idle, wrong

pytestmark = NEEDS_ROOT

MAC = "52:54:00:00:00:01"
PATH = object_path("client", MAC)


async def report(world: World, **values: Any) -> None:
    entry = {
        key: Variant("t" if isinstance(value, int) else "s", value)
        for key, value in {"Mac": MAC, "LastSeen": time.time_ns() // 1000, **values}.items()
    }
    await ask(world.bus, "Gateway", "ReportClients", "aa{sv}", [entry])


async def test_clients_come_and_their_failures_are_problems(world: World) -> None:
    # Before anything was looked at: the call waits for it, or known images would be unknown.
    process = world.start()
    await world.heard("READY=1")
    await report(
        world, Hostname="pc1", Address="192.168.67.20", Stage="network", Image="none", Transport="nfs"
    )
    await world.settled()
    client = await get_all(world.bus, "Client", PATH)
    assert (client["Hostname"], client["Stage"], client["Image"]) == ("pc1", "network", "")

    await report(world, Stage="failed", Error="there is no link.")
    manager = await world.until(lambda found: bool(wrong(found)))
    assert manager["State"] == "attention"
    assert wrong(manager) == [
        f"client pc1: failed to boot: there is no link. 'ltspctl client show {MAC}' tells more."
    ]
    # A pass doesn't forget it.
    await ask(world.bus, "Manager", "Reload")
    assert wrong(await get_all(world.bus, "Manager")) == wrong(manager)

    await report(world, Stage="login", Error="")
    await world.settled()
    assert (await get_all(world.bus, "Client", PATH))["Error"] == ""
    revision = (await get_all(world.bus, "Manager"))["Revision"]
    await report(world, LastSeen=5, Stage="off")
    assert (await get_all(world.bus, "Manager"))["Revision"] == revision, "that was long ago"
    assert await idle(process.pid, 0.5) == 0


async def test_what_is_wrong_with_the_gateway_is_a_problem_until_it_is_not(world: World) -> None:
    await world.ready()
    await world.settled()
    await ask(world.bus, "Gateway", "ReportProblems", "as", ["it can't be had."])
    manager = await get_all(world.bus, "Manager")
    assert (manager["State"], wrong(manager)) == ("attention", ["http: it can't be had."])
    await ask(world.bus, "Manager", "Reload")
    assert wrong(await get_all(world.bus, "Manager")) == ["http: it can't be had."]
    # One that does not run has its output's problem, whatever it told before.
    world.systemd.set("ltspd-gateway.service", "failed", "failed")
    manager = await world.until(lambda found: "http: it can't be had." not in wrong(found))
    assert [each for each in wrong(manager) if each.startswith("output http")]
    world.systemd.set("ltspd-gateway.service", "active", "running")
    await world.until(lambda found: wrong(found) == ["http: it can't be had."])
    await ask(world.bus, "Gateway", "ReportProblems", "as", [])
    await world.settled()


async def test_what_cant_be_right_is_not_shown(world: World) -> None:
    await world.ready()
    await report(world, Stage="up")
    await report(world, Mac="not one")
    with pytest.raises(BusError, match="UnknownObject"):
        await get_all(world.bus, "Client", PATH)
    assert "values that can't be right" in world.log.read_text()
