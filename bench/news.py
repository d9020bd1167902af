"""How soon a change of the server's accounts is on running clients, and what clients that wait cost.

The real daemon and the real gateway in a network of their own, one client whose script is the real one, and
hundreds that speak as it does (bench/waiting.py). systemd is a stand-in, which takes no time.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bench.figures import Figure, failed, show
from tests import REPOSITORY
from tests.worlds.daemon import World, open_world
from tests.worlds.running import Running

SERVER = "192.168.67.1"
GATEWAY = "ltspd-gateway.service"
# Debian's Python with Debian's aiohttp, by which servers run the gateway.
PYTHON = "/usr/bin/python3"
# The bars.
SECONDS_MOST, MEGABYTES_MOST, RESTING_MOST = 3.0, 20.0, 0.5
# How long the processor time at rest is looked at, and how long anything may take.
REST, PATIENCE = 20.0, 120.0


class Bench:
    """The running programs, and what they have told."""

    def __init__(self, world: World, daemon: "subprocess.Popen[bytes]") -> None:
        self.world, self.daemon = world, daemon
        self.inside = ["nsenter", f"--net=/proc/{daemon.pid}/ns/net", "--"]
        root = world.paths.root
        script = f"mount --bind {root}/var/lib /var/lib && mount --bind {root}/srv /srv && exec {PYTHON}"
        words = f"{script} -m ltspd.gateway /var/lib/ltspd/outputs/gateway.json"
        with (world.folder / "gateway.log").open("wb") as log:
            command = [*self.inside, "unshare", "--mount", "--propagation", "private", "sh", "-c", words]
            environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/none"}
            self.gateway = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=log)
        # By the number of a document: how many clients have it, and when the last one got it.
        self.got: Counter[int] = Counter()
        self.last: dict[int, float] = {}

    async def reload(self) -> None:
        """Do what systemd does when the daemon asks for it: have the gateway read its table."""
        done = len(self.world.systemd.acts)
        while True:
            acts = self.world.systemd.acts
            if any(unit == GATEWAY for _, unit in acts[done:]):
                self.gateway.send_signal(signal.SIGHUP)
            done = len(acts)
            await asyncio.sleep(0.005)

    async def listen(self, stream: asyncio.StreamReader) -> None:
        """Take note of what the waiting clients have got."""
        while line := await stream.readline():
            serial, when = line.split()
            self.got[int(serial)] += 1
            self.last[int(serial)] = max(float(when), self.last.get(int(serial), 0.0))

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[None]:
        """Have so many clients wait; all have the present accounts at first."""
        self.got.clear()
        words = [*self.inside, sys.executable, "-m", "bench.waiting", SERVER, str(count)]
        process = await asyncio.create_subprocess_exec(*words, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        listening = asyncio.create_task(self.listen(process.stdout))
        try:
            await until(
                lambda: self.got.total() >= count and waiting(self.gateway.pid) >= count, "all clients"
            )
            yield
        finally:
            process.kill()
            await process.wait()
            await listening


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE:g} s")
        await asyncio.sleep(0.01)


def waiting(pid: int) -> int:
    """Return how many connections the gateway has."""
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[1].endswith(":0050") and row.split()[3] == "01" for row in rows)


def listens(pid: int) -> bool:
    """Return whether the gateway has its port."""
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(":0050") and row.split()[3] == "0A" for row in rows)


def resident(pid: int) -> float:
    """Return the resident set, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def used(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def real_client(bench: Bench) -> Iterator[Running]:
    """Run the real script in the network."""
    keys = bench.world.paths.keys / "orders.pub"
    signers = f'ltsp-server namespaces="ltspd" {" ".join(keys.read_text().split()[:2])}\n'
    with tempfile.TemporaryDirectory(prefix="ltspd-live-") as folder:
        client = Running(Path(folder), 80, signers, b"serial=1\ndocument=accounts\n", mac="52:54:00:99:00:01")
        script = client.store / "live"
        script.write_text(script.read_text().replace("http://127.0.0.1:80/", f"http://{SERVER}/"))
        process = client.start(bench.inside)
        try:
            yield client
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def change(
    bench: Bench, client: Running, count: int, name: str, words: Sequence[str], seen: Callable[[], bool]
) -> Figure:
    """Change something, and return how long it took until all clients had it."""
    before = max(bench.got)
    began = time.monotonic()
    program = await asyncio.create_subprocess_exec(
        words[0], "--prefix", str(bench.world.paths.root), *words[1:]
    )
    if await program.wait():
        return failed(name, f"{words[0]} failed")
    await until(seen, f"{name}: the real client")
    real = time.monotonic() - began
    await until(lambda: max(bench.got) > before and bench.got[max(bench.got)] >= count, f"{name}: the others")
    slowest = bench.last[max(bench.got)] - began
    note = f"the real one {real:.2f} s, the slowest of {count} others {slowest:.2f} s"
    return Figure(f"{name}, until all clients have it", max(real, slowest), SECONDS_MOST, " s", note, 2)


async def changes(bench: Bench, count: int) -> list[Figure]:
    """Return the figures of one person who comes and goes."""
    with real_client(bench) as client:

        def has(file: str, text: str) -> bool:
            return any(line.startswith(text) for line in client.lines(f"etc/{file}"))

        await until(lambda: has("passwd", "ada:"), "the real client")
        async with bench.clients(count):
            steps: list[tuple[str, Sequence[str], Callable[[], bool]]] = [
                ("useradd", ("useradd", "-p", "$y$x", "eve"), lambda: has("passwd", "eve:")),
                ("usermod -L", ("usermod", "-L", "eve"), lambda: has("shadow", "eve:*:19000:0:99999:7::1:")),
                ("a new group", ("usermod", "-aG", "ada", "eve"), lambda: has("group", "ada:x:1000:eve")),
                ("userdel", ("userdel", "eve"), lambda: not has("passwd", "eve:")),
            ]
            return [await change(bench, client, count, *step) for step in steps]


async def at_rest(bench: Bench, count: int) -> list[Figure]:
    """Return what clients cost that only wait."""
    alone = resident(bench.gateway.pid)
    async with bench.clients(count):
        # Until those have settled that were told to come back later.
        await asyncio.sleep(30)
        more = resident(bench.gateway.pid) - alone
        before = [used(each.pid) for each in (bench.gateway, bench.daemon)]
        await asyncio.sleep(REST)
        cost = [
            used(each.pid) - begin for each, begin in zip((bench.gateway, bench.daemon), before, strict=True)
        ]
    note = f"gateway {cost[0]:.2f} s, daemon {cost[1]:.2f} s in {REST:g} s"
    return [
        Figure(
            f"memory of {count} clients that wait", more, MEGABYTES_MOST, " MB", f"{alone:.1f} MB without", 1
        ),
        Figure("processor time while they wait", sum(cost) / REST * 100, RESTING_MOST, " %", note, 2),
    ]


async def measure(count: int, held: int) -> list[Figure]:
    """Start all of it and measure."""
    async with open_world() as world:
        world.write("/etc/ltsp/ltsp.conf", "[server]\nHTTP_CONNECTIONS=1000\n")
        world.write("/etc/shadow", "ada:*:19000:0:99999:7:::\n")
        daemon = await world.ready()
        await world.settled()
        for each in range(2, 2 + 250):
            world.ip(daemon, f"address add 192.168.67.{each}/32 dev lo")
        world.ip(daemon, "link set lo up")
        bench = Bench(world, daemon)
        reloading = asyncio.create_task(bench.reload())
        try:
            # First, while the gateway is fresh: later it has memory left over from what clients fetched.
            await until(lambda: listens(bench.gateway.pid), "the gateway")
            resting = await at_rest(bench, held)
            return await changes(bench, count) + resting
        except TimeoutError as error:
            return [failed("changes reach clients", str(error))]
        finally:
            reloading.cancel()
            bench.gateway.terminate()
            bench.gateway.wait()


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/live", description="Measure how soon changes of accounts are on running clients."
    )
    parser.add_argument(
        "--clients", type=int, default=500, help="clients that take changes (default: %(default)s)"
    )
    parser.add_argument(
        "--held", type=int, default=2000, help="clients that only wait (default: %(default)s)"
    )
    options = parser.parse_args()
    figures = asyncio.run(measure(options.clients, options.held))
    return show(figures)


if __name__ == "__main__":
    sys.exit(main())
