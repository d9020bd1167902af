"""bench/bus: what callers of the D-Bus interface wait for, and what it costs, in a school of 500 clients."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import passes, product, resting
from bench.figures import Figure
from bench.served import CLIENTS, IMAGES, STAGES
from ltspd.api import remote as server
from ltspd.dbus import wire
from ltspd.dbus.caller import BUS, Client, Unreachable
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from tests import REPOSITORY
from tests.lab.session import open_session
from tests.worlds.bus import end_bus, start_bus

RATE = 1000
ROUNDS, EACH = 20, 150
# The gateway collects reports for a quarter of a second and hands them over in one call.
CALLS = 4
FLOOD = 20_000
CLIENT = object_path("client", "52:54:00:00:00:07")


class Served:
    """The serving process, and orders to it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def answer(self, order: str = "") -> Mapping[str, float]:
        """Send an order and return its answer; without one, wait for the first answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if order:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the serving process ended")
        found: Mapping[str, float] = json.loads(line)
        return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run this process, and those that it starts meanwhile, before all ordinary programs of this machine.

    Any other program takes the processor for some milliseconds at a time, which would delay one in a hundred
    reads. Without the right to do this, the figures are those of a busy machine.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Start a bus and the serving process on it; end both."""
    bus, address = start_bus(folder)
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.served", address],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            served = Served(process)
            served.answer()
            yield served
        finally:
            process.communicate(timeout=10)
    finally:
        end_bus(bus)


def timed(call: Callable[[], object], times: int) -> list[float]:
    """Return how long each call took, in ms, sorted."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


def everything(client: Client) -> bytes:
    """Call GetManagedObjects and return the reply's bytes; to parse them is the caller's work, not ours."""
    client._serial += 1
    call = wire.call(client._serial, STEM, ROOT_PATH, server.OBJECT_MANAGER, "GetManagedObjects")
    client._socket.settimeout(25)
    client._socket.sendall(call)
    head = client._peek(wire.PREFIX, None)
    assert head is not None
    whole = client._peek(wire.size(head), None)
    assert whole is not None
    del client._buffer[: len(whole)]
    assert whole[1] == wire.RETURN
    return whole


def share(values: list[float], part: float) -> float:
    """Return the value that a ``part`` of all values does not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))]


def reads(client: Client, read: Callable[[], object]) -> Figure:
    """Read a property of ours and one of the bus in turns: a disturbance of the machine shows in both."""

    def read_bus() -> object:
        path, body = "/org/freedesktop/DBus", [BUS, "Features"]
        return client.call(path, server.PROPERTIES, "Get", "ss", body, destination=BUS)

    rounds = [(timed(read_bus, EACH), timed(read, EACH)) for _ in range(ROUNDS)]
    bus, ours = (sorted(value for each in rounds for value in each[side]) for side in (0, 1))
    note = (
        f"of {len(ours)}, median {share(ours, 0.5):.2f} ms, worst {ours[-1]:.1f} ms; a property of the bus "
        f"itself {share(bus, 0.99):.2f} ms, median {share(bus, 0.5):.2f} ms, worst {bus[-1]:.1f} ms"
    )
    return Figure("property read, p99", share(ours, 0.99), 3, " ms", note, 2)


