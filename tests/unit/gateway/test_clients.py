"""Reports and metrics of the gateway as it runs: what it takes over HTTP and what it refuses."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.clients.table import Table
from ltspd.gateway import limits
from ltspd.gateway.reports import BYTES_MOST
from tests.patience import PATIENCE
from tests.worlds.exposition import Metric, read
from tests.worlds.gateways import KERNEL, Gateway, ask, free_port, listed, request, served_folder

MAC = "52:54:00:00:00:01"


def table(folder: Path, port: int, metrics_port: int, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> Table:
    return Table(("127.0.0.1",), port, listed(folder, port).files, networks, metrics_port)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Gateway, int]]:
    """Start one gateway without a bus, whose clients are on loopback; and its port of metrics."""
    with served_folder() as folder:
        metrics_port = free_port()
        gateway = Gateway(folder, table(folder, free_port(), metrics_port))
        try:
            gateway.heard("READY=1")
            yield gateway, metrics_port
        finally:
            gateway.close()


def post(port: int, body: bytes, path: str = "/ltsp/report", *, source: str = "127.0.0.1") -> int:
    head = f"POST {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)) as sock:
        sock.sendall(head.encode() + body)
        answer = b""
        while b"\r\n" not in answer and (piece := sock.recv(1 << 16)):
            answer += piece
    return int(answer.split()[1])


def report(stage: str, mac: str = MAC, clock: float = 5.0, marks: str = "") -> bytes:
    return f"mac={mac}\nstage={stage}\nclock={clock}\nmarks={marks}\nimage=desk\n".encode()


def metrics(port: int) -> dict[str, Metric]:
    status, headers, body = ask(port, request("/metrics"))
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return dict(read(body.decode()))


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    return found[name].samples["", tuple(labels.items())]


def test_a_boot_is_seen(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    before = metrics(port)
    for stage, marks in (("network", "init=1 network=2"), ("root", "init=1 network=2 root=3")):
        assert post(gateway.port, report(stage, marks=marks)) == 204
        after = metrics(port)
        assert value(after, "ltspd_clients", stage=stage) == 1
    taken = [value(found, "ltspd_client_reports_total", result="taken") for found in (before, after)]
    assert taken[1] - taken[0] == 2
    boots = after["ltspd_client_boot_seconds"].samples
    assert boots["_count", (("stage", "network"),)] == 1
    assert boots["_sum", (("stage", "root"),)] == 3
    assert value(after, "ltspd_up") == 0
    assert f"127.0.0.1 is {MAC}, - at root" in gateway.log.read_text()


def test_the_time_is_told(shared: tuple[Gateway, int]) -> None:
    gateway, _ = shared
    status, _, body = ask(gateway.port, request("/ltsp/time"))
    assert status == 200
    assert abs(int(body) - time.time()) < 600


def test_requests_and_bytes_are_counted(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    before = metrics(port)
    ask(gateway.port, request("/ltsp/vmlinuz"))
    ask(gateway.port, request("/ltsp/vmlinuz", Range="bytes=0-9"))
    ask(gateway.port, request("/ltsp/vmlinuz", "HEAD"))
    ask(gateway.port, request("/ltsp/nothing"))
    after = metrics(port)

    def grown(name: str, **labels: str) -> float:
        key = ("", tuple(labels.items()))
        return after[name].samples[key] - before[name].samples.get(key, 0)

    assert grown("ltspd_http_sent_bytes_total") == len(KERNEL) + 10
    assert grown("ltspd_http_requests_total", code="200") == 2
    assert grown("ltspd_http_requests_total", code="206") == 1
    assert grown("ltspd_http_requests_total", code="404") == 1


def test_what_is_refused_is_told_by_reason(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    # Each from an address of its own: how many one address may send is another test.
    assert post(gateway.port, b"hello", source="127.0.1.1") == 400
    assert post(gateway.port, report("root") + b"x" * BYTES_MOST, source="127.0.1.2") == 400
    assert post(gateway.port, b"x" * (1 << 20), source="127.0.1.3") == 400
    assert post(gateway.port, report("root"), "/ltsp/reports", source="127.0.1.4") == 405
    assert post(gateway.port, report("root"), "/metrics", source="127.0.1.4") == 405
    codes = [
        post(gateway.port, report("root"), source="127.0.1.5") for _ in range(int(limits.EACH_BURST) + 5)
    ]
    assert codes.count(204) in (limits.EACH_BURST, limits.EACH_BURST + 1, limits.EACH_BURST + 2)
    assert codes[-1] == 429
    found = metrics(port)
    assert value(found, "ltspd_client_reports_total", result="malformed") == 3
    assert value(found, "ltspd_client_reports_total", result="limited") >= 3
    assert value(found, "ltspd_client_reports_total", result="impostor") == 0


def test_only_clients_of_networks_that_are_served(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    gateway.hang_up(table(gateway.folder, gateway.port, port, ("127.0.2.0/24", "10.0.0.0/8")))
    try:
        assert post(gateway.port, report("root")) == 403
        assert post(gateway.port, report("root", "52:54:00:00:00:02"), source="127.0.2.7") == 204
    finally:
        gateway.hang_up(table(gateway.folder, gateway.port, port))
    assert value(metrics(port), "ltspd_client_reports_total", result="foreign") == 1


def test_clients_dont_get_metrics_and_metrics_serve_no_files(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    assert ask(gateway.port, request("/metrics"))[0] == 404
    assert ask(port, request("/ltsp/vmlinuz"))[0] == 404
    assert ask(port, request("/"))[0] == 404
    listening = Path(f"/proc/{gateway.process.pid}/net/tcp").read_text()
    (line,) = [each for each in listening.splitlines() if f":{port:04X} 00000000:0000 0A" in each]
    assert line.split()[1] == f"0100007F:{port:04X}", "on loopback and nowhere else"


def test_who_sends_half_a_report_is_hung_up_on(shared: tuple[Gateway, int]) -> None:
    gateway, _ = shared
    head = b"POST /ltsp/report HTTP/1.1\r\nHost: server\r\nContent-Length: 100\r\n\r\nmac="
    with socket.create_connection(("127.0.0.1", gateway.port), 30, ("127.0.3.1", 0)) as sock:
        sock.sendall(head)
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
    assert ask(gateway.port, request("/ltsp/vmlinuz"))[0] == 200


def test_a_port_of_metrics_that_is_taken_keeps_nobody_from_booting(shared: tuple[Gateway, int]) -> None:
    gateway, port = shared
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        gateway.hang_up(table(gateway.folder, gateway.port, taken))
        assert ask(gateway.port, request("/ltsp/vmlinuz"))[2] == KERNEL
        assert "there are no metrics at" in gateway.log.read_text()
        assert str(taken) in gateway.log.read_text()
    gateway.hang_up(table(gateway.folder, gateway.port, 0))
    with pytest.raises(ConnectionRefusedError):
        ask(port, request("/metrics"))
    gateway.hang_up(table(gateway.folder, gateway.port, port))
    metrics(port)


def test_at_rest_it_does_nothing(shared: tuple[Gateway, int]) -> None:
    gateway, _ = shared
    post(gateway.port, report("login", "52:54:00:00:00:09"), source="127.0.4.1")
    time.sleep(1.5)  # what the report set off is over

    def switches() -> int:
        words = Path(f"/proc/{gateway.process.pid}/status").read_text().split()
        return int(words[words.index("voluntary_ctxt_switches:") + 1])

    before = switches()
    time.sleep(2)
    # Without a bus it tries again ever more seldom: once in this time, at most.
    assert switches() - before <= 2
    gateway.process.send_signal(signal.SIGHUP)
    gateway.heard("STATUS=")


def test_a_table_of_an_older_daemon_serves_without_reports() -> None:
    with served_folder() as folder:
        port = free_port()
        old = f'{{"addresses": ["127.0.0.1"], "port": {port}, "files": {{"/ltsp/k": "{folder}/vmlinuz"}}}}'
        gateway = Gateway(folder, table(folder, port, 0))
        try:
            gateway.heard("READY=1")
            gateway.path.write_text(old)
            os.kill(gateway.process.pid, signal.SIGHUP)
            gateway.heard("STATUS=1 file")
            assert ask(port, request("/ltsp/k"))[2] == KERNEL
            assert post(port, report("root")) == 403
        finally:
            gateway.close()
