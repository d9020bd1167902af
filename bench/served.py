"""The process that bench/bus measures: ltspd's service with the state of a school, all of ltspd loaded.

It has no core, because no network here has 500 clients: the state is made up, and changes on request.
Requests come on standard input, one in a line; the answer to each is one line of JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import ltspd.daemon.serve  # noqa: F401  (its memory counts, too)
from ltspd.api.service import Service
from ltspd.clients import known as clients
from ltspd.dbus import connection
from ltspd.model.client import ClientState
from ltspd.model.image import Generation, ImageState, Layer
from ltspd.model.state import ServerState, State
from ltspd.system import memory

IMAGES, GENERATIONS, CLIENTS = 20, 3, 500
STAGES = ("network", "root", "login", "off")
START = 1_700_000_000_000_000


def _generation(image: str, number: int) -> Generation:
    return Generation(
        id=f"20261121T2153{number:02d}Z-0123abcd",
        image=image,
        created=START / 1e6,
        source=f"/srv/ltsp/{image}",
        architecture="amd64",
        kernel="6.1.0-37-amd64",
        layers=tuple(Layer(f"{at:064x}", 1) for at in range(3)),
        source_bytes=4_000_000_000,
        source_files=200_000,
        kernel_bytes=8_000_000,
        initrd_bytes=30_000_000,
        packages_digest=f"{number:064x}",
        summary="12 packages changed",
    )


def school() -> State:
    """Return 20 images of 3 generations and 500 clients."""
    images = []
    for name in (f"image{number}" for number in range(IMAGES)):
        generations = tuple(_generation(name, number) for number in range(GENERATIONS))
        images.append(
            ImageState(name, f"/srv/ltsp/{name}", generations[-1].id, generations, "6.1.0-37-amd64", 10**9)
        )
    clients = tuple(
        ClientState(
            f"52:54:00:00:{at >> 8:02x}:{at & 255:02x}", f"pc{at}", f"10.0.{at >> 8}.{at & 255}",
            "image1", images[1].current, "login", START, "nfs",
        )
        for at in range(CLIENTS)
    )  # fmt: skip
    return State(
        "1", ServerState.IN_SYNC, 1, (), "/srv/ltsp", "/srv/tftp/ltsp", tuple(images), clients=clients
    )


class Core:
    """The part of the daemon's core that the service reads: the state."""

    def __init__(self) -> None:
        self.state = school()
        self.changed = 0

    def change_a_client(self) -> None:
        """Publish that one client reached another stage, the clients taking turns."""
        at, stage = self.changed % CLIENTS, STAGES[self.changed // CLIENTS % len(STAGES)]
        self.changed += 1
        clients = self.state.clients
        client = replace(clients[at], stage=stage, last_seen=START + self.changed)
        self.state = replace(
            self.state,
            clients=(*clients[:at], client, *clients[at + 1 :]),
            revision=self.state.revision + 1,
        )

    def heard_gateway(self, problems: Sequence[str]) -> None:
        """Take what the gateway tells of itself, and leave it."""

    async def heard_clients(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take what the gateway hands over, as the daemon does."""
        known = {each.name: frozenset(one.id for one in each.generations) for each in self.state.images}
        found, refused = clients.merge(
            {each.mac: each for each in self.state.clients}, reports, known, time.time_ns() // 1000
        )
        assert not refused
        revision = self.state.revision + 1
        self.state = replace(self.state, clients=tuple(found.values()), revision=revision)
        return refused

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"the bench calls no {name}")


async def update(core: Core, service: Service, rate: int, seconds: float) -> Mapping[str, float]:
    """Change ``rate`` clients a second, each as an event of its own; return the share of a core."""
    began, used, before = time.monotonic(), time.process_time(), core.changed
    while (elapsed := time.monotonic() - began) < seconds:
        while core.changed - before < rate * elapsed:
            core.change_a_client()
            service.publish(core.state)
        await asyncio.sleep(1 / rate)
    await asyncio.sleep(0.2)  # unsent signals are part of the work
    share = (time.process_time() - used) / seconds
    return {"changed": core.changed - before, "share": share}


def resident() -> float:
    """Return the resident size of this process in MB (10⁶ bytes)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024 / 1e6


async def _orders() -> AsyncIterator[list[str]]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield line.decode().split()


async def main(address: str) -> None:
    """Serve until standard input ends."""
    memory.keep_little()
    core = Core()
    service = Service(await connection.connect(address), core)  # type: ignore[arg-type]
    await service.start()
    memory.loaded()
    print(json.dumps({"ready": True}), flush=True)
    async for order in _orders():
        match order:
            case ["update", rate, seconds]:
                answer = await update(core, service, int(rate), float(seconds))
            case ["used"]:
                answer = {"used": time.process_time()}
            case ["resident"]:
                answer = {"resident": resident()}
            case _:
                raise SystemExit(f"unknown order: {order}")
        print(json.dumps(answer), flush=True)
    await service.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