class Watcher:
    """A connection that counts the signals about clients that it receives."""

    def __init__(self) -> None:
        self.heard = 0
        self._client = Client()
        self._client.subscribe(
            f"type='signal',sender='{STEM}',path_namespace='{ROOT_PATH}/client',interface='{server.PROPERTIES}'"
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(Unreachable):  # the bus ends before we do
            while True:
                self.heard += self._client.signal().member == "PropertiesChanged"

    def settle(self, expected: int, patience: float = 5.0) -> None:
        """Wait until all expected signals came, for ``patience`` seconds at most."""
        deadline = time.monotonic() + patience
        while self.heard < expected and time.monotonic() < deadline:
            time.sleep(0.02)


def report(client: Client, seconds: float) -> int:
    """Hand clients over as the gateway does, RATE a second in CALLS calls; return how many."""
    began, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < seconds:
        if sent >= RATE * elapsed:
            time.sleep(0.005)
            continue
        entries = []
        for at in range(sent, sent + RATE // CALLS):
            number = at % CLIENTS
            stage = STAGES[at // CLIENTS % len(STAGES)]
            words = {
                "Mac": f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}", "Hostname": f"pc{number}",
                "Address": f"10.0.{number >> 8}.{number & 255}", "Image": "image1",
                "Generation": "20261121T215302Z-0123abcd", "Transport": "nfs", "Stage": stage, "Error": "",
            }  # fmt: skip
            entry: dict[str, tuple[str, object]] = {key: ("s", word) for key, word in words.items()}
            entries.append({**entry, "LastSeen": ("t", time.time_ns() // 1000)})
        client.call(ROOT_PATH, interface("Gateway"), "ReportClients", "aa{sv}", [entries])
        sent += len(entries)
    return sent


def flooded(read: Callable[[], object]) -> Iterator[Figure]:
    """Yield the waits of another caller while one connection sends a flood of each kind of reading call."""
    for member, calls in (("GetAll", FLOOD), ("GetManagedObjects", FLOOD // 20)):
        took, began = list[float](), 0.0
        # In a process of its own: a thread would delay this process instead of the service.
        command = [sys.executable, "-m", "bench.flood", str(calls), member]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as flood:
            assert flood.stdout is not None
            flood.stdout.readline()
            began = time.perf_counter()
            while flood.poll() is None:
                took += timed(read, 1)
            lasted = time.perf_counter() - began
            refused = flood.stdout.readline().strip()
        if flood.returncode or not took:
            yield Figure(f"other caller during a flood of {member}, p99", None, 50, note="the flood failed")
            continue
        took.sort()
        note = f"of {len(took)} reads, median {share(took, 0.5):.1f} ms, worst {took[-1]:.1f} ms; "
        note += f"{calls} x {member} in {lasted:.1f} s, {refused} refused"
        yield Figure(f"other caller during a flood of {member}, p99", share(took, 0.99), 50, " ms", note, 1)


def measure(served: Served, seconds: float) -> Iterator[Figure]:
    """Yield the figures."""
    client = Client()
    get = [interface("Client"), "Stage"]

    def read() -> object:
        return client.call(CLIENT, server.PROPERTIES, "Get", "ss", get)

    timed(read, 50)
    whole = timed(lambda: everything(client), 21)
    note = f"median of 21, worst {whole[-1]:.1f} ms, {len(everything(client)) / 1000:.0f} kB"
    yield Figure(
        f"GetManagedObjects, {CLIENTS} clients, {IMAGES} images", share(whole, 0.5), 30, " ms", note, 1
    )
    yield reads(client, read)
    yield from flooded(read)
    watcher = Watcher()
    answer = served.answer(f"update {RATE} {seconds}")
    watcher.settle(int(answer["changed"]))
    note = f"{answer['changed'] / seconds:.0f} a second for {seconds:.0f} s, {watcher.heard} heard"
    yield Figure("core used by 1000 client updates a second", answer["share"] * 100, 25, " %", note, 1)
    lost = answer["changed"] - watcher.heard
    yield Figure("updates that were published and never heard", lost, 0, digits=0)
    slow = answer["changed"] / seconds < RATE * 0.98
    yield Figure("updates too slow", float(slow), 0, digits=0)
    before, heard = served.answer("used")["used"], watcher.heard
    reported = report(client, seconds)
    watcher.settle(heard + reported)
    used = (served.answer("used")["used"] - before) / seconds
    note = f"{reported / seconds:.0f} a second in {CALLS} calls, {watcher.heard - heard} heard"
    yield Figure("core used by 1000 clients that report a second", used * 100, 25, " %", note, 1)
    yield Figure("resident size", served.answer("resident")["resident"], 60, " MB", "all of ltspd loaded", 1)
    client.close()


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(prog="bench/bus", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="how long to send updates (default: 5)")
    parser.add_argument("--only", choices=("school", "real"), help="leave out the other serving process")
    options = parser.parse_args()
    missed = False
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for figure in _figures(options.only, options.seconds):
        print(figure.line(), flush=True)
        missed |= figure.missed
    return 1 if missed else 0


def _figures(only: str | None, seconds: float) -> Iterator[Figure]:
    if only != "real":
        with undisturbed(), tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
            yield from measure(served, seconds)
        with undisturbed():
            yield from passes.figures()
    if only != "school":
        with open_session() as session:
            yield from resting.figures(product.start(session))


if __name__ == "__main__":
    sys.exit(main())
