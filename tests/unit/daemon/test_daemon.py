"""The whole daemon: its first pass and rest, what wakes it, how it ends."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.dbus import connection
from ltspd.dbus.connection import BusError
from ltspd.names import STEM, object_path
from ltspd.paths import client_home
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, NOBODY, UNITS, World, idle, wrong

pytestmark = NEEDS_ROOT


# ---- the first pass, and rest ----------------------------------------------------------------------


async def test_from_start_to_rest(world: World) -> None:
    process = await world.ready()
    manager = await world.settled()
    assert manager["BaseDirectory"] == "/srv/ltsp"
    uids = Path(f"/proc/{process.pid}/status").read_text().split("Uid:")[1].split()[:4]
    assert uids == [str(NOBODY)] * 4

    link = await get_all(world.bus, "Link", object_path("link", "eth0"))
    assert (link["Name"], link["Dhcp"], link["Addresses"]) == ("eth0", "real", ["192.168.67.1/24"])
    http = await get_all(world.bus, "Output", object_path("output", "http"))
    assert (http["State"], http["Unit"]) == ("in-sync", "ltspd-gateway.service")
    assert http["AppliedAt"] > 0
    assert '"192.168.67.1"' in world.output("gateway.json")
    assert ("RestartUnit", "ltspd-gateway.service") in world.systemd.acts
    add_on = (world.paths.tftp_dir / "ltsp.img").read_bytes()
    assert b"ltsp/accounts" in add_on
    assert (client_home() / "boot/main.sh").read_bytes() in add_on

    # Nothing changes any more, so nothing is written, reloaded, published, or even looked at.
    assert await idle(process.pid, 2.0) == 0
    disk, acts, revision = world.disk(), list(world.systemd.acts), manager["Revision"]
    await ask(world.bus, "Manager", "Reload")
    await ask(world.bus, "Manager", "PackagesChanged")
    await ask(world.bus, "Manager", "Apply", "a{sv}", {"force": Variant("b", False)})
    process.send_signal(signal.SIGHUP)
    assert await idle(process.pid, 0.3) == 0
    assert world.disk() == disk
    assert world.systemd.acts == acts
    assert (await get_all(world.bus, "Manager"))["Revision"] == revision
    assert "Traceback" not in world.log.read_text()


# ---- events that wake it ---------------------------------------------------------------------------


async def test_changes_of_files_and_links_are_followed(world: World) -> None:
    process = await world.ready()
    await world.settled()
    world.systemd.acts.clear()

    world.write(
        "/etc/passwd", "ada:x:1000:1000:Ada:/home/ada:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n"
    )
    image = world.paths.tftp_dir / "ltsp.img"
    await world.until(lambda _: b"bob:x:1001" in image.read_bytes())
    await world.settled()
    reloaded = ("ReloadUnit", "ltspd-gateway.service")
    assert world.systemd.acts == [reloaded], "only who tells clients that there is something new"
    world.systemd.acts.clear()

    world.write("/etc/ltsp/ltsp.conf", "[server]\nHTTP_PORT=8080\n")
    await world.until(lambda _: '"port": 8080' in world.output("gateway.json"))
    await world.settled()
    assert world.systemd.acts == [("ReloadUnit", "ltspd-gateway.service")]
    assert ":8080/ltsp" in (world.paths.tftp_dir / "ltsp.ipxe").read_text()

    world.ip(process, "address add 10.0.9.2/24 dev eth0")
    await world.until(lambda _: "10.0.9.2" in world.output("gateway.json"))
    await world.until(lambda found: any("it has addresses in" in problem for problem in wrong(found)))
    link = await get_all(world.bus, "Link", object_path("link", "eth0"))
    assert link["Addresses"] == ["10.0.9.2/24", "192.168.67.1/24"]
    world.ip(process, "address delete 192.168.67.1/24 dev eth0")
    await world.settled()

    world.ip(process, "link delete eth0")
    manager = await world.until(lambda found: bool(wrong(found)))
    assert any("no interface is served" in problem for problem in manager["Problems"])
    await world.until(lambda _: ("StopUnit", "ltspd-gateway.service") in world.systemd.acts)
    with pytest.raises(BusError):
        await get_all(world.bus, "Link", object_path("link", "eth0"))


async def test_a_mistake_in_ltsp_conf_keeps_the_last_good_one(world: World) -> None:
    world.write("/etc/ltsp/ltsp.conf", "[server]\nHTTP_PORT=8080\n")
    process = await world.ready()
    await world.settled()
    acts = list(world.systemd.acts)

    world.write("/etc/ltsp/ltsp.conf", "[server]\nHTTP_PORT=99999\nREAL_DHCP=0\n")
    manager = await world.until(lambda found: bool(wrong(found)))
    assert manager["State"] == "attention"
    (problem,) = wrong(manager)
    assert "/etc/ltsp/ltsp.conf:2" in problem
    assert "HTTP_PORT" in problem
    with pytest.raises(BusError, match=r"ltsp\.conf:2") as error:
        await ask(world.bus, "Manager", "Reload")
    assert error.value.name == f"{STEM}.Error.ConfigError"
    assert '"port": 8080' in world.output("gateway.json")
    assert world.systemd.acts == acts

    # Also over a restart.
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    process = await world.ready()
    assert wrong(await get_all(world.bus, "Manager")) == [problem]
    assert '"port": 8080' in world.output("gateway.json")

    world.write("/etc/ltsp/ltsp.conf", "[server]\nHTTP_PORT=8081\n")
    await world.until(lambda _: '"port": 8081' in world.output("gateway.json"))
    await world.settled()
    await ask(world.bus, "Manager", "Reload")


async def test_a_file_that_cannot_be_written_is_not_tried_for_ever(world: World) -> None:
    process = await world.ready()
    await world.settled()
    place = world.paths.outputs / "gateway.json"
    place.unlink()
    place.mkdir()
    manager = await world.until(lambda found: bool(wrong(found)))
    assert "the last good one stays" in wrong(manager)[0]
    assert await idle(process.pid, 0.5) == 0


async def test_an_edited_output_is_reported_and_replaced_only_by_force(world: World) -> None:
    process = await world.ready()
    await world.settled()
    table = world.paths.outputs / "gateway.json"
    table.write_text("by hand")
    manager = await world.until(lambda found: bool(wrong(found)))
    assert "changed by hand" in wrong(manager)[0]
    output = object_path("output", "http")
    assert (await get_all(world.bus, "Output", output))["State"] == "edited"
    (preview,) = await ask(world.bus, "Output", "Preview", path=output)
    assert '"port": 80' in preview
    with pytest.raises(BusError) as error:
        await ask(world.bus, "Manager", "Apply", "a{sv}", {})
    assert error.value.name == f"{STEM}.Error.OutputEdited"
    assert table.read_text() == "by hand"
    with contextlib.suppress(BusError):  # of programs that this machine lacks
        await ask(world.bus, "Manager", "Apply", "a{sv}", {"force": Variant("b", True)})
    await world.settled()
    assert '"port": 80' in table.read_text()
    assert await idle(process.pid, 0.3) == 0


async def test_an_edited_file_that_nothing_needs_any_more_is_a_problem_until_it_is_gone(world: World) -> None:
    await world.ready()
    await world.settled()
    table = world.paths.outputs / "gateway.json"
    table.write_text("by hand")
    world.write("/etc/ltsp/ltsp.conf", '[server]\nDHCP_LINKS="eth0=off"\n')

    def told(manager: dict[str, Any]) -> bool:
        return any("gateway.json: nothing needs it now" in each for each in manager["Problems"])

    await world.until(told)
    assert ("StopUnit", "ltspd-gateway.service") in world.systemd.acts
    assert [each.name for each in world.paths.outputs.iterdir() if each.is_file()] == ["gateway.json"]
    with contextlib.suppress(BusError):  # of programs that this machine lacks
        await ask(world.bus, "Manager", "Apply", "a{sv}", {"force": Variant("b", True)})
    await world.until(lambda manager: not told(manager))
    assert not table.exists()


async def test_a_unit_that_fails_is_reported_not_hammered_and_seen_when_it_is_back(world: World) -> None:
    world.systemd.result = "failed"
    process = await world.ready()
    manager = await world.until(lambda found: any("ltspd-gateway" in each for each in wrong(found)))
    assert manager["State"] == "attention"
    assert await idle(process.pid, 0.5) == 0
    tried = [unit for _, unit in world.systemd.acts]
    assert len(tried) == len(set(tried))
    world.systemd.result = "done"
    for unit in set(tried):
        world.systemd.set(unit, "active", "running")
    await world.settled()
    assert [unit for _, unit in world.systemd.acts] == tried


async def test_a_unit_that_systemd_still_starts_is_not_in_sync(world: World) -> None:
    world.install("undionly.kpxe", "snponly.efi")
    await world.ready()
    await world.settled()
    world.systemd.set("ltspd-gateway.service", "activating", "start")
    manager = await world.until(lambda found: found["State"] != "in-sync")
    assert (manager["State"], wrong(manager)) == ("applying", [])
    world.systemd.set("ltspd-gateway.service", "active", "running")
    await world.settled()


async def test_a_systemd_that_tells_nothing_ends_and_blames_no_service(world: World) -> None:
    await world.ready()
    await world.settled()
    acts = list(world.systemd.acts)
    world.systemd.wrong = {"GetAll": "org.freedesktop.DBus.Error.Failed"}
    await ask(world.bus, "Manager", "Reload")
    http = await get_all(world.bus, "Output", object_path("output", "http"))
    assert (http["State"], "asked again" in http["Message"]) == ("pending", True)
    assert wrong(await get_all(world.bus, "Manager")) == []
    world.systemd.wrong.clear()
    await ask(world.bus, "Manager", "Reload")
    await world.settled()
    assert world.systemd.acts == acts


async def test_what_cant_be_built_is_refused_in_the_call(world: World) -> None:
    await world.ready()
    with pytest.raises(BusError) as error:
        await ask(world.bus, "Manager", "BuildImage", "sa{sv}", "none", {})
    assert error.value.name in (f"{STEM}.Error.NoSuchSource", f"{STEM}.Error.NoSuchImage")
    assert "none" in error.value.message


# ---- its end ---------------------------------------------------------------------------------------


async def test_terminate_ends_in_order_and_a_new_start_touches_nothing(world: World) -> None:
    process = await world.ready()
    await world.settled()
    for unit in UNITS:
        world.systemd.set(unit, world.systemd.units[unit][0])
    process.terminate()
    await world.heard("STOPPING=1")
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    assert "Traceback" not in world.log.read_text()
    (names,) = await connection.daemon_call(world.bus, "ListNames")
    assert STEM not in names

    before, acts = world.disk(), list(world.systemd.acts)
    await world.ready()
    await world.settled()
    assert world.disk() == before
    assert world.systemd.acts == acts


async def test_terminate_in_the_middle_of_a_pass(world: World) -> None:
    world.systemd.silent = True
    process = world.start()
    await world.heard("READY=1")
    async with asyncio.timeout(PATIENCE):
        await world.systemd.changed.wait()
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0, world.log.read_text()
    # It has not waited for what systemd never answers, until that takes too long.
    assert "still not there after" not in world.log.read_text()
    assert "Traceback" not in world.log.read_text()


async def test_when_the_bus_goes_it_ends_with_a_sentence(world: World) -> None:
    process = await world.ready()
    world.bus_process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 1
    log = world.log.read_text()
    assert "The connection to the bus ended" in log
    assert "Traceback" not in log


async def test_a_second_daemon_is_refused(world: World) -> None:
    await world.ready()
    second = world.start()
    assert await asyncio.to_thread(second.wait, PATIENCE) == 1
    log = world.log.read_text()
    assert "another ltspd is running" in log
    assert "Traceback" not in log
    await world.settled()


async def test_without_a_bus_it_says_so(world: World) -> None:
    process = world.start(bus="unix:path=/nonexistent/bus")
    assert await asyncio.to_thread(process.wait, PATIENCE) == 1
    log = world.log.read_text()
    assert "Can't connect to unix:path=/nonexistent/bus" in log
    assert "Traceback" not in log
