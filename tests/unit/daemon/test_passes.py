"""Methods and passes: what is answered before a pass is over, and what changes while one is under way."""

import asyncio
import os
from typing import Any, cast

import pytest

from ltspd.daemon.passes import Passes
from ltspd.dbus.connection import BusError, Connection
from ltspd.model.facts import Facts
from ltspd.model.state import Problem, State
from ltspd.names import object_path
from ltspd.observe import facts
from ltspd.observe.facts import packages_digest
from ltspd.paths import Paths
from ltspd.system.notify import Notify
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, NOBODY, World, idle

pytestmark = NEEDS_ROOT

LAB = object_path("image", "lab")
PACKAGE = "Package: a\nStatus: install ok installed\nVersion: {}\n\n"
LTSPS = "/etc/dnsmasq.d/ltsp-dnsmasq.conf"


async def acted(world: World, number: int) -> None:
    """Wait until systemd was asked so many things: while it is silent, a pass then waits for it."""
    async with asyncio.timeout(PATIENCE):
        while len(world.systemd.acts) < number:
            world.systemd.changed.clear()
            await world.systemd.changed.wait()


async def busy(world: World) -> None:
    """Let a pass be under way that waits for a service."""
    await world.ready()
    await world.settled()
    world.systemd.silent = True
    world.systemd.acts.clear()
    # A setting of one service; the port of HTTP stands in the answers of DHCP, too.
    world.write("/etc/ltsp/ltsp.conf", "[server]\nMETRICS_PORT=9190\n")
    await acted(world, 1)


async def image(world: World) -> dict[str, Any]:
    return await get_all(world.bus, "Image", LAB)


async def known(world: World) -> bool:
    try:
        return bool(await image(world))
    except BusError:
        return False


async def state(world: World) -> str:
    return str((await get_all(world.bus, "Manager"))["State"])


async def test_images_are_changed_while_a_service_takes_its_time(world: World) -> None:
    first, second, third = (world.publish("lab", number) for number in (1, 2, 3))
    await busy(world)
    await ask(world.bus, "Image", "Revert", "s", second, path=LAB)
    assert (await image(world))["Current"] == second
    await ask(world.bus, "Image", "Keep", "sb", first, True, path=LAB)
    kept = {each["Id"].value: each["Kept"].value for each in (await image(world))["Generations"]}
    assert kept == {first: True, second: False, third: False}
    await ask(world.bus, "Image", "Keep", "sb", first, False, path=LAB)
    await ask(world.bus, "Image", "Remove", "s", first, path=LAB)
    assert first not in [each["Id"].value for each in (await image(world))["Generations"]]
    assert await state(world) == "applying", "none of these waited for the pass"
    assert len(world.systemd.acts) == 1
    # The pass that was under way doesn't show them as they were, and the next one brings the menu.
    world.systemd.silent = False
    world.systemd.finish()
    await world.settled()
    assert (await image(world))["Current"] == second
    menu = world.paths.tftp_dir / "ltsp.ipxe"
    await world.until(lambda _: f":image_lab\nset name lab\nset generation {second}" in menu.read_text())


async def test_what_waits_for_a_pass_is_answered_before_callers_give_up(world: World) -> None:
    await busy(world)
    folder = world.paths.at("/etc/dnsmasq.d")
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    world.write(LTSPS, "port=0\n")
    world.paths.at("/lib/systemd/system").mkdir(parents=True)
    world.paths.at("/lib/systemd/system/dnsmasq.service").touch()
    # Each takes 10 s, of the 25 that callers wait; the pass would take 30 for that one service.
    reload = asyncio.create_task(ask(world.bus, "Manager", "Reload", timeout=PATIENCE))
    (moved,) = await ask(world.bus, "Manager", "TakeOver", timeout=PATIENCE)
    await reload
    assert moved == [LTSPS]
    assert await state(world) == "applying"
    manager = await get_all(world.bus, "Manager")
    assert (manager["SetAside"], manager["Remains"]) == ([LTSPS], [])
    assert len(world.systemd.acts) == 1


async def test_what_changes_in_a_new_directory_during_a_pass_is_seen(world: World) -> None:
    """Its watch is there only once the pass is over. No file of ours is written, which would wake, too."""
    world.write("/etc/ltsp/ltsp.conf", "[server]\nAUTO_REBUILD=0\n")
    home = world.paths.at("/srv/prepared")
    status = home / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    (home / "etc").mkdir()
    status.write_text(PACKAGE.format(1))
    world.publish("lab", 1, packages_digest(home))
    process = await world.ready()
    await world.settled()
    assert await idle(process.pid, 0.3) == 0
    world.systemd.slow = "LoadUnit"
    world.systemd.changed.clear()
    home = home.rename(world.paths.base_dir / "lab")
    async with asyncio.timeout(PATIENCE):
        await world.systemd.changed.wait()
    # The pass has looked at the new chroot, and waits for systemd.
    (home / "var/lib/dpkg/status").write_text(PACKAGE.format(2))
    world.systemd.go_on()
    async with asyncio.timeout(PATIENCE):
        while not (await image(world))["StaleBecause"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.03)


async def test_a_directory_that_becomes_a_chroot_later_is_a_source_then(world: World) -> None:
    """As 'mkdir' does it and debootstrap after it, and dpkg's part comes last of all."""
    process = await world.ready()
    await world.settled()
    home = world.paths.base_dir / "lab"
    home.mkdir()
    (world.paths.base_dir / "file").write_text("")
    for name in ("etc", "var/lib/dpkg"):
        assert await idle(process.pid, 0.3) == 0
        (home / name).mkdir(parents=True)
    async with asyncio.timeout(PATIENCE):
        while not await known(world):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.03)
    world.publish("lab", 1, "old")
    assert await idle(process.pid, 0.3) == 0
    assert (await image(world))["StaleBecause"] == ""
    (home / "var/lib/dpkg/status").write_text(PACKAGE.format(1))
    async with asyncio.timeout(PATIENCE):
        while not (await image(world))["StaleBecause"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.03)


@pytest.mark.parametrize("job", ["builds", "unattended"])
async def test_a_job_that_is_cancelled_ends_no_pass(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    looked = 0

    async def look(*_: object) -> tuple[Facts, tuple[Problem, ...]]:
        began.set()
        await go_on.wait()
        nonlocal looked
        looked += 1
        return Facts(), ()

    passes = Passes(paths, cast(Connection, None), Notify())
    monkeypatch.setattr(facts, "look", look)
    shown: list[State] = []
    passes.shown = shown.append
    forever = asyncio.create_task(passes.forever())
    try:
        served = asyncio.create_task(getattr(passes, job)._served())
        await began.wait()
        served.cancel()
        await asyncio.wait([served])
        asked = asyncio.create_task(passes.follow_up())
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            await asked
        assert served.cancelled()
        assert looked == 2, "the pass that was under way came to its end, too"
        assert shown[-1].outputs
    finally:
        passes.unwatch()
        forever.cancel()
        await asyncio.wait([forever])
