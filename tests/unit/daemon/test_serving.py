"""Serving off and on: machines that boot get no answer, machines that run lose nothing, and it stays so."""

import asyncio
import json

from ltspd.names import object_path
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World

pytestmark = NEEDS_ROOT

ANSWERING = {"ltspd-dnsmasq.service", "ltspd-tftp.service"}


def stopped(world: World) -> set[str]:
    return {unit for verb, unit in world.systemd.acts if verb == "StopUnit"}


def urls(world: World) -> set[str]:
    return set(json.loads(world.output("gateway.json"))["files"])


async def role(world: World) -> str:
    return str((await get_all(world.bus, "Link", object_path("link", "eth0")))["Dhcp"])


async def test_off_stays_off_over_a_restart_and_on_is_as_before(world: World) -> None:
    generation = world.publish("lab", 1)
    process = await world.ready()
    await world.settled()
    answers = {each.name: each.read_bytes() for each in world.paths.outputs.iterdir() if each.is_file()}
    assert {"/ltsp/ltsp.ipxe", "/ltsp/ltsp.img"} <= urls(world)
    world.systemd.acts.clear()

    await ask(world.bus, "Manager", "Serve", "b", False)
    manager = await world.settled()
    assert (manager["Serving"], await role(world)) == (False, "off")
    assert stopped(world) == ANSWERING
    # What machines that run need is served as before.
    kept = {f"/ltsp/images/lab/generations/{generation}/vmlinuz", "/ltsp/ltsp.img"}
    assert kept <= urls(world)
    assert "/ltsp/ltsp.ipxe" not in urls(world)
    assert json.loads(world.output("gateway.json"))["offer"] is None
    assert json.loads(world.output("gateway.json"))["addresses"] == ["192.168.67.1"]

    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    world.systemd.acts.clear()
    await world.ready()
    assert (await world.settled())["Serving"] is False
    assert not ANSWERING & {unit for _, unit in world.systemd.acts}

    await ask(world.bus, "Manager", "Serve", "b", True)
    assert (await world.settled())["Serving"] is True
    assert await role(world) == "real"
    assert {unit for verb, unit in world.systemd.acts if verb == "RestartUnit"} >= ANSWERING
    assert {name: (world.paths.outputs / name).read_bytes() for name in answers} == answers
    assert not world.paths.silence.exists()


async def test_the_same_word_again_changes_nothing(world: World) -> None:
    await world.ready()
    await world.settled()
    for on in (False, True):
        await ask(world.bus, "Manager", "Serve", "b", on)
        await world.settled()
        world.systemd.acts.clear()
        disk = world.disk()
        await ask(world.bus, "Manager", "Serve", "b", on)
        await world.settled()
        assert world.systemd.acts == []
        assert {name: found for name, found in world.disk().items() if found != disk.get(name)} == {}
