"""Orders as the whole daemon gives them: signed, in the gateway's table while they count, answered."""

import asyncio
import json
import shutil
import subprocess
import time
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.dbus.connection import BusError
from ltspd.names import object_path
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World

pytestmark = [
    NEEDS_ROOT,
    pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen (openssh-client)"),
]

ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
BOOT = "01234567-89ab-cdef-0123-456789abcdef"
CONF = f"[room:lab1]\nMEMBERS='pc1 {TWO}'\n[52:54:00:00:00:03]\nHOSTNAME=pc3\n"


async def report(world: World, mac: str, **values: str) -> None:
    entry = {"LastSeen": Variant("t", time.time_ns() // 1000)}
    entry |= {key: Variant("s", value) for key, value in {"Mac": mac, **values}.items()}
    await ask(world.bus, "Gateway", "ReportClients", "aa{sv}", [entry])


async def serving(world: World) -> "subprocess.Popen[bytes]":
    """Start a daemon that knows two clients, of which one is on."""
    world.write("/etc/ltsp/ltsp.conf", CONF)
    process = await world.ready()
    await world.settled()
    await report(world, ONE, Stage="login", Hostname="pc1", Address="192.168.67.20", Boot=BOOT)
    await report(world, TWO, Stage="off", Hostname="pc2", Boot=BOOT)
    return process


async def order(world: World, verb: str, *names: str, **options: Any) -> str:
    given = {key: Variant("u" if isinstance(value, int) else "s", value) for key, value in options.items()}
    (path,) = await ask(world.bus, "Manager", "OrderClients", "sasa{sv}", verb, list(names), given)
    return str(path)


async def until(what: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (found := what()):  # noqa: ASYNC110 - files of another process
            await asyncio.sleep(0.03)
    return found


async def ended(world: World, path: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (job := await get_all(world.bus, "Job", path))["State"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.03)
    return job


def table(world: World) -> dict[str, Any]:
    return dict(json.loads(world.output("gateway.json")))


def verified(world: World, number: str) -> str:
    """Return an order's text once its signature was checked as clients check it."""
    home, keys = world.paths.orders, world.paths.keys
    signers = world.folder / "signers"
    signers.write_text(f'ltsp-server namespaces="ltspd" {(keys / "orders.pub").read_text()}')
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "ltsp-server", "-n", "ltspd"]
    data = (home / number).read_bytes()
    subprocess.run([*argv, "-s", str(home / f"{number}.sig")], input=data, check=True, capture_output=True)
    return data.decode()


async def test_an_order_counts_until_it_is_answered(world: World) -> None:
    await serving(world)
    client = await get_all(world.bus, "Client", object_path("client", ONE))
    assert (client["Room"], client["Rooms"], client["Order"]) == ("lab1", ["lab1"], "")
    assert (await get_all(world.bus, "Manager"))["Rooms"] == ["lab1"]

    path = await order(world, "message", "lab1", text="Class ends\n'now'")
    number = path.rpartition("/")[2]
    await until(lambda: ONE in table(world)["orders"]["each"])
    assert table(world)["orders"]["each"] == {ONE: {"revision": number, "words": number}}
    assert table(world)["files"][f"/ltsp/orders/{number}.sig"].endswith(f"orders/{number}.sig")
    assert verified(world, number) == f"{number} message Class%20ends%0A%27now%27\n{ONE} {BOOT} 0\n"
    assert (world.paths.orders / number).stat().st_mode & 0o777 == 0o644

    # Who was not asked, or is in another boot, answers nothing.
    await report(world, TWO, Boot=BOOT, Order=number, Result="ok")
    await report(world, ONE, Boot=BOOT.replace("0", "1"), Order=number, Result="ok")
    await report(world, ONE, Boot=BOOT, Order="17", Result="ok")
    assert (await get_all(world.bus, "Job", path))["State"] == "running"
    await report(world, ONE, Boot=BOOT, Order=number, Result="ok")
    job = await ended(world, path)
    assert (job["State"], job["Kind"], job["Subject"], job["Result"]) == (
        "done", "message", "room lab1", "1 client",
    )  # fmt: skip
    client = await get_all(world.bus, "Client", object_path("client", ONE))
    assert (client["Order"], client["Result"], client["Stage"]) == (number, "ok", "login")
    await until(lambda: not table(world)["orders"]["each"])
    assert [each.name for each in world.paths.orders.iterdir()] == ["last"]
    later = (await order(world, "reboot", ONE)).rpartition("/")[2]
    assert int(later) > int(number)


async def test_who_is_silent_is_named_and_may_not_obey_later(world: World) -> None:
    await serving(world)
    path = await order(world, "poweroff", "pc1", "pc2", timeout=1)
    job = await ended(world, path)
    assert job["State"] == "failed"
    assert job["Error"][0].endswith(".NotObeyed")
    assert job["Error"][1].splitlines() == [
        "0 of 2 clients did it.",
        "pc2: it is off.",
        "pc1: it gave no answer within 1 s.",
    ] or job["Error"][1].splitlines() == [
        "0 of 2 clients did it.",
        "pc1: it gave no answer within 1 s.",
        "pc2: it is off.",
    ]
    await until(lambda: not table(world)["orders"]["each"])
    # A job that is cancelled withdraws its order, too.
    path = await order(world, "reboot", "pc1")
    await until(lambda: table(world)["orders"]["each"])
    await ask(world.bus, "Job", "Cancel", path=path)
    await until(lambda: not table(world)["orders"]["each"])
    with pytest.raises(BusError, match="There is no client or room"):
        await order(world, "message", "pc9", text="x")


async def test_machines_are_woken_by_their_reports(world: World) -> None:
    await serving(world)
    path = await order(world, "wake", "pc3", "lab1", stagger=2)
    number = path.rpartition("/")[2]
    await until(lambda: table(world)["wakes"])
    assert table(world)["wakes"] == {number: [[ONE, 0], [TWO, 2], ["52:54:00:00:00:03", 4]]}
    assert table(world)["orders"]["each"] == {}
    for mac in (ONE, TWO, "52:54:00:00:00:03"):
        await report(world, mac, Stage="network", Boot=BOOT.replace("0", "2"))
    assert (await ended(world, path))["State"] == "done"
    await until(lambda: not table(world)["wakes"])


@pytest.mark.parametrize("state", ["running", "stopping"])
async def test_clients_are_told_if_the_machine_goes_down(world: World, state: str) -> None:
    process = await serving(world)
    before = world.output("gateway.json")
    world.systemd.state = state
    world.systemd.acts.clear()
    process.terminate()
    if state == "stopping":
        await until(lambda: ("KillUnit", "ltspd-gateway.service") in world.systemd.acts)
        (each,) = table(world)["orders"]["each"].values()
        assert "is%20being%20shut%20down" in verified(world, each["words"])
        await report(world, ONE, Boot=BOOT, Order=each["words"], Result="ok")
    await asyncio.to_thread(process.wait, PATIENCE)
    assert process.returncode == 0
    assert world.output("gateway.json") == before
    if state == "running":
        assert world.systemd.acts == []
    else:
        assert "1 of 1 clients were told" in world.log.read_text()
