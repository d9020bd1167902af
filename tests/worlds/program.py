"""Running programs of ours as people do, without a terminal and on one; what they printed."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Ltspctl = Callable[..., Awaitable[Ran]]


async def begin(
    address: str, *arguments: str, module: str = "ltspd.cli", **options: Any
) -> asyncio.subprocess.Process:
    """Start a program of ours without a terminal."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        # A shell has what it runs in the background ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> Ran:
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def on_terminal(
    address: str, *arguments: str, answer: bytes = b"", status: int = 0, pieces: list[bytes] | None = None
) -> str:
    """Run ltspctl on a pseudo terminal and return all that appeared there, which ``pieces`` has at once."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ltspd.cli", *arguments,
        env={**environment, "DBUS_SYSTEM_BUS_ADDRESS": address, "TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer)
    pieces = [] if pieces is None else pieces
    try:
        while piece := await asyncio.to_thread(_read, ours):
            pieces.append(piece)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == status
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
    return b"".join(pieces).decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""
