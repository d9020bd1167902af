"""Orders on the bus and by the command: whom they reach, what polkit is told, what is refused."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.dbus.connection import BusError, Connection
from ltspd.model.job import Job, JobState
from ltspd.names import action, error, object_path
from tests.worlds.bus import ask
from tests.worlds.bus_fakes import FakePolkit, FakeServer
from tests.worlds.program import Ltspctl

PC01, PC02, PC03 = (f"52:54:00:00:00:0{number}" for number in (1, 2, 3))


async def order(client: Connection, verb: str, *names: str, **options: Any) -> str:
    given = {key: Variant("u" if isinstance(value, int) else "s", value) for key, value in options.items()}
    (path,) = await ask(client, "Manager", "OrderClients", "sasa{sv}", verb, list(names), given)
    return str(path)


@pytest.mark.usefixtures("service")
async def test_whom_an_order_reaches(client: Connection, server: FakeServer) -> None:
    await order(client, "message", "lab1", text="<b>\n")
    await order(client, "logout", "PC02", "10.0.0.20", user="ada", stagger=5)
    await order(client, "wake", "*")
    await order(client, "wake", "B8-27-EB-00-00-01", timeout=7)
    await order(client, "poweroff", "*")
    await order(client, "reboot", PC02, PC03)
    assert server.calls == [
        ("order", "message", ("<b>\n",), {"pc01": 0}, {}, "room lab1", 30.0),
        ("order", "logout", ("ada",), {"pc01": 0, "pc02": 5}, {}, "PC02, 10.0.0.20", 30.0),
        ("order", "wake", (), {"pc01": 0, "pc02": 0, "pc03": 0}, {}, "all clients", 300.0),
        ("order", "wake", (), {"b8:27:eb:00:00:01": 0}, {}, "B8-27-EB-00-00-01", 7.0),
        ("order", "poweroff", (), {"pc01": 0, "pc02": 0}, {}, "all clients", 30.0),
        ("order", "reboot", (), {"pc02": 0}, {PC03: "it is off."}, f"{PC02}, {PC03}", 30.0),
    ]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("verb", "names", "options", "name", "why"),
    [
        ("dance", ["pc01"], {}, "InvalidOption", "'dance' is no order; there is: message, logout"),
        ("message", ["pc01"], {}, "InvalidOption", "it is empty"),
        ("message", ["pc01"], {"text": "\x1b"}, "InvalidOption", "it has a control character"),
        ("reboot", ["pc01"], {"text": "x"}, "InvalidOption", "reboot takes no text"),
        ("logout", ["pc01"], {"user": "-x"}, "InvalidOption", "can't be a user's name"),
        ("reboot", ["*"], {"stagger": 90_000}, "InvalidOption", "With 2 clients, 14400 s is the most"),
        ("reboot", ["*"], {"timeout": 90_000}, "InvalidOption", "3600 s is the most"),
        ("reboot", [], {}, "NoSuchClient", "Name 1 to 2000"),
        ("reboot", ["nobody"], {}, "NoSuchClient", "There is no client or room 'nobody'"),
        ("reboot", [PC03.replace("3", "9")], {}, "NoSuchClient", "There is no client or room"),
        ("reboot", ["room:lab9"], {}, "NoSuchClient", "There is no room 'lab9'; there is: lab1, hall, empty"),
        ("reboot", ["empty"], {}, "NoSuchClient", "Nobody of room empty is known"),
    ],
)
async def test_what_is_refused(
    client: Connection, server: FakeServer, verb: str, names: list[str], options: Mapping[str, Any],
    name: str, why: str,
) -> None:  # fmt: skip
    with pytest.raises(BusError, match=why) as wrong:
        await order(client, verb, *names, **options)
    assert wrong.value.name == error(name)
    assert server.calls == []


@pytest.mark.usefixtures("strict")
async def test_polkit_is_told_host_room_user_and_verb(
    client: Connection, authority: FakePolkit, server: FakeServer
) -> None:
    authority.allow.add(action("control-client"))
    await order(client, "logout", "lab1", user="ada")
    await order(client, "reboot", "pc01")
    await order(client, "reboot", "lab1", "pc02")
    await order(client, "wake", "*")
    path = object_path("client", PC01)
    await ask(client, "Client", "Order", "sa{sv}", "reboot", {}, path=path)
    words = {"host": "", "mac": "", "room": "", "user": "", "verb": "reboot"}
    pc01 = {"host": "pc01", "mac": PC01, "room": "lab1"}
    assert [details for _, _, details, _ in authority.asked] == [
        {**words, "client": "room lab1", "room": "lab1", "user": "ada", "verb": "logout"},
        {**words, **pc01, "client": "pc01"},
        {**words, "client": "room lab1, pc02"},
        {**words, "client": "all clients", "verb": "wake"},
        {**words, **pc01, "client": PC01},
    ]
    assert len(server.calls) == 5


@pytest.mark.usefixtures("strict")
async def test_who_is_in_another_room_after_the_dialog_gets_no_order(
    client: Connection, authority: FakePolkit, server: FakeServer
) -> None:

    authority.allow.add(action("control-client"))
    authority.hold = asyncio.Event()
    asking = asyncio.create_task(order(client, "reboot", "pc01"))
    while not authority.asked:
        await ask(client, "Manager", "GetImage", "s", "x86_64")
    server.set(clients=tuple(replace(each, rooms=("hall",)) for each in server.state.clients))
    authority.hold.set()
    with pytest.raises(BusError, match="changed meanwhile"):
        await asking
    assert server.calls == []


async def test_the_command_shows_what_came_of_it(ltspctl: Ltspctl, running: FakeServer) -> None:
    ran = await ltspctl("client", "message", "pc01", "Class", "ends", "--json")
    shown = json.loads(ran.out)
    assert (ran.status, shown["State"], shown["Kind"], shown["Subject"]) == (0, "done", "message", "pc01")
    assert shown["Clients"] == [{"Mac": PC01, "Hostname": "pc01", "Room": "lab1", "Result": "ok"}]
    ran = await ltspctl("client", "reboot", "--all", "--force", "--stagger", "20")
    assert (ran.status, ran.out) == (1, "")
    assert "pc02: it is busy." in ran.err
    ran = await ltspctl("client", "poweroff", PC01)
    assert (ran.status, ran.err.split(":")[0]) == (0, PC01.split(":")[0])
    assert [call[1:4] for call in running.calls] == [
        ("message", ("Class ends",), {"pc01": 0}),
        ("reboot", ("force",), {"pc01": 0, "pc02": 20}),
        ("poweroff", (), {"pc01": 0}),
    ]


async def test_clients_of_a_room(ltspctl: Ltspctl, running: FakeServer) -> None:
    ran = await ltspctl("client", "list", "--room", "room:Lab1", "--json")
    assert [each["Mac"] for each in json.loads(ran.out)] == [PC01]
    assert (await ltspctl("client", "list", "--room", "empty")).out == "Nobody of empty has reported.\n"
    ran = await ltspctl("client", "list", "--room", "x")
    assert (ran.status, ran.err) == (
        1,
        "ltspctl: There is no room 'x' in ltsp.conf; there is: lab1, hall, empty.\n",
    )
    ran = await ltspctl("complete", "target")
    assert ran.out.split() == ["hall", "lab1", "pc01", "pc02"]


@pytest.mark.usefixtures("strict")
async def test_who_may_give_orders_to_a_room_may_withdraw_them(
    client: Connection, authority: FakePolkit, server: FakeServer
) -> None:
    authority.allow.add(action("control-client"))
    rooms = enumerate(("room lab1", "pc1, room lab1"))
    orders = [Job(str(number), "reboot", who, 0, JobState.RUNNING) for number, who in rooms]
    server.set(jobs=(*orders, Job("b", "build", "room lab1", 0, JobState.RUNNING)))
    for each in ("0", "1", "b"):
        # They are only shown; what is asked before they are cancelled is what counts here.
        with pytest.raises(BusError, match="There is no job" if each != "b" else "not authorized"):
            await ask(client, "Job", "Cancel", path=object_path("job", each))
    assert [details for _, _, details, _ in authority.asked] == [
        {"job": "0", "client": "room lab1", "room": "lab1", "verb": "reboot"},
        {"job": "1", "client": "pc1, room lab1", "room": "", "verb": "reboot"},
        {"job": "b", "image": "room lab1"},
    ]
