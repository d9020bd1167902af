"""Clients that wait for news of the gateway: told at once, silent at rest, and no burden for others."""

import resource
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltspd.clients.table import Order, Orders, Table
from ltspd.system.files import digest
from tests.patience import PATIENCE
from tests.worlds.exposition import read
from tests.worlds.gateways import (
    KERNEL,
    PYTHONS,
    Gateway,
    ask,
    descriptors,
    free_port,
    listed,
    memory,
    request,
    running,
    served_folder,
    until,
)

# Each address of loopback counts for itself, as those of a network do.
EACH: dict[str, Any] = {"connections__sender": "str"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as path:
        yield path


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as stack:
            yield stack
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def table(gateway: Gateway, revision: str, orders: Mapping[str, Order] | None = None, **fields: Any) -> Table:
    files = listed(gateway.folder, gateway.port)
    return replace(files, networks=("127.0.0.0/8",), orders=Orders(revision, orders or {}), **fields)


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def asked(
    gateway: Gateway, stack: ExitStack, client: str, revision: str, source: str = "127.0.0.1"
) -> socket.socket:
    sock = stack.enter_context(socket.socket())
    sock.settimeout(PATIENCE)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", gateway.port))
    sock.sendall(request(f"/ltsp/live?mac={client}&revision={revision}"))
    return sock


def answer(sock: socket.socket) -> tuple[int, str]:
    """Wait for the whole answer; status 0 if there is none."""
    try:
        found = b"".join(iter(lambda: sock.recv(4096), b""))
    except ConnectionError:
        found = b""
    head, _, body = found.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body.decode()


def waiting(metrics_port: int) -> float:
    """Return how many connections wait, by the gateway's own count."""
    page = dict(read(ask(metrics_port, request("/metrics"))[2].decode()))
    return page["ltspd_http_waiting_connections"].samples["", ()]


def held(gateway: Gateway) -> int:
    """Return how many connections of clients there are."""
    lines = Path(f"/proc/{gateway.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{gateway.port:04X}") and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_client_is_told_of_new_settings_and_of_its_own_order_only(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python) as gateway:
        port = free_port()
        gateway.hang_up(table(gateway, "r1", metrics_port=port))
        assert answer(asked(gateway, sockets, mac(1), "")) == (200, "revision=r1\n")
        one, two = (asked(gateway, sockets, mac(number), "r1") for number in (1, 2))
        until(lambda: waiting(port) == 2)
        gateway.hang_up(table(gateway, "r1", {mac(1): Order("7", "restart")}))
        assert answer(one) == (200, "revision=r1.7\norder=restart\n")
        one = asked(gateway, sockets, mac(1), "r1.7")
        gateway.hang_up(table(gateway, "r1", {mac(1): Order("9", "7 9")}))
        assert answer(one) == (200, "revision=r1.9\norder=7\norder=9\n")
        one = asked(gateway, sockets, mac(1), "r1.9")
        until(lambda: held(gateway) == 2)
        gateway.hang_up(table(gateway, "r2"))
        assert answer(one) == answer(two) == (200, "revision=r2\n")
        assert "Traceback" not in gateway.log.read_text()


def test_connections_that_wait_outlive_the_patience_with_silent_ones(
    folder: Path, sockets: ExitStack
) -> None:
    with running(folder, connections__WAIT_SECONDS=0.5) as gateway:
        gateway.hang_up(table(gateway, "r1"))
        waiting = asked(gateway, sockets, mac(1), "r1")
        silent = sockets.enter_context(socket.create_connection(("127.0.0.1", gateway.port), PATIENCE))
        assert answer(silent)[0] == 0
        gateway.hang_up(table(gateway, "r2"))
        assert answer(waiting) == (200, "revision=r2\n")


@pytest.mark.parametrize("python", PYTHONS)
def test_a_room_that_waits_takes_no_connection_from_those_that_boot(
    python: str, folder: Path, sockets: ExitStack
) -> None:
    with running(folder, python, **EACH) as gateway:
        gateway.hang_up(table(gateway, "r1", connections=300))
        room = [asked(gateway, sockets, mac(n), "r1", f"127.0.{1 + n // 15}.1") for n in range(300)]
        until(lambda: held(gateway) == 300)
        # As many connections as the address may have are still there for files.
        files = [socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) for _ in range(300)]
        for each in map(sockets.enter_context, files):
            each.sendall(request("/ltsp/vmlinuz"))
        for each in files:
            assert answer_size(each) == len(KERNEL)
        gateway.hang_up(table(gateway, "r2", connections=300))
        assert {answer(each) for each in room} == {(200, "revision=r2\n")}


