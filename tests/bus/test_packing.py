"""Objects packed once: the same bytes as the D-Bus library's, and only what changed is packed again."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from dbus_next import Message, MessageType, Variant

from ltspd.api import packing
from ltspd.api.contract import contract, tree
from ltspd.api.difference import difference
from ltspd.api.noun import Tree, Typed
from ltspd.api.service import PACE, Service
from ltspd.dbus import wire
from ltspd.dbus.connection import Connection
from ltspd.model.client import ClientState
from ltspd.model.job import Job, JobState
from ltspd.model.state import State
from ltspd.names import ROOT_PATH, object_path
from tests.worlds.bus import Signals
from tests.worlds.bus_fakes import STATE, FakeServer

FULL = replace(
    STATE,
    jobs=(
        Job("1", "build", "x", 0, JobState.FAILED, progress=0.25, error_name="a.b", error="odd \0 \udcff"),
    ),
)


def plain(value: Any) -> Any:
    """Turn a value of the tree into what dbus-next takes for it."""
    match value:
        case Typed(signature, inner):
            return Variant(signature, plain(inner))
        case str():
            return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        case Mapping():
            return {plain(key): plain(each) for key, each in value.items()}
        case tuple() | list():
            return [plain(each) for each in value]
        case _:
            return value


def properties(name: str, found: Mapping[str, Any]) -> dict[str, Variant]:
    known = contract()[name].by_name
    return {key: Variant(known[key].signature, plain(value)) for key, value in found.items()}


def librarys(shown: Tree) -> bytes:
    """Return a{oa{sa{sv}}} as dbus-next writes it."""
    body = [
        {
            path: {name: properties(name, each) for name, each in found.items()}
            for path, found in shown.items()
            if path != ROOT_PATH
        }
    ]
    signature = "a{oa{sa{sv}}}"
    message = Message(
        message_type=MessageType.METHOD_RETURN, reply_serial=1, serial=1, signature=signature, body=body
    )
    return bytes(message._marshall())[-len(packing.objects(shown, ROOT_PATH, {})[0]) :]


@pytest.mark.parametrize("state", [FULL, State("1"), replace(FULL, images=(), jobs=())])
def test_the_bytes_are_those_of_the_library(state: State) -> None:
    shown = tree(state)
    assert packing.objects(shown, ROOT_PATH, {})[0] == librarys(shown)


def test_only_what_changed_is_made_and_packed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = tree(FULL)
    _, entries = packing.objects(first, ROOT_PATH, {})
    client = FULL.clients[0]
    moved = replace(client, stage="kernel")
    state = replace(FULL, clients=(ClientState("52:54:00:00:00:02"), moved), images=FULL.images[1:])
    second = tree(state, (FULL, first))
    assert second == tree(state)
    changed = {object_path("client", each.mac) for each in state.clients} | {ROOT_PATH}
    assert {path for path in second if second[path] is not first.get(path)} == changed
    packed: list[str] = []
    real = packing.entry

    def entry(path: str, found: Any) -> bytes:
        packed.append(path)
        return real(path, found)

    monkeypatch.setattr(packing, "entry", entry)
    data, entries = packing.objects(second, ROOT_PATH, entries)
    assert set(packed) == changed - {ROOT_PATH}
    assert data == librarys(second)
    assert set(entries) == set(second) - {ROOT_PATH}
    assert difference(first, second) == difference(tree(FULL), tree(state))


def test_text_that_is_none_is_replaced() -> None:
    data = wire.content("s", ["a\0b\udcffc"])
    assert data[4:-1].decode() == "a\N{REPLACEMENT CHARACTER}b?c"


async def test_many_changes_become_few_signals_and_the_last_one_counts(
    service: Service, server: FakeServer, client: Connection
) -> None:
    signals = await Signals(client).subscribe()
    first = STATE.clients[0]
    for count in range(200):
        server.set(clients=(replace(first, last_seen=count),))
        await asyncio.sleep(0)
    await asyncio.sleep(PACE * 5)
    heard = [
        each.body[1]["LastSeen"].value
        for each in signals.heard
        if each.member == "PropertiesChanged" and each.body[0].endswith(".Client")
    ]
    assert heard == sorted(heard)
    assert heard[-1] == 199
    assert len(heard) < 100
    server.set(clients=(replace(first, last_seen=500),))
    await signals.until("PropertiesChanged", len(signals.heard) + 1)
