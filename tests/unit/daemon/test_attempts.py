"""The whole daemon gives a machine another boot program after boots that failed, and keeps what it found."""

import time
from typing import Any

from dbus_next import Variant

from ltspd.clients.seen import MACHINE
from ltspd.names import object_path
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World

pytestmark = NEEDS_ROOT

MAC = "52:54:00:00:00:01"
PATH = object_path("client", MAC)
US = "192.168.67.1"


async def heard(world: World, at: int, *steps: str) -> None:
    values: dict[str, Any] = {"Mac": MAC, "Link": "eth0", "Architecture": 0, "Vendor": "PXEClient"}
    values |= {"Stage": "tftp" if len(steps) > 1 else "discover", "LastSeen": at, "Steps": list(steps)}
    entry = {key: Variant(MACHINE[key][0], value) for key, value in values.items()}
    await ask(world.bus, "Listener", "ReportMachines", "aa{sv}", [entry])


async def boots(world: World, program: str) -> None:
    """Fetch a program; that the boot failed is known at the next one."""
    at = time.time_ns() // 1000
    asked = f"{at} discover - - PXEClient:0 1 {at}"
    await heard(world, at, asked)
    await heard(world, at + 1, asked, f"{at + 1} fetch {US} - ltsp/{program} 1 {at + 1}")


async def way(world: World) -> tuple[str, int]:
    client = await get_all(world.bus, "Client", PATH)
    return client["BootWay"], client["FailedBoots"]


async def told(world: World) -> str:
    await ask(world.bus, "Manager", "Apply", "a{sv}", {})
    lines = [line for line in world.output("dnsmasq.conf").splitlines() if MAC in line]
    return " ".join(lines)


async def test_after_boots_that_failed_another_program_is_told_until_the_machine_is_forgotten(
    world: World,
) -> None:
    world.paths.at("/usr/lib/ipxe").mkdir(parents=True)
    for name in ("undionly.kpxe", "ipxe.pxe"):
        world.write(f"/usr/lib/ipxe/{name}", name)
    world.write("/etc/ltsp/ltsp.conf", "[server]\nBOOT_TRIES=2\n")
    process = await world.ready()
    await world.settled()
    await boots(world, "undionly.kpxe")
    await boots(world, "undionly.kpxe")
    assert await way(world) == ("auto", 1)
    assert await told(world) == ""
    await boots(world, "undionly.kpxe")
    assert await way(world) == ("drivers", 0)
    assert await told(world) == f"dhcp-mac=set:mac/menu-0,{MAC} dhcp-mac=set:mac/bios-0,{MAC}"
    assert "dhcp-boot=tag:boot/bios-0,ltsp/ipxe.pxe\n" in world.output("dnsmasq.conf")
    said = f"client {MAC}: 2 boots in a row have failed with the boot program of BOOT_WAY=auto"
    assert said in world.log.read_text()
    # A new daemon knows it, too.
    process.terminate()
    process.wait(PATIENCE)
    await world.ready()
    assert MAC in await told(world)
    await boots(world, "ipxe.pxe")
    assert await way(world) == ("drivers", 0)
    await ask(world.bus, "Client", "Forget", path=PATH)
    assert await told(world) == ""
    assert await way(world) == ("auto", 0)


async def test_a_program_that_has_worked_stays(world: World) -> None:
    world.paths.at("/usr/lib/ipxe").mkdir(parents=True)
    for name in ("undionly.kpxe", "ipxe.pxe"):
        world.write(f"/usr/lib/ipxe/{name}", name)
    world.write("/etc/ltsp/ltsp.conf", "[server]\nBOOT_TRIES=1\n")
    await world.ready()
    await world.settled()
    await boots(world, "undionly.kpxe")
    entry = {"Mac": Variant("s", MAC), "Stage": Variant("s", "network")}
    entry["LastSeen"] = Variant("t", time.time_ns() // 1000)
    await ask(world.bus, "Gateway", "ReportClients", "aa{sv}", [entry])
    for failed in range(4):
        assert await way(world) == ("auto", max(0, failed - 1))
        await boots(world, "undionly.kpxe")
    assert '"worked": true' in (world.paths.state / "attempts.json").read_text()