def answer_size(sock: socket.socket) -> int:
    return len(b"".join(iter(lambda: sock.recv(1 << 20), b"")).partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("python", PYTHONS)
def test_three_thousand_that_only_wait_do_no_harm(python: str, folder: Path, sockets: ExitStack) -> None:
    with running(folder, python, **EACH, limits__ALL_BURST=1e6) as gateway:
        gateway.hang_up(table(gateway, "r1"))
        before = memory(gateway)
        crowd = [asked(gateway, sockets, mac(n), "r1", f"127.0.1.{n % 150}") for n in range(3000)]
        until(lambda: held(gateway) == 2000)
        assert len(descriptors(gateway)) < 2100
        print(f"2,000 connections that wait: {(memory(gateway) - before) / 2000 / 1024:.1f} KB each")
        assert memory(gateway) - before < 100 << 20
        assert answer(asked(gateway, sockets, mac(5000), "")) == (200, "revision=r1\n")
        # A client of an address with none gets in: one of the address with the most makes room.
        new = asked(gateway, sockets, mac(5001), "r1", "127.0.2.1")
        assert ask(gateway.port, request("/ltsp/vmlinuz"), "127.0.0.1")[2] == KERNEL
        gateway.hang_up(table(gateway, "r2"))
        assert answer(new) == (200, "revision=r2\n")
        del crowd


def test_each_client_has_one_connection(folder: Path, sockets: ExitStack) -> None:
    with running(folder) as gateway:
        port = free_port()
        gateway.hang_up(table(gateway, "r1", metrics_port=port))
        first = asked(gateway, sockets, mac(1), "r1")
        until(lambda: waiting(port) == 1)
        second = asked(gateway, sockets, mac(1), "r1")
        assert answer(first)[0] == 0, "the machine was switched off, and is here again"
        second.close()
        until(lambda: held(gateway) == 0)
        third = asked(gateway, sockets, mac(1), "r1")
        until(lambda: waiting(port) == 1)
        third.sendall(b"x")
        assert answer(third)[0] == 0, "who waits has nothing to say"
        assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400), ("?mac=&revision=r1", 400), ("?mac=01:00:5e:00:00:01&revision=r1", 400),
        ("?mac=52:54:00:00:00:01&revision=a%20b", 400), ("?mac=52:54:00:00:00:01&revision=" + "x" * 200, 400),
        ("?mac=52:54:00:00:00:01", 200), ("?mac=52:54:00:00:00:01&revision=%0a", 400),
    ],
)  # fmt: skip
def test_what_is_no_question(shared: Gateway, query: str, status: int) -> None:
    assert ask(shared.port, request(f"/ltsp/live{query}"))[0] == status


@pytest.fixture(scope="module")
def shared() -> Iterator[Gateway]:
    with served_folder() as folder, running(folder) as gateway:
        gateway.hang_up(table(gateway, "r1"))
        yield gateway


def test_whom_the_gateway_does_not_listen_to(folder: Path, sockets: ExitStack) -> None:
    arp = folder / "arp"
    arp.write_text(f"head\n127.0.0.9 0x1 0x2 {mac(9)} * eth0\n")
    slow = {"live__EACH_RATE": 0.01, **EACH}
    with running(folder, admission__TABLE=f"m.Path({str(arp)!r})", **slow) as gateway:
        assert answer(asked(gateway, sockets, mac(1), "r1"))[0] == 403, "no network is served"
        gateway.hang_up(table(gateway, "r1"))
        assert answer(asked(gateway, sockets, mac(1), "", "127.0.0.9"))[0] == 403, "another machine"
        assert answer(asked(gateway, sockets, mac(9), "", "127.0.0.9")) == (200, "revision=r1\n")
        gateway.hang_up(table(gateway, "r1", connections=10))
        statuses = [answer(asked(gateway, sockets, mac(1), ""))[0] for _ in range(30)]
        assert (statuses[0], statuses[-1]) == (200, 429)
        gateway.hang_up(replace(table(gateway, ""), networks=("127.0.0.0/8",)))
        assert answer(asked(gateway, sockets, mac(9), "", "127.0.0.8"))[0] == 404, "an older daemon's table"


