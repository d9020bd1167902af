"""What a caller may do, asked before it is tried: the same answer as polkit gives to the call itself."""

import re

import pytest
from dbus_next import Variant

from ltspd.dbus.connection import BusError, Connection
from ltspd.names import ROOT_PATH, action, object_path
from tests.worlds.bus import ask
from tests.worlds.bus_fakes import FakePolkit, FakeServer

PC01 = object_path("client", "52:54:00:00:00:01")
IMAGE = object_path("image", "x86_64")
GONE = object_path("client", "52:54:00:00:00:0f")
NO_OPTIONS = Variant("a{sv}", {})


def text(word: str) -> Variant:
    return Variant("s", word)


async def may(client: Connection, *calls: tuple[str, str, list[Variant]]) -> list[bool]:
    (found,) = await ask(client, "Manager", "MayCall", "a(osav)", [list(each) for each in calls])
    return list(found)


@pytest.mark.usefixtures("strict")
async def test_polkit_is_asked_as_for_the_call_itself_and_nothing_is_done(
    client: Connection, authority: FakePolkit, server: FakeServer
) -> None:
    authority.allow.add(action("control-client"))
    assert await may(
        client,
        (PC01, "Order", [text("reboot"), NO_OPTIONS]),
        (PC01, "Forget", []),
        (IMAGE, "Build", [NO_OPTIONS]),
        (IMAGE, "Test", [NO_OPTIONS]),
        (IMAGE, "Revert", [text("g1")]),
        (ROOT_PATH, "OrderClients", [text("wake"), Variant("as", ["lab1"]), NO_OPTIONS]),
        (ROOT_PATH, "Diagnose", [text("pc01")]),
    ) == [True, True, False, False, False, True, True]
    asked = [(each[1].rpartition(".")[2], each[2], each[3]) for each in authority.asked]
    words = {"client": "pc01", "mac": "52:54:00:00:00:01"}
    order = {"client": "52:54:00:00:00:01", "host": "pc01", "room": "lab1", "user": "", "verb": "reboot"}
    room = {"client": "room lab1", "host": "", "mac": "", "room": "lab1", "user": "", "verb": "wake"}
    # To build and to test an image are the same to polkit, so it is asked once.
    expected = [
        ("control-client", {**words, **order}, 0),
        ("control-client", {**words, "verb": "forget"}, 0),
        ("build-image", {"image": "x86_64"}, 0),
        ("revert-image", {"generation": "g1", "image": "x86_64"}, 0),
        ("control-client", room, 0),
    ]
    assert len(asked) == len(expected)
    assert all(each in asked for each in expected)
    assert server.calls == []


@pytest.mark.usefixtures("service", "authority")
async def test_a_trusted_caller_may_do_all_but_what_concerns_nothing(client: Connection) -> None:
    assert await may(
        client,
        (PC01, "Order", [text("poweroff"), NO_OPTIONS]),
        (ROOT_PATH, "Reload", []),
        (GONE, "Forget", []),
        (ROOT_PATH, "OrderClients", [text("wake"), Variant("as", ["nobody"]), NO_OPTIONS]),
        (PC01, "Order", [text("dance"), NO_OPTIONS]),
    ) == [True, True, False, False, False]
    assert await may(client) == []


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([(PC01, "Dance", [])], "There is no method Dance"),
        ([(PC01, "Order", [text("reboot")])], "takes arguments of type 'sa{sv}', not 's'"),
        ([(PC01, "Forget", [])] * 101, "MayCall takes up to 100 calls, not 101"),
    ],
)
async def test_a_question_that_is_wrong_is_an_error(
    client: Connection, calls: list[tuple[str, str, list[Variant]]], why: str
) -> None:
    with pytest.raises(BusError, match=re.escape(why)):
        await may(client, *calls)
