"""Floods: thousands of calls, megabytes of text, a hundred watchers. All is answered and nothing grows."""

import asyncio
import gc
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbus_next import Message, MessageFlag, MessageType

from ltspd.api.service import Service
from ltspd.dbus import connection, wire
from ltspd.dbus.caller import Client
from ltspd.dbus.connection import BusError, Connection
from ltspd.dbus.reader import LONGEST, LONGEST_CALL, PIECE, Reader
from ltspd.names import ROOT_PATH, STEM, interface
from tests.patience import PATIENCE
from tests.worlds.bus import Signals, ask, get_all
from tests.worlds.bus_fakes import FakePolkit, FakeServer

CALLS = 20_000
# Generous: what is asked is whether memory follows the number of calls, which would be hundreds of megabytes.
GROWTH = 80e6
PROPERTIES = "org.freedesktop.DBus.Properties"
NO_REPLY = 1


def resident() -> float:
    """Return this process's resident size in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Flooder:
    """A connection that sends without waiting; its thread reads and counts what comes back by error name."""

    def __init__(self) -> None:
        self._client = Client()
        self.socket: socket.socket = self._client._socket
        self.answers: dict[str, int] = {}
        self.worst = ""

    def send(self, count: int, flags: int = 0) -> None:
        """Send so many calls, and read what comes meanwhile."""
        self.socket.setblocking(False)
        body = [interface("Manager")]
        data = b"".join(
            wire.call(100 + n, STEM, ROOT_PATH, PROPERTIES, "GetAll", "s", body, flags) for n in range(count)
        )
        view, buffer = memoryview(data), bytearray()
        while view or (not flags and sum(self.answers.values()) < count):
            readable, writable, _ = select.select([self.socket], [self.socket] if view else [], [], 60)
            assert readable or writable, f"nothing comes any more: {self.answers}"
            if writable:
                view = view[self.socket.send(view[:65536]) :]
            if readable:
                buffer += self.socket.recv(1 << 18)
                self._take(buffer)

    def _take(self, buffer: bytearray) -> None:
        while len(buffer) >= wire.PREFIX and len(buffer) >= (size := wire.size(bytes(buffer[: wire.PREFIX]))):
            message = wire.parse(bytes(buffer[:size]))
            del buffer[:size]
            if message.kind in (wire.RETURN, wire.ERROR) and message.reply_to >= 100:
                self.answers[message.error] = self.answers.get(message.error, 0) + 1
                if "Traceback" in str(message.body):
                    self.worst = str(message.body)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def flooder(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flooder]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    flooder = Flooder()
    yield flooder
    flooder.close()


@pytest.mark.parametrize("flags", [0, NO_REPLY], ids=["wait", "no-reply"])
@pytest.mark.usefixtures("service")
async def test_a_flood_is_answered_and_leaves_no_memory_behind(
    client: Connection, flooder: Flooder, flags: int, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(flooder.send, 500, flags)  # what is kept for good is there by then
    flooder.answers.clear()
    before = resident()
    flood = asyncio.create_task(asyncio.to_thread(flooder.send, CALLS, flags))
    others = 0
    while not flood.done():
        assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
        others += 1
    await flood
    assert others > 5, "others are served while it lasts"
    assert sum(flooder.answers.values()) == (0 if flags else CALLS)
    assert set(flooder.answers) <= {"", "org.freedesktop.DBus.Error.LimitsExceeded"}
    assert flooder.worst == ""
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    assert resident() - before < GROWTH
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


@pytest.mark.usefixtures("service")
async def test_megabytes_of_text_are_refused_unread(client: Connection, bus_address: str) -> None:
    before = resident()
    for size in (LONGEST_CALL, 5_000_000, 30_000_000):
        caller = await connection.connect(bus_address)
        for member, signature, body in (
            ("GetImage", "s", ["x" * size]),
            ("BuildImage", "sa{sv}", ["y" * size, {}]),
            ("Reload", "as", [["z" * 100] * (size // 100)]),
        ):
            with pytest.raises(BusError, match="too long") as caught:
                await ask(caller, "Manager", member, signature, *body, timeout=PATIENCE)
            assert caught.value.name == "org.freedesktop.DBus.Error.LimitsExceeded"
        await caller.close()
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    # The text was made, and sent, by this very process: the service's own share is what would stay.
    assert resident() - before < GROWTH + 60e6


@pytest.mark.usefixtures("service")
async def test_messages_of_no_known_kind_end_nothing(
    client: Connection, flooder: Flooder, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {1: ROOT_PATH, 2: interface("Manager"), 3: "Reload", 6: STEM}
    odd = [wire.assemble(kind, 7, fields, b"") for kind in (5, 99, 255)]
    odd.append(wire.assemble(wire.CALL, 8, fields, b"", 0xFC))
    await asyncio.to_thread(flooder.socket.sendall, b"".join(odd))
    for _ in range(5):
        assert (await get_all(client, "Manager"))["Version"] == "1.2.3"
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("service")
async def test_a_hundred_watchers_hear_everything_and_may_vanish(
    client: Connection, bus_address: str, server: FakeServer
) -> None:
    watchers = [await Signals(await connection.connect(bus_address)).subscribe() for _ in range(100)]
    try:
        for number in range(20):
            server.set(problems=(f"problem {number}",))
            await asyncio.sleep(0.03)
        for watcher in watchers:
            async with asyncio.timeout(PATIENCE):
                while "problem 19" not in str([each.body for each in watcher.heard]):
                    watcher.more.clear()
                    await watcher.more.wait()
        # Half of them go, without a word, while there is more to hear.
        server.set(problems=("one more",))
        await asyncio.gather(*(watcher.bus.close() for watcher in watchers[::2]))
        server.set(problems=("and another",))
        assert (await get_all(client, "Manager"))["Problems"] == ["and another"]
    finally:
        await asyncio.gather(*(watcher.bus.close() for watcher in watchers))


async def test_callers_that_vanish_while_polkit_thinks(
    strict: Service, client: Connection, bus_address: str, server: FakeServer, authority: FakePolkit
) -> None:
    authority.hold = asyncio.Event()
    flags = MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION
    for _ in range(10):
        caller = await connection.connect(bus_address)
        for _ in range(10):
            caller.send(
                Message(STEM, ROOT_PATH, interface("Manager"), "Reload", MessageType.METHOD_CALL, flags)
            )
        async with asyncio.timeout(PATIENCE):
            while len(authority.asked) % 10 or not authority.asked:  # noqa: ASYNC110 - another connection
                await asyncio.sleep(0.01)
        await caller.close()
    async with asyncio.timeout(PATIENCE):
        while strict._calls or strict._waiting or strict._asking:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    authority.hold.set()
    assert server.calls == []
    assert len(authority.cancelled) == len(authority.asked)
    assert (strict._in_all, strict._bytes) == (0, 0)
    assert (await get_all(client, "Manager"))["Version"] == "1.2.3"


# ---- the reader alone ------------------------------------------------------------------------------


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 4096, PIECE, 10**7])
def test_a_stream_is_cut_right_wherever_it_is_torn(size: int, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[str] = []
    refused: list[int] = []
    reader = Reader(lambda message: taken.append(message.member), lambda head, _: refused.append(head.serial))

    def call(serial: int, member: str, text: str = "") -> bytes:
        return wire.call(serial, STEM, ROOT_PATH, interface("Manager"), member, "s", [text])

    fields = {1: ROOT_PATH, 2: interface("Manager"), 3: "Signal", 8: "s"}
    signal = wire.assemble(wire.SIGNAL, 9, fields, wire.content("s", ["x" * LONGEST]))
    data = call(1, "One") + call(2, "Long", "x" * LONGEST_CALL) + call(3, "Three") + signal
    data += wire.assemble(77, 5, fields, wire.content("s", [""])) + call(6, "Six", "y" * 60_000)
    for piece in pieces(data, size) if size > 1 else (data[:200], *pieces(data[200:], 1000)):
        reader.feed(piece)
    assert taken == ["One", "Three", "Six"]
    assert refused == [2]
    assert len(caplog.records) == 1, "told once"
