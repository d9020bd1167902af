"""A crowd on the LAN: idle HTTP connections, clients that hardly read, and a room behind one address.

`crowd` puts it on the LAN for a while; run as a program, this module is the crowd.
"""

import asyncio
import json
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.lab.net import SERVER_ADDRESS, ip
from tests.lab.server import Server
from tests.lab.session import end

# One address each; the server's DHCP gives others.
IDLE, SLOW, ROOM = (f"192.168.67.{number}" for number in (251, 252, 253))
# A connection that the server has ended is opened again after this many seconds.
AGAIN = 10.0
# What a machine of the room reads at once, and the pause after it: about 600 kB/s.
PIECE, PAUSE = 1 << 16, 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """How many connections of each sort, what the slow ones and the room fetch, where to tell."""

    slow_path: str
    room_path: str
    told: str = ""
    idle: int = 3000
    slow: int = 200
    room: int = 40


@contextmanager
def crowd(server: Server, plan: Plan) -> Iterator[Callable[[], Mapping[str, int]]]:
    """Have a crowd on the server's LAN; yield a function that tells what it has come to.

    ``tried`` idle and slow connections, files that the room fetched (``whole``), and got a part of (``cut``).
    """
    session, name = server.session, f"{server.session.name}-crowd"
    told = session.directory / "crowd.json"
    with ExitStack() as undo:
        subprocess.run(["ip", "netns", "add", name], check=True)
        undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        ip(server.lan.switch, f"link add port-crowd type veth peer name lan0 netns {name}")
        # With one end goes the other one, at once; with the namespace it would be later.
        undo.callback(ip, server.lan.switch, "link delete port-crowd")
        ip(server.lan.switch, "link set port-crowd master lan up")
        addresses = (f"address add {each}/24 dev lan0" for each in (IDLE, SLOW, ROOM))
        ip(name, "link set lo up", *addresses, "link set lan0 up")
        program = [sys.executable, "-m", "tests.lab.crowd", json.dumps(asdict(replace(plan, told=str(told))))]
        process = session.start(program, log="crowd.log", netns=name)
        undo.callback(end, process, signal.SIGKILL)
        server.wait_for(lambda: told.exists() or process.poll() is not None)
        yield lambda: json.loads(told.read_text())


# ---- the program -----------------------------------------------------------------------------------


async def _open(source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # A small buffer, so that whoever doesn't read takes nothing.
    return await asyncio.open_connection(SERVER_ADDRESS, 80, local_addr=(source, 0), limit=4096)


async def _idle(counts: Counter[str]) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await _open(IDLE)
            counts["tried"] += 1
            await reader.read()
            writer.close()
        await asyncio.sleep(AGAIN)


async def _slow(counts: Counter[str], path: str) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await _open(SLOW)
            counts["tried"] += 1
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            while await reader.read(512):  # noqa: ASYNC110 - reading slowly is what it is for
                await asyncio.sleep(5)
            writer.close()
        await asyncio.sleep(AGAIN)


async def _room(counts: Counter[str], path: str) -> None:
    while True:
        got, wanted = 0, -1
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await _open(ROOM)
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)content-length: (\d+)", head)
            assert found, head
            wanted = int(found[1])
            while piece := await reader.read(PIECE):
                got += len(piece)
                await asyncio.sleep(PAUSE * len(piece) / PIECE)
            writer.close()
        counts["whole" if got == wanted else "cut"] += 1
        await asyncio.sleep(1)


async def _main(plan: Plan) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    counts: Counter[str] = Counter(tried=0, whole=0, cut=0)
    async with asyncio.TaskGroup() as group:
        for _ in range(plan.room):
            group.create_task(_room(counts, plan.room_path))
        for _ in range(plan.slow):
            group.create_task(_slow(counts, plan.slow_path))
        for _ in range(plan.idle):
            group.create_task(_idle(counts))
        told = Path(plan.told)
        while True:
            new = told.with_suffix(".new")
            new.write_text(json.dumps(counts))
            new.rename(told)
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(_main(Plan(**json.loads(sys.argv[1]))))
