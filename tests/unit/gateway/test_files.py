"""The gateway as it runs: its own process and an unprivileged user, over real sockets on loopback."""

import asyncio
import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.clients.table import Table, dump, load
from tests.patience import PATIENCE
from tests.worlds.gateways import (
    KERNEL,
    PYTHONS,
    Gateway,
    ask,
    listed,
    request,
    running,
    served_folder,
    until,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as path:
        yield path


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=PYTHONS)
def shared(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Start one gateway for all tests that only ask it."""
    with served_folder() as folder, running(folder, request.param) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared: Gateway) -> Iterator[Gateway]:
    """Lend the gateway to a test that changes its table."""
    yield shared
    shared.hang_up(listed(shared.folder, shared.port))


# ---- what is served --------------------------------------------------------------------------------


def test_a_listed_file(shared: Gateway) -> None:
    status, headers, body = ask(shared.port, request("/ltsp/vmlinuz"))
    assert (status, body) == (200, KERNEL)
    assert headers["content-length"] == str(len(KERNEL))
    assert headers["content-type"] == "application/octet-stream"


def test_only_its_size(shared: Gateway) -> None:
    status, headers, body = ask(shared.port, request("/ltsp/vmlinuz", "HEAD"))
    assert (status, headers["content-length"], body) == (200, str(len(KERNEL)), b"")


def test_slashes_that_shim_puts_too_many(shared: Gateway) -> None:
    """That is how shim asks for its second part: /ltsp//grubx64.efi."""
    assert ask(shared.port, request("/ltsp//vmlinuz"))[::2] == (200, KERNEL)
    status, headers, _ = ask(shared.port, request("/ltsp///vmlinuz", "HEAD"))
    assert (status, headers["content-length"]) == (200, str(len(KERNEL)))
    assert ask(shared.port, request("/ltsp//secret"))[0] == 404


@pytest.mark.parametrize(
    ("span", "status", "body"),
    [
        ("bytes=0-9", 206, KERNEL[:10]),
        ("bytes=1000-", 206, KERNEL[1000:]),
        ("bytes=-16", 206, KERNEL[-16:]),
        (f"bytes={len(KERNEL)}-", 416, None),
    ],
)
def test_a_part_of_a_file(shared: Gateway, span: str, status: int, body: bytes | None) -> None:
    found, headers, content = ask(shared.port, request("/ltsp/vmlinuz", Range=span))
    assert found == status
    if body is not None:
        assert content == body
        assert headers["content-range"].endswith(f"/{len(KERNEL)}")


def test_an_old_client_that_speaks_http_1_0(shared: Gateway) -> None:
    status, _, body = ask(shared.port, b"GET /ltsp/vmlinuz HTTP/1.0\r\n\r\n")
    assert (status, body) == (200, KERNEL)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_reading(shared: Gateway, method: str) -> None:
    assert ask(shared.port, request("/ltsp/vmlinuz", method))[0] == 405


def test_a_listed_file_that_is_gone(shared: Gateway) -> None:
    assert ask(shared.port, request("/ltsp/gone"))[0] == 404
    assert ask(shared.port, request("/ltsp/vmlinuz"))[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="the file is only another's if we are root")
def test_a_file_that_the_gateways_user_may_not_read(shared: Gateway) -> None:
    status, _, body = ask(shared.port, request("/ltsp/private"))
    assert status in (403, 404, 500)
    assert b"root's" not in body
    assert Path(f"/proc/{shared.process.pid}/status").read_text().split("Uid:")[1].split()[0] == "65534"


# ---- what is not -----------------------------------------------------------------------------------

OUTSIDE = [
    "/", "/ltsp", "/ltsp/", "/ltsp/secret", "/secret", "//ltsp/vmlinuz", "/ltsp//vmlinuz", "/ltsp/./vmlinuz",
    "/ltsp/../../etc/passwd", "/ltsp/../ltsp/vmlinuz", "/../../../../etc/passwd", "/etc/passwd",
    "//etc/passwd",
    "/ltsp/%2e%2e/%2e%2e/etc/passwd", "/ltsp/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd",
    "/ltsp/%252e%252e/etc/passwd", "/ltsp/vmlinuz/", "/ltsp/vmlinuz/..", "/ltsp/vmlinuz%00", "/ltsp/VMLINUZ",
    "/ltsp/..\\..\\etc\\passwd", "/ltsp/vmlinuz/../secret", "/ltsp/%c0%ae%c0%ae/etc/passwd", "file:///etc/passwd",
    "/ltsp/" + "a" * 4000, "/ltsp/\xff\xfe",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE, ids=range(len(OUTSIDE)))
def test_nothing_outside_the_table(shared: Gateway, path: str) -> None:
    try:
        status, _, body = ask(shared.port, request(path))
    except IndexError:
        status, body = 400, b""  # hung up on
    # An HTTP library may tidy a path up before we see it; then it may be a listed one, and only that.
    assert (status, body) == (200, KERNEL) or 400 <= status < 500
    assert b"root:" not in body
    assert b"not in the table" not in body


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /ltsp/vmlinuz HTTP/9.9\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_no_answer_that_matters(shared: Gateway, raw: bytes) -> None:
    try:
        status, _, body = ask(shared.port, raw)
        # aiohttp 3.8 doesn't mind a version from the future.
        assert (status, body) == (200, KERNEL) or 400 <= status < 600
    except (IndexError, ConnectionError):
        pass
    assert ask(shared.port, request("/ltsp/vmlinuz"))[0] == 200


def test_a_request_cant_forge_lines_of_the_log(shared: Gateway) -> None:
    ask(shared.port, request("/ltsp/x%0aforged%0d%0aline"))
    ask(shared.port, request("/ltsp/y%0dforged%1b[2J"))
    lines = shared.log.read_text().splitlines()
    assert not [line for line in lines if line.startswith(("forged", "line"))]
    assert any("%0dforged%1b[2J 404" in line for line in lines)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST /ltsp/report HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request_is_a_line_of_the_log(folder: Path, python: str, raw: bytes) -> None:
    with running(folder, python) as gateway:
        ask(gateway.port, raw)
        ask(gateway.port, request("/ltsp/no-file"))
        until(lambda: "/ltsp/no-file" in gateway.log.read_text())
        text = gateway.log.read_text()
        assert text.count("\n") <= 2
        assert "Traceback" not in text


# ---- following the table ---------------------------------------------------------------------------


def test_hanging_up_reads_the_table_again(gateway: Gateway) -> None:
    (gateway.folder / "new").write_bytes(b"new")
    assert ask(gateway.port, request("/ltsp/added"))[0] == 404
    status = gateway.hang_up(listed(gateway.folder, gateway.port, added="new"))
    assert status == f"STATUS=4 files at 127.0.0.1:{gateway.port}"
    assert ask(gateway.port, request("/ltsp/added"))[2] == b"new"
    gateway.hang_up(Table(("127.0.0.1",), gateway.port, {}))
    assert ask(gateway.port, request("/ltsp/vmlinuz"))[0] == 404


def test_addresses_come_and_go(gateway: Gateway) -> None:
    files = listed(gateway.folder, gateway.port).files
    gateway.hang_up(Table(("127.0.0.1", "127.0.0.2"), gateway.port, files))
    assert ask(gateway.port, request("/ltsp/vmlinuz"), "127.0.0.2")[0] == 200
    gateway.hang_up(Table(("127.0.0.2",), gateway.port, files))
    with pytest.raises(ConnectionRefusedError):
        ask(gateway.port, request("/ltsp/vmlinuz"))
    assert ask(gateway.port, request("/ltsp/vmlinuz"), "127.0.0.2")[0] == 200


def test_a_transfer_goes_on_while_the_table_changes(gateway: Gateway) -> None:
    big = os.urandom(16 << 20)
    (gateway.folder / "big").write_bytes(big)
    gateway.hang_up(listed(gateway.folder, gateway.port, big="big"))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(request("/ltsp/big"))
        got = sock.recv(1000)
        gateway.hang_up(Table(("127.0.0.2",), gateway.port, {}))
        got += b"".join(iter(lambda: sock.recv(1 << 20), b""))
    assert got.partition(b"\r\n\r\n")[2] == big


def test_an_address_that_cant_be_had_costs_only_itself(gateway: Gateway) -> None:
    (gateway.folder / "big").write_bytes(bytes(16 << 20))
    table = listed(gateway.folder, gateway.port, big="big")
    gateway.hang_up(table)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as sock:
        sock.sendall(request("/ltsp/big"))
        got = len(sock.recv(1000))
        # 192.0.2.1 is nobody's (RFC 5737).
        status = gateway.hang_up(replace(table, addresses=("127.0.0.1", "127.0.0.2", "192.0.2.1")))
        assert status == f"STATUS=4 files at 127.0.0.1:{gateway.port}, 127.0.0.2:{gateway.port}"
        assert ask(gateway.port, request("/ltsp/vmlinuz"), "127.0.0.2")[0] == 200
        # Not one is left, and that ends no transfer either.
        gateway.hang_up(replace(table, addresses=("192.0.2.1",)))
        got += sum(map(len, iter(lambda: sock.recv(1 << 20), b"")))
    assert got > 16 << 20
    assert (
        f"no client can boot over HTTP from 192.0.2.1:{gateway.port}, cannot assign"
        in gateway.log.read_text()
    )


def test_an_address_that_is_taken_is_served_once_it_is_free(folder: Path, python: str) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]
        table = listed(folder, port)
        gateway = Gateway(
            folder, replace(table, addresses=("127.0.0.1", "127.0.0.2")), python, listening__AGAIN=0.2
        )
        try:
            assert gateway.heard("STATUS=") == f"STATUS=3 files at 127.0.0.1:{port}"
            gateway.heard("READY=1")
            assert ask(port, request("/ltsp/vmlinuz"))[0] == 200
            other.close()
            assert gateway.heard("STATUS=") == f"STATUS=3 files at 127.0.0.1:{port}, 127.0.0.2:{port}"
            assert ask(port, request("/ltsp/vmlinuz"), "127.0.0.2")[0] == 200
            log = gateway.log.read_text()
            assert log.count("no client can boot over HTTP from 127.0.0.2") == 1
            assert "HTTP_PORT= in [server]" in log
        finally:
            gateway.close()


