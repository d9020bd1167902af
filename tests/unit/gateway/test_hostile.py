"""The gateway among clients that hold connections, read slowly or say too much: the others are served."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ltspd.clients.table import Table
from ltspd.gateway.connections import LOOPBACK, UNANSWERED_LINES, Connection, Connections, sender
from tests.patience import PATIENCE
from tests.worlds.gateways import (
    KERNEL,
    PYTHONS,
    Gateway,
    ask,
    descriptors,
    listed,
    memory,
    request,
    running,
    served_folder,
    until,
)

# Each address of loopback counts for itself, as those of a network do.
EACH: dict[str, Any] = {"connections__sender": "str"}
# More than the kernel keeps for a client that does not read.
BIG = 8 << 20


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as path:
        (path / "big").write_bytes(bytes(BIG))
        yield path


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close what a test opened, and let it open as much as it may at all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as stack:
            yield stack
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(gateway: Gateway, stack: ExitStack, source: str = "127.0.0.1", receive: int = 0) -> socket.socket:
    sock = stack.enter_context(socket.socket())
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(PATIENCE)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", gateway.port))
    return sock


def transfers(gateway: Gateway, stack: ExitStack, sources: list[str]) -> list[socket.socket]:
    """Begin to fetch the big file, hardly reading."""
    found = [connect(gateway, stack, each, receive=4096) for each in sources]
    for each in found:
        each.sendall(request("/ltsp/big"))
        assert each.recv(100)
    return found


def rest(sock: socket.socket) -> int:
    """Return how many bytes still come."""
    return sum(map(len, iter(lambda: sock.recv(1 << 20), b"")))


def ended(sock: socket.socket) -> bool:
    """Wait for the end of a connection on which nothing more comes."""
    try:
        return sock.recv(100) == b""
    except ConnectionError:
        return True


def fetched(gateway: Gateway, source: str, name: str = "vmlinuz") -> bytes:
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE, (source, 0)) as sock:
        sock.sendall(request(f"/ltsp/{name}"))
        return b"".join(iter(lambda: sock.recv(1 << 20), b"")).partition(b"\r\n\r\n")[2]


# ---- who says nothing ------------------------------------------------------------------------------


def test_who_sends_no_whole_request_is_hung_up_on(python: str, folder: Path, sockets: ExitStack) -> None:
    with running(folder, python, connections__WAIT_SECONDS=1.5) as gateway:
        gateway.hang_up(listed(folder, gateway.port, big="big"))
        (slow,) = transfers(gateway, sockets, ["127.0.0.1"])
        silent, half, used = (connect(gateway, sockets) for _ in range(3))
        half.sendall(b"GET /ltsp/vmlinuz HTTP/1.1\r\nHost: server\r\nX-Slow: ")
        used.sendall(b"HEAD /ltsp/vmlinuz HTTP/1.1\r\nHost: server\r\n\r\n")
        for each in (silent, half):
            assert ended(each)
        while not ended(used):
            pass
        # Not a client that is being served, however long that takes.
        time.sleep(2)
        assert rest(slow) > BIG - 1000


def test_a_connection_is_used_for_one_request_after_the_other(python: str, folder: Path) -> None:
    with running(folder, python) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack)
        for _ in range(2 * UNANSWERED_LINES):
            sock.sendall(b"HEAD /ltsp/vmlinuz HTTP/1.1\r\nHost: server\r\nAccept: */*\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(1000)
            assert b" 200 " in answer


def test_who_takes_nothing_of_an_answer_is_hung_up_on(python: str, folder: Path, sockets: ExitStack) -> None:
    with running(folder, python, listening__STALLED=1000) as gateway:
        gateway.hang_up(listed(folder, gateway.port, big="big"))
        transfers(gateway, sockets, ["127.0.0.1"])
        until(lambda: str(folder / "big") not in descriptors(gateway))
        assert "Traceback" not in gateway.log.read_text()


# ---- who has many connections ----------------------------------------------------------------------


def test_three_thousand_idle_connections_of_one_address_keep_nobody_out(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python, **EACH) as gateway:
        first = [connect(gateway, sockets) for _ in range(256)]
        assert fetched(gateway, "127.0.0.2") == KERNEL
        before = memory(gateway)
        for _ in range(2744):
            connect(gateway, sockets)
        assert fetched(gateway, "127.0.0.2") == KERNEL
        # Others of the same address, as behind a router, are served as well: what is idle makes room.
        assert fetched(gateway, "127.0.0.1") == KERNEL
        assert all(map(ended, first))
        until(lambda: sum(each.startswith("socket:") for each in descriptors(gateway)) < 280)
        assert memory(gateway) - before < 16 << 20


def test_a_room_behind_one_address_gets_as_many_as_the_table_says(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python, **EACH) as gateway:
        files = listed(folder, gateway.port, big="big").files
        gateway.hang_up(Table(("127.0.0.1",), gateway.port, files, connections=40))
        room = transfers(gateway, sockets, ["127.0.0.1"] * 40)
        # Who is served stays so. One more is turned away, those of other addresses are not.
        assert all(ended(connect(gateway, sockets)) for _ in range(5))
        until(lambda: "HTTP_CONNECTIONS=" in gateway.log.read_text())
        assert gateway.log.read_text().count("HTTP_CONNECTIONS=") == 1
        assert fetched(gateway, "127.0.0.2") == KERNEL
        with closing(room.pop()) as done:
            assert rest(done) > BIG - 1000
        until(lambda: descriptors(gateway).count(str(folder / "big")) == 39)
        assert fetched(gateway, "127.0.0.1") == KERNEL
        assert [each for each in map(rest, room) if each < BIG - 1000] == []


def test_two_hundred_slow_readers_take_little_memory(python: str, folder: Path, sockets: ExitStack) -> None:
    with running(folder, python, **EACH) as gateway:
        gateway.hang_up(listed(folder, gateway.port, big="big"))
        before = memory(gateway)
        transfers(gateway, sockets, ["127.0.0.1"] * 200)
        assert len(fetched(gateway, "127.0.0.2", "big")) == BIG
        assert memory(gateway) - before < 16 << 20
        assert descriptors(gateway).count(str(folder / "big")) == 200


def test_when_all_are_taken_the_address_with_most_makes_room(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python, nofile=1024, **EACH) as gateway:
        gateway.hang_up(listed(folder, gateway.port, big="big"))
        # (1024 - 576) / 2 in all: 20 addresses with 10 transfers each, and one with 24.
        several = [f"127.0.1.{number}" for number in range(20) for _ in range(10)]
        transfers(gateway, sockets, [*several, *["127.0.2.1"] * 24])
        assert fetched(gateway, "127.0.0.2") == KERNEL
        until(lambda: descriptors(gateway).count(str(folder / "big")) == 223)
        assert "Traceback" not in gateway.log.read_text()


def test_whoever_asks_without_waiting_for_answers_is_hung_up_on(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python) as gateway:
        before = memory(gateway)
        for _ in range(50):
            sock = connect(gateway, sockets)
            try:
                sock.sendall(b"GET /nothing HTTP/1.1\r\n\r\n" * 20000)
                rest(sock)
            except ConnectionError:
                pass
        assert memory(gateway) - before < 16 << 20
        assert ask(gateway.port, request("/ltsp/vmlinuz"))[2] == KERNEL


# ---- who makes room for whom -----------------------------------------------------------------------


class Fake(Connection):
    """A connection without a socket."""

    def __init__(self, who: str, *, waits: bool) -> None:
        self.sender, self.waits, self.dropped = who, waits, False

    def drop(self) -> None:
        self.dropped = True


def test_the_longest_idle_connection_of_an_address_makes_room_for_its_next() -> None:
    connections = Connections(100)
    connections.each_most = 3
    busy, first, second, new = (Fake("a", waits=waits) for waits in (False, True, True, True))
    assert all(map(connections.enter, (busy, first, second)))
    connections.moved(first)  # it was answered, and waits again
    assert connections.enter(new)
    assert [each.dropped for each in (busy, first, second, new)] == [False, False, True, False]
    assert (len(connections), connections.refused) == (3, 1)


def test_an_address_that_is_served_to_its_limit_gets_no_more() -> None:
    connections = Connections(100)
    connections.each_most = 2
    served = [Fake("a", waits=False), Fake("a", waits=False)]
    assert all(map(connections.enter, served))
    assert not connections.enter(Fake("a", waits=True))
    assert connections.enter(Fake("b", waits=True))
    connections.leave(served[0])
    connections.leave(served[0])
    assert connections.enter(Fake("a", waits=True))
    assert len(connections) == 3


def test_when_all_are_taken_idle_ones_make_room_first_then_the_address_with_most() -> None:
    connections = Connections(4)
    many = [Fake("a", waits=False) for _ in range(3)]
    idle = Fake("b", waits=True)
    assert all(map(connections.enter, (*many, idle)))
    assert connections.enter(Fake("c", waits=False))
    assert idle.dropped
    assert connections.enter(Fake("d", waits=False))
    assert [each.dropped for each in many] == [True, False, False]
    # Now nobody has so many more that a transfer would have to end.
    assert not connections.enter(Fake("c", waits=False))
    assert len(connections) == 4


def test_all_addresses_of_loopback_are_one_sender() -> None:
    assert {sender("127.0.0.1"), sender("127.9.9.9")} == {LOOPBACK}
    assert sender("192.168.67.20") == "192.168.67.20"
