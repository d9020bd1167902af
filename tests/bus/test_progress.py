"""A job's bytes on the bus: properties of the job, told when they change, and shown by the command."""

import asyncio
import re
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.dbus.connection import Connection
from ltspd.model.job import Progress
from ltspd.names import object_path
from tests.patience import PATIENCE
from tests.worlds.bus import Signals, get_all
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import Ltspctl, on_terminal


class Work:
    """Work that goes on when it is told to."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[tuple[str, int] | float] = asyncio.Queue()

    async def __call__(self, progress: Progress) -> str:
        while (step := await self.steps.get()) != ("", 0):
            if isinstance(step, float):
                progress.done(step)
            else:
                progress.phase(step[0], 0.25, step[1])
            self.steps.task_done()
        return "g3"

    async def go_on(self, *steps: tuple[str, int] | float) -> None:
        for each in steps:
            self.steps.put_nowait(each)
        await self.steps.join()


@pytest.mark.usefixtures("service")
async def test_bytes_are_properties_and_told_when_they_change(client: Connection, server: FakeServer) -> None:
    signals = await Signals(client).subscribe()
    work = Work()
    path = object_path("job", server.jobs.start("build", "x86_64", 0, work).id)
    job = await get_all(client, "Job", path)
    assert (job["BytesDone"], job["BytesTotal"]) == (0, 0)
    shown = []
    for step in (("squashfs", 5_000_000_000), 0.25, ("digest", 2_000), 1.0, ("publish", 0)):
        await work.go_on(step)
        job = await get_all(client, "Job", path)
        shown.append((job["Phase"], job["BytesDone"], job["BytesTotal"]))
        # What came too fast after the last signal comes a little later.
        async with asyncio.timeout(PATIENCE):
            while told(signals, path)[-1:] != shown[-1:]:
                signals.more.clear()
                await signals.more.wait()
    assert shown == [
        ("squashfs", 0, 5_000_000_000),
        ("squashfs", 1_250_000_000, 5_000_000_000),
        ("digest", 0, 2_000),
        ("digest", 2_000, 2_000),
        ("publish", 0, 0),
    ]
    changes = [each.body[1] for each in signals.heard if each.path == path and "Changed" in each.member]
    assert {"BytesDone": Variant("t", 1_250_000_000)}.items() <= changes[1].items()
    assert "BytesTotal" not in changes[1], "only what changed is told"
    work.steps.put_nowait(("", 0))
    await signals.until("JobFinished")


def told(signals: Signals, path: str) -> list[tuple[str, int, int]]:
    """Return what whoever only listens knows of a job after each signal."""
    known: dict[str, Any] = {"Phase": "", "BytesDone": 0, "BytesTotal": 0}
    found = []
    for each in signals.heard:
        if each.member == "PropertiesChanged" and each.path == path:
            known |= {name: value.value for name, value in each.body[1].items()}
            found.append((known["Phase"], known["BytesDone"], known["BytesTotal"]))
    return found


async def test_the_command_shows_bytes_and_how_they_grow(
    ltspctl: Ltspctl, running: FakeServer, bus_address: str
) -> None:
    work = Work()
    job = running.jobs.start("build", "x86_64", 0, work).id
    await work.go_on(("squashfs", 3_100_000_000), 0.4)
    assert "squashfs 1.2 of 3.1 GB" in (await ltspctl("job", "list")).out
    assert "squashfs 1.2 of 3.1 GB" in (await ltspctl("status")).out
    lines = (await ltspctl("job", "show", job)).out.splitlines()
    assert {" BytesDone: 1.2 GB", "BytesTotal: 3.1 GB"} <= set(lines)
    found = (await ltspctl("job", "show", job, "--json")).json
    assert (found["BytesDone"], found["BytesTotal"]) == (1_240_000_000, 3_100_000_000)
    pieces: list[bytes] = []
    watching = asyncio.create_task(on_terminal(bus_address, "job", "watch", job, pieces=pieces))
    await until(pieces, r"% squashfs 1\.2 of 3\.1 GB")
    await work.go_on(1.0)
    await until(pieces, r"% squashfs 3\.1 of 3\.1 GB")
    await work.go_on(("publish", 0))
    await until(pieces, r"% publish(?! \d)")
    work.steps.put_nowait(("", 0))
    assert "done in" in await watching


async def until(pieces: list[bytes], pattern: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not re.search(pattern, b"".join(pieces).decode()):  # noqa: ASYNC110 (another process acts)
            await asyncio.sleep(0.02)