def test_a_table_that_makes_no_sense_changes_nothing(gateway: Gateway) -> None:
    gateway.path.write_bytes(b'{"files": 7}')
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: "the table before it stays" in gateway.log.read_text())
    assert ask(gateway.port, request("/ltsp/vmlinuz"))[0] == 200


# ---- beginning and end -----------------------------------------------------------------------------


def _ends(gateway: Gateway, status: int) -> str:
    try:
        assert gateway.process.wait(PATIENCE) == status
        return gateway.log.read_text()
    finally:
        gateway.close()


def test_a_port_that_is_taken_ends_it_with_a_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        log = _ends(Gateway(folder, listed(folder, port)), 1)
    assert "Traceback" not in log
    assert "The gateway can't serve" in log
    assert str(port) in log
    assert "address already in use" in log


def test_a_table_that_is_none_ends_it_with_a_sentence(folder: Path) -> None:
    running = Gateway(folder, listed(folder, 1))
    running.path.write_bytes(b"{}")
    log = _ends(running, 1)
    assert "Traceback" not in log
    assert "not a gateway table" in log


def test_terminate_ends_it_in_order_and_does_not_wait_long_for_a_slow_client(folder: Path) -> None:
    (folder / "big").write_bytes(bytes(64 << 20))
    with running(folder) as gateway:
        gateway.hang_up(listed(folder, gateway.port, big="big"))
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as sock:
            sock.sendall(request("/ltsp/big"))
            sock.recv(1000)
            gateway.process.terminate()
            # While the client still has not read to the end.
            assert gateway.process.wait(PATIENCE) == 0
    assert "Traceback" not in gateway.log.read_text()


async def test_a_hundred_clients_at_once(shared: Gateway) -> None:
    async def fetch() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
        writer.write(request("/ltsp/vmlinuz"))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return hashlib.sha256(answer.partition(b"\r\n\r\n")[2]).hexdigest()

    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(*(fetch() for _ in range(100)))
    assert set(found) == {hashlib.sha256(KERNEL).hexdigest()}


# ---- the table -------------------------------------------------------------------------------------


def test_a_table_survives_being_written_and_read() -> None:
    table = Table(("10.0.0.1",), 80, {"/ltsp/b": "/b", "/ltsp/a": "/a"}, ("10.0.0.0/8",), 7, 40)
    assert load(dump(table)) == table
    assert dump(table) == dump(replace(table, files={"/ltsp/a": "/a", "/ltsp/b": "/b"}))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"7", b'{"files": [], "addresses": [], "port": 1}', b"\xff"]
)
def test_what_is_no_table(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own message or ours
        load(data)


def test_it_does_not_load_what_only_encryption_needs(shared: Gateway) -> None:
    maps = Path(f"/proc/{shared.process.pid}/maps").read_text()
    assert "python" in maps
    assert not [line for line in maps.splitlines() if "libssl" in line or "libcrypto" in line]