def test_the_service_stops_at_once_though_clients_wait(folder: Path, sockets: ExitStack) -> None:
    with running(folder, web__STOP_SECONDS=PATIENCE) as gateway:
        gateway.hang_up(table(gateway, "r1"))
        waiting = asked(gateway, sockets, mac(1), "r1")
        until(lambda: held(gateway) == 1)
        gateway.process.terminate()
        assert answer(waiting)[0] == 0
        assert gateway.process.wait(PATIENCE / 2) == 0


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("more", ["body", "requests"])
def test_the_end_of_a_connection_is_noticed_though_its_client_said_too_much(
    python: str, more: str, folder: Path, sockets: ExitStack
) -> None:
    head = f"GET /ltsp/live?mac={mac(1)}&revision=r1 HTTP/1.1\r\nHost: server\r\n".encode()
    if more == "body":
        sent = head + b"Content-Length: 1000000\r\n\r\n" + bytes(40_000)
    else:
        sent = (
            head + b"\r\n" + 5 * request("/ltsp/vmlinuz", X="x" * 4000).replace(b"Connection: close\r\n", b"")
        )
    with running(folder, python) as gateway:
        port = free_port()
        gateway.hang_up(table(gateway, "r1", metrics_port=port))
        for number in range(1, 4):
            with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as sock:
                sock.sendall(sent.replace(mac(1).encode(), mac(number).encode()))
        # Of this one it is certain that it was held, and the others came before it.
        last = asked(gateway, sockets, mac(9), "r1")
        until(lambda: waiting(port) == 1)
        assert "Traceback" not in gateway.log.read_text()
        gateway.hang_up(table(gateway, "r2"))
        assert answer(last) == (200, "revision=r2\n")


def signed(gateway: Gateway, text: bytes, told: bytes | None = None) -> Table:
    """Write a document and its signature, and return a table that tells of them, or of another text."""
    for name, data in (("accounts", text), ("accounts.sig", b"of " + text)):
        (gateway.folder / name).write_bytes(data)
    files = listed(gateway.folder, gateway.port, **{name: name for name in ("accounts", "accounts.sig")})
    digests = {"accounts": digest(text if told is None else told)}
    return replace(files, networks=("127.0.0.0/8",), orders=Orders("r1", {}, digests))


@pytest.mark.parametrize("python", PYTHONS)
def test_clients_are_told_of_documents_and_get_those_that_belong_together(python: str, folder: Path) -> None:
    with running(folder, python) as gateway:

        def fetched() -> tuple[bytes, ...]:
            return tuple(
                ask(gateway.port, request(f"/ltsp/{name}"))[2] for name in ("accounts", "accounts.sig")
            )

        gateway.hang_up(signed(gateway, b"one"))
        _, _, body = ask(gateway.port, request(f"/ltsp/live?mac={mac(1)}&revision="))
        assert body.decode() == f"revision=r1\naccounts={digest(b'one')}\n"
        assert fetched() == (b"one", b"of one")
        # The daemon writes the next one, and its table comes after that.
        table = signed(gateway, b"two")
        assert fetched() == (b"one", b"of one")
        gateway.hang_up(table)
        assert fetched() == (b"two", b"of two")
        # Another one was written before this table could be read.
        gateway.hang_up(signed(gateway, b"four", b"three"))
        assert fetched() == (b"two", b"of two")
        gateway.hang_up(table_without := replace(table, files={}, orders=Orders("r2")))
        assert table_without.orders.documents == {}
        assert ask(gateway.port, request("/ltsp/accounts"))[0] == 404


def test_a_room_behind_a_router_comes_back_as_a_whole_after_each_piece_of_news(
    folder: Path, sockets: ExitStack
) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, "r0"))
        for number in range(1, 4):
            room = [asked(gateway, sockets, mac(n), f"r{number - 1}") for n in range(40)]
            until(lambda: held(gateway) == 40)
            gateway.hang_up(table(gateway, f"r{number}"))
            assert {answer(each) for each in room} == {(200, f"revision=r{number}\n")}
