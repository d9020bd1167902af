"""The whole daemon decides whose key counts, keeps that over restarts, and opens accounts by ltsp.conf."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.clients.enrolment import fingerprint
from ltspd.dbus.connection import BusError
from ltspd.names import object_path
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World, wrong

pytestmark = NEEDS_ROOT

MAC = "52:54:00:00:00:01"
PATH = object_path("client", MAC)
MINE, OTHER = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "AB")


async def report(world: World, key: str, kept: str = "1", **more: str) -> None:
    words = {"Mac": MAC, "Address": "10.0.3.20", "Stage": "root", "Key": key, "Kept": kept, **more}
    entry: dict[str, Any] = {name: Variant("s", word) for name, word in words.items()}
    entry["LastSeen"] = Variant("t", time.time_ns() // 1000)
    await ask(world.bus, "Gateway", "ReportClients", "aa{sv}", [entry])


async def identity(world: World) -> str:
    return str((await get_all(world.bus, "Client", PATH))["Identity"])


async def becomes(world: World, wanted: str) -> None:
    """Wait for what a pass finds."""
    async with asyncio.timeout(PATIENCE):
        while await identity(world) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.03)


async def approve(world: World, key: str) -> None:
    await ask(world.bus, "Client", "Approve", "s", fingerprint(key), path=PATH)


def opened(world: World) -> str:
    try:
        return world.output("login/keys/ada").split()[2]
    except FileNotFoundError:
        return ""


async def opens(world: World, key: str) -> None:
    """Wait until the account is open to this key and no other; an empty one: to nobody."""
    wanted = key.partition(" ")[2]
    # The daemon waits for its service manager to read what it says, and that keeps only some messages.
    with suppress(BlockingIOError):
        while world.notify.recv(4096):
            pass
    await world.until(lambda _: opened(world) == wanted)


async def test_the_first_kept_key_opens_the_account_until_ltsp_conf_changes(world: World) -> None:
    world.write("/etc/ltsp/ltsp.conf", f"[{MAC}]\nAUTOLOGIN=ada\n")
    process = await world.ready()
    await report(world, MINE)
    await opens(world, MINE)
    assert await identity(world) == "kept"

    await report(world, OTHER, Address="10.0.3.99", Hostname="thief")
    assert await identity(world) == "refused"
    assert f"{fingerprint(OTHER)} of client {MAC} at 10.0.3.99 is refused" in world.log.read_text()
    (problem,) = wrong(await world.until(lambda found: bool(wrong(found))))
    assert f"ltspctl client approve {MAC}" in problem
    await ask(world.bus, "Manager", "Reload")
    await opens(world, MINE)

    # What is kept on disk counts before any client has reported, and root alone reads it.
    process.terminate()
    assert process.wait() == 0
    file = world.paths.state / "enrolled.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["clients"][MAC]["key"] == MINE
    await world.ready()
    assert (await identity(world), opened(world)) == ("kept", MINE.split()[1])
    await report(world, OTHER)
    assert await identity(world) == "refused"

    with pytest.raises(BusError, match="reported last is"):
        await approve(world, MINE)
    await approve(world, OTHER)
    assert await identity(world) == "kept"
    await opens(world, OTHER)
    assert wrong(await world.settled()) == []

    world.write("/etc/ltsp/ltsp.conf", f"[{MAC}]\nAUTOLOGIN=bob\n")
    await opens(world, "")
    assert "opens the account bob, and there is none" in "\n".join(
        wrong(await world.until(lambda found: bool(wrong(found))))
    )
    world.write("/etc/ltsp/ltsp.conf", f"[{MAC}]\nAUTOLOGIN=ada\n")
    await opens(world, OTHER)
    world.write("/etc/shadow", "ada:!$y$j9T$x$y:19000:0:99999:7:::\n")
    await opens(world, "")
    world.write("/etc/shadow", "ada:!:19000:0:99999:7:::\n")
    await opens(world, OTHER)

    await ask(world.bus, "Client", "Forget", path=PATH)
    assert await identity(world) == "none"
    await opens(world, "")
    with pytest.raises(BusError, match="NoKey"):
        await approve(world, MINE)
    await report(world, MINE)
    await opens(world, MINE)


async def test_asked_for_and_boot_long(world: World) -> None:
    world.write("/etc/ltsp/ltsp.conf", f"[server]\nENROL=ask\n[{MAC}]\nAUTOLOGIN=ada\n")
    await world.ready()
    await report(world, MINE, "0")
    assert await identity(world) == "pending"
    await approve(world, MINE)
    assert await identity(world) == "boot"
    await opens(world, MINE)
    await report(world, "", "", Stage="network")
    await opens(world, "")
    await report(world, OTHER, "0")
    assert await identity(world) == "pending"
    # What was reported is judged anew when ltsp.conf changes.
    world.write("/etc/ltsp/ltsp.conf", f"[server]\nENROL=auto\n[{MAC}]\nAUTOLOGIN=ada\n")
    await opens(world, OTHER)
    world.write("/etc/ltsp/ltsp.conf", f"[server]\nENROL=off\n[{MAC}]\nAUTOLOGIN=ada\n")
    await opens(world, "")
    await becomes(world, "none")


async def test_a_damaged_file_lets_nobody_in_and_stays(world: World) -> None:
    world.write("/etc/ltsp/ltsp.conf", f"[{MAC}]\nAUTOLOGIN=ada\n")
    world.write("/var/lib/ltspd/enrolled.json", '{"clients": {')
    await world.ready()
    await report(world, MINE)
    assert (await identity(world), opened(world)) == ("none", "")
    assert any("enrolled.json can't be read" in each for each in wrong(await get_all(world.bus, "Manager")))
    with pytest.raises(BusError, match="NoKey"):
        await approve(world, MINE)
    assert (world.paths.state / "enrolled.json").read_text() == '{"clients": {'
