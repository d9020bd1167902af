"""Simulated clients of bench/room get what real servers serve, and say when it is not what was recorded."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from bench import link
from bench.room_files import Machine, Outcome, Room
from bench.rooming import compiled
from bench.steps import Step, plan
from tests.lab import dhcp
from tests.lab.net import SERVER_ADDRESS, Lan, make_lan
from tests.lab.session import open_session
from tests.patience import PATIENCE

# As if this machine had been recorded.
RECORDED = Machine("", "52:54:00:67:be:04", "192.168.67.99")
SIZE = 3 << 20
CLIENTS = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A server with DHCP, TFTP, NBD and HTTP, and a room of clients with addresses."""

    lan: Lan
    netns: str
    machines: tuple[Machine, ...]
    tftp: str

    def boot(self, steps: list[Step]) -> list[Outcome]:
        """Have all clients do this."""
        room = Room(SERVER_ADDRESS, RECORDED, self.machines, tuple(plan(steps)), 0.25, self.tftp)
        directory = self.lan.session.directory
        room.save(directory / "room.json")
        told = directory / "told.json"
        command = [sys.executable, "-m", "bench.simulating", str(directory / "room.json"), str(told)]
        process = self.lan.session.start(command, log="room.log", netns=self.netns)
        assert process.wait(PATIENCE) == 0, (self.lan.session.logs / "room.log").read_text()
        return [Outcome(**each) for each in json.loads(told.read_text())["outcomes"]]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with ExitStack() as undo:
        session = undo.enter_context(open_session())
        lan = make_lan(session, prefix=22)
        served = session.directory / "served"
        served.mkdir()
        (served / "file").write_bytes(bytes(range(256)) * (SIZE // 256))
        # Servers read it as nobody.
        for each in (session.directory, served):
            each.chmod(0o755)
        dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file="]
        dnsmasq += ["--user=root", "--interface=lan0", "--bind-interfaces", "--log-facility=-"]
        dnsmasq += ["--enable-tftp", f"--tftp-root={served}", f"--dhcp-leasefile={served}/leases"]
        dnsmasq += ["--dhcp-range=192.168.64.20,192.168.67.90,12h", "--no-ping"]
        session.start(dnsmasq, log="dnsmasq.log", netns=lan.server)
        conf = served / "nbd.conf"
        conf.write_text(f"[generic]\nuser=root\n[layer]\nexportname={served}/file\nreadonly=true\n")
        # It stays in the foreground only to serve a single connection.
        started, pid = ["nsenter", f"--net=/run/netns/{lan.server}", "nbd-server"], served / "nbd.pid"
        subprocess.run([*started, "-C", str(conf), "-p", str(pid)], check=True)
        undo.callback(lambda: os.kill(int(pid.read_text()), signal.SIGKILL))
        web = [sys.executable, "-m", "http.server", "--directory", str(served), "80"]
        session.start(web, log="http.log", netns=lan.server)
        netns, cards = undo.enter_context(link.room(lan, CLIENTS, 22))
        machines = []
        for number, card in enumerate(cards):
            mac = link.mac(number)
            address = link.lease(netns, card, mac)
            subprocess.run(["ip", "-n", netns, "address", "add", f"{address}/22", "dev", card], check=True)
            machines.append(Machine(card, mac, address, number / 50))
        link.lease(netns, cards[0], RECORDED.mac)
        undo.enter_context(link.shaped(lan))
        yield Place(lan, netns, tuple(machines), str(compiled(session)))


def asked(size: int = SIZE) -> list[Step]:
    machine = dhcp.Machine(mac=RECORDED.mac)
    discover = dhcp.message(dhcp.DISCOVER, machine, 7, {})
    request = b"\0\1file\0octet\0blksize\x001432\0tsize\x000\0"
    options = b"\0\0\0\3IHAVEOPT" + struct.pack("!II", 7, 11) + struct.pack("!I", 5) + b"layer" + bytes(2)
    reads = [
        struct.pack("!4sHHQQI", b"\x25\x60\x95\x13", 0, 0, number, 4096 * number, 65536)
        for number in range(8)
    ]
    get = b"GET /file HTTP/1.0\r\n\r\n"
    head = len(b"HTTP/1.0 200 OK\r\n")
    return [
        Step("dhcp", 0, 67, 0.0, 0.01, discover),
        Step("tftp", 1, 69, 0.1, 0.2, request, size, 1e-4),
        Step("tftp", 2, 69, 0.2, 0.21, request.replace(b"file", b"none"), 0, 0.0, b"\0\5"),
        Step("open", 3, 80, 0.3, 0.31),
        Step("http", 3, 80, 0.32, 0.4, get, SIZE + head, 1e-8, b"200"),
        Step("close", 3, 80, 0.41, None),
        Step("open", 4, 10809, 0.42, 0.43),
        Step("raw", 4, 10809, 0.44, 0.45, options, 18 + 20 + 12 + 20),
        *(Step("nbd", 4, 10809, 0.46, 0.5, each, 16 + 65536) for each in reads),
        Step("close", 4, 10809, 0.6, None),
    ]


def test_every_client_gets_everything(place: Place) -> None:
    before = link.carried(place.lan)
    outcomes = place.boot(asked())
    assert [each.failed for each in outcomes] == [""] * CLIENTS
    assert all(each.login is not None and each.login >= 0.6 for each in outcomes)
    carried = link.carried(place.lan) - before
    assert carried > CLIENTS * 2 * SIZE
    # What is asked of NBD is asked at once: all of it waits for the slowest.
    assert all(
        set(each.waited) == {"dhcp", "tftp", "open", "http", "close", "raw", "nbd"} for each in outcomes
    )


def test_another_answer_than_the_recorded_one_is_a_failure(place: Place) -> None:
    outcomes = place.boot(asked(SIZE + 1))
    assert {each.failed.partition(": ")[2] for each in outcomes} == {
        f"tftp to port 69: file by TFTP: {SIZE} bytes, not {SIZE + 1}"
    }
    assert all(each.login is None for each in outcomes)


def test_the_cable_carries_no_more_than_it_should(place: Place) -> None:
    assert link.reached(place.lan, place.netns) * 8 < 1.02e9
