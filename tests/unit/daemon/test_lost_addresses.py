"""A link that loses its address for a moment, and one that does not get it back."""

from ltspd.names import object_path
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World, idle

pytestmark = NEEDS_ROOT

ETH0 = object_path("link", "eth0")


def outputs(world: World) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in world.paths.outputs.iterdir() if each.is_file()}


async def test_an_address_that_is_away_for_seconds_stops_nothing(world: World) -> None:
    process = await world.ready()
    await world.settled()
    before = outputs(world)
    world.systemd.acts.clear()
    for away in (
        ("address delete 192.168.67.1/24 dev eth0",),
        ("address flush dev eth0", "link set eth0 down", "link set eth0 up"),
    ):
        for command in away:
            world.ip(process, command)
        await ask(world.bus, "Manager", "Reload")
        assert (await get_all(world.bus, "Link", ETH0))["Addresses"] == []
        world.ip(process, "address add 192.168.67.1/24 dev eth0")
        await ask(world.bus, "Manager", "Reload")
        await world.settled()
        assert (await get_all(world.bus, "Link", ETH0))["Addresses"] == ["192.168.67.1/24"]
    assert (world.systemd.acts, outputs(world)) == ([], before)
    # Nothing waits any more.
    assert await idle(process.pid, 0.5) == 0


async def test_an_address_that_does_not_come_back_ends_what_it_was_for(world: World) -> None:
    process = await world.ready()
    await world.settled()
    world.ip(process, "address delete 192.168.67.1/24 dev eth0")
    # Nothing happens in the network that could wake the daemon.
    await world.until(lambda _: ("StopUnit", "ltspd-dnsmasq.service") in world.systemd.acts)
    await world.until(lambda manager: any("no interface is served" in each for each in manager["Problems"]))
    assert await idle(process.pid, 0.5) == 0
