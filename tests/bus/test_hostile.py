"""Callers that mean harm: wrong types, huge and odd values, floods, messages from the future."""

import asyncio
import random
from typing import Any

import pytest
from dbus_next import Message, MessageFlag, MessageType, Variant

from ltspd.api.contract import contract, tree
from ltspd.api.noun import arguments
from ltspd.api.service import CALLS_PER_SENDER
from ltspd.api.standard import PROPERTIES, STANDARD
from ltspd.dbus import connection, library, wire
from ltspd.dbus.caller import Client
from ltspd.dbus.connection import BusError, Connection
from ltspd.names import ERROR_PREFIX, ROOT_PATH, STEM, interface
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.bus_fakes import STATE, FakeServer

pytestmark = pytest.mark.usefixtures("service")

ODD_TEXTS = [
    "", "..", "../../etc/passwd", "/", "a\nb", "\x1b[2J", "'; reboot; '", "$(reboot)", "x" * 300, "é" * 200,
    "x" * 100_000, "x86_64", "g1", "\u202e", "-rf", "%s%n", STEM, PROPERTIES,
]  # fmt: skip


def deep(levels: int) -> Variant:
    value = Variant("s", "end")
    for _ in range(levels):
        value = Variant("v", value)
    return value


def odd_value(rng: random.Random, kind: str) -> Any:
    options = [
        {}, {"force": Variant("b", True)}, {"background": deep(20)}, {"": Variant("s", "")},
        {rng.choice(ODD_TEXTS): Variant("ay", b"\0" * 10)}, {str(n): Variant("u", n) for n in range(500)},
    ]  # fmt: skip
    values: dict[str, list[Any]] = {
        "s": ODD_TEXTS,
        "o": ["/", ROOT_PATH, "/a" * 1000],
        "v": [deep(30), Variant("a{sv}", {}), Variant("(sss)", ["", "", ""]), Variant("d", float("nan"))],
        "a{sv}": options,
        "aa{sv}": [options, [], [{"Mac": Variant("s", rng.choice(ODD_TEXTS))}], [{"Mac": deep(9)}] * 600],
        "t": [0, 2**64 - 1],
        "as": [[], ODD_TEXTS],
        "b": [True],
        "a(osav)": [
            [],
            [[ROOT_PATH, "Reload", []]] * 200,
            [["/a" * 1000, rng.choice(ODD_TEXTS), [deep(9)]]],
            [[ROOT_PATH, rng.choice(ODD_TEXTS), []], [ROOT_PATH, "Diagnose", [deep(9)]]],
            [[ROOT_PATH, "Apply", [Variant("a{sv}", rng.choice(options))]]],
        ],
    }
    return rng.choice(values[kind])


async def test_fuzz(client: Connection, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    paths = [*tree(STATE), "/", ROOT_PATH + "/image", ROOT_PATH + "/job/none", "/a" * 500]
    everything = {**STANDARD, **contract()}
    server.go.set()
    for _ in range(1000):
        name = rng.choice(list(everything))
        method = rng.choice(everything[name].methods or STANDARD[PROPERTIES].methods)
        kinds = [each.signature for each in arguments(method.inputs)]
        if rng.random() < 0.3:
            kinds = rng.choices(["s", "o", "v", "a{sv}", "t", "as", "b"], k=rng.randrange(4))
        message = Message(
            destination=STEM,
            path=rng.choice(paths),
            interface=rng.choice([name, name, name, None, "a.b"]),
            member=rng.choice([method.name] * 5 + ["No"]),
            signature="".join(kinds),
            body=[odd_value(rng, kind) for kind in kinds],
            flags=MessageFlag(rng.randrange(8) & ~1),
        )
        reply = await client.request(message, 10)
        if reply.message_type is MessageType.ERROR:
            assert reply.error_name != ERROR_PREFIX + "Failed", (seed, message.member, reply.body)
            assert reply.error_name.startswith((ERROR_PREFIX, "org.freedesktop.DBus.Error.")), seed
            assert len(reply.body[0]) < 2000, seed
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    assert not [each for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")], seed


async def test_a_flood_from_one_sender_is_bounded_and_others_are_served(
    client: Connection, bus_address: str, server: FakeServer
) -> None:
    server.slow_apply = 0.5
    flooder = await connection.connect(bus_address)
    pending = [
        asyncio.create_task(ask(flooder, "Manager", "Apply", "a{sv}", {}, timeout=PATIENCE))
        for _ in range(2000)
    ]
    await server.applying.wait()
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    results = await asyncio.gather(*pending, return_exceptions=True)
    served = [each for each in results if not isinstance(each, BaseException)]
    refused = [each for each in results if isinstance(each, BusError)]
    assert len(served) + len(refused) == 2000
    assert {each.name for each in refused} == {"org.freedesktop.DBus.Error.LimitsExceeded"}
    # dbus-daemon itself lets a connection have 128 unanswered calls (max_replies_per_connection), and on a
    # busy machine its limit may be met before ours.
    assert len(served) >= min(CALLS_PER_SENDER, 128)
    assert await ask(flooder, "org.freedesktop.DBus.Peer", "Ping") == []
    await flooder.close()


async def test_callers_that_vanish_without_reading(client: Connection, bus_address: str) -> None:
    for _ in range(20):
        caller = await connection.connect(bus_address)
        for _ in range(50):
            caller.send(
                Message(destination=STEM, path=ROOT_PATH, interface=PROPERTIES, member="GetAll",
                        signature="s", body=[interface("Manager")])
            )  # fmt: skip
        await asyncio.sleep(0)
        await caller.close()
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"


async def test_header_fields_from_the_future_do_not_end_the_connection(
    client: Connection, bus_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)

    def send() -> None:
        caller = Client()
        fields = [
            (1, ("o", ROOT_PATH)),
            (3, ("s", "Ping")),
            (6, ("s", STEM)),
            (42, ("s", "new")),
            (43, ("u", 1)),
        ]
        out = bytearray(b"l\x01\x80\x01" + bytes(4) + (99).to_bytes(4, "little"))
        wire.write(out, "a(yv)", fields)
        out += bytes(-len(out) % 8)
        caller._socket.sendall(out)
        caller._socket.settimeout(PATIENCE)
        caller._socket.recv(1000)
        caller.close()

    await asyncio.to_thread(send)
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"


async def test_spoofed_signals_do_not_cancel_anyone(
    client: Connection, bus_address: str, server: FakeServer
) -> None:
    """Only the bus itself may say that a caller vanished."""
    server.slow_apply = 0.3
    pending = asyncio.create_task(ask(client, "Manager", "Apply", "a{sv}", {}))
    await server.applying.wait()
    other = await connection.connect(bus_address)
    spoof = Message(
        destination=STEM, path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
        member="NameOwnerChanged", message_type=MessageType.SIGNAL, signature="sss",
        body=[client.unique_name, client.unique_name, ""],
    )  # fmt: skip
    other.send(spoof)
    await other.close()
    assert await pending == []


async def test_signatures_of_strangers_are_not_kept_for_ever(client: Connection) -> None:
    from dbus_next import SignatureTree

    letters = "bdinqstuxy"
    for n in range(library.SIGNATURES_KEPT + 500):
        signature = "".join(letters[int(digit)] for digit in str(n))
        SignatureTree(signature)
        SignatureTree._get(signature)
    await ask(client, "org.freedesktop.DBus.Peer", "Ping")
    assert len(SignatureTree._cache) <= library.SIGNATURES_KEPT


async def test_many_senders_together_shut_nobody_out(
    client: Connection, bus_address: str, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltspd.api.service.CALLS_IN_ALL", 20)
    server.slow_apply = 1.0
    flooders = [await connection.connect(bus_address) for _ in range(3)]
    pending = [
        asyncio.create_task(ask(flooder, "Manager", "Apply", "a{sv}", {}, timeout=PATIENCE))
        for flooder in flooders
        for _ in range(10)
    ]
    await server.applying.wait()
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    results = await asyncio.gather(*pending, return_exceptions=True)
    refused = [each for each in results if isinstance(each, BusError)]
    assert refused
    assert {each.name for each in refused} == {"org.freedesktop.DBus.Error.LimitsExceeded"}
    for flooder in flooders:
        await flooder.close()
