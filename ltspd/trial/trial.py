"""Trying a generation out, the daemon's side: it starts the machine's unit and reads its news.

The machine, and the process that reads its console, run in a unit of their own without any rights.
"""

import asyncio
import logging
import os
import platform
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import NoMemory, NotInstalled, TestFailed, ToolFailed, Unanswered, WrongArchitecture
from ltspd.model.image import Generation
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.trial import logs
from ltspd.trial.messages import LINE, PHASES, Request, Verdict, read_news, to_line

log = logging.getLogger(__name__)

UNIT = "ltspd-trial.service"
# The socket to which ltspd-trial.service connects; its unit file names it, too.
SOCKET = "trial.socket"
# MiB that QEMU and nbd-server need beside the machine's memory.
OVERHEAD = 256
# Seconds to wait for the connection, which systemd makes when it starts the unit.
CONNECT_SECONDS = 10.0
# Seconds after the limit: the machine's process ends itself at the limit, unless it hangs.
LATE_SECONDS = 120.0
_QEMU = "/usr/bin/qemu-system-x86_64"
_NBD_SERVER = ("/usr/bin/nbd-server", "/bin/nbd-server")

# dbus.systemd.Systemd.act: a method of systemd's and a unit -> "done", or what went wrong.
Act = Callable[[str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a trial is made: ``memory`` in MiB, ``seconds`` until the login, ``parameters`` for the kernel."""

    memory: int = 2048
    seconds: float = 600.0
    parameters: str = ""


def check(paths: Paths, machine: str, memory: int) -> None:
    """Check what a trial needs; raises NotInstalled, NoMemory, WrongArchitecture. Blocks.

    ``machine`` is the image's, ``memory`` what its machine gets, in MiB.
    """
    if platform.machine() != "x86_64" or machine not in ("x86_64", "i686"):
        raise WrongArchitecture(
            f"An image for {machine} can't be tried out on this {platform.machine()} server: only those for "
            "x86_64 and i686 can, on x86_64. Boot a client with it, and 'ltspctl image revert' if that fails."
        )
    if not paths.at(_QEMU).exists():
        raise NotInstalled("An image can't be tried out without QEMU: install the package qemu-system-x86.")
    if not any(paths.at(each).exists() for each in _NBD_SERVER):
        raise NotInstalled("An image is tried out with its root over NBD: install the package nbd-server.")
    free = _free_memory(paths)
    if free < memory + OVERHEAD:
        raise NoMemory(
            f"Trying an image out takes {memory + OVERHEAD} MiB of memory, but only {free} MiB are free. "
            "Try again later, or give its machine less: TEST_MEMORY= of [server] in ltsp.conf."
        )


def _free_memory(paths: Paths) -> int:
    """Return the memory that programs can still get, in MiB."""
    for line in paths.at("/proc/meminfo").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) >> 10
    return 0


def _nbd_add_on(paths: Paths) -> Path:
    return paths.tftp_dir / "nbd.img"


async def attempt(
    paths: Paths,
    act: Act,
    generation: Generation,
    places: tuple[Path, ...],
    files: Path,
    conditions: Conditions,
    progress: Progress,
) -> Verdict:
    """Boot a generation until its login; raises TestFailed, ToolFailed, OSError.

    ``files`` is the directory of its kernel and initrd, ``places`` are directories that may have its layers.
    """
    request = Request(
        image=generation.image,
        generation=generation.id,
        kernel=str(files / "vmlinuz"),
        initrds=(
            str(paths.tftp_dir / "ltsp.img"),
            str(_nbd_add_on(paths)),
            str(files / "initrd.img"),
        ),
        layers={layer.digest: str(_find(places, layer.file_name)) for layer in generation.layers},
        parameters=conditions.parameters,
        memory=conditions.memory,
        seconds=conditions.seconds,
    )
    with logs.keep(paths, generation.image, generation.id) as console:
        verdict = await _converse(paths, act, request, console, progress)
        if verdict.reason:
            message = (
                f"Generation {generation.id} of {generation.image} did not reach its login: "
                f"{verdict.reason}. Its console: {console.path}"
            )
            raise TestFailed("\n  ".join((message, *console.tail)))
    log.info("Generation %s of %s was tried out: %s", generation.id, generation.image, verdict)
    return verdict


def _find(places: tuple[Path, ...], name: str) -> Path:
    return next((place / name for place in places if (place / name).exists()), places[-1] / name)


async def _converse(
    paths: Paths, act: Act, request: Request, console: logs.Log, progress: Progress
) -> Verdict:
    loop = asyncio.get_running_loop()
    with _listening(paths.run / SOCKET) as listener:
        try:
            result = await act("StartUnit", UNIT)
            if result != "done":
                raise ToolFailed(f"{UNIT} can't be started ({result}); see 'journalctl -u {UNIT}'.")
            async with asyncio.timeout(CONNECT_SECONDS):
                connection, _ = await loop.sock_accept(listener)
            reader, writer = await asyncio.open_connection(sock=connection, limit=LINE)
            try:
                writer.write(to_line(request))
                async with asyncio.timeout(request.seconds + LATE_SECONDS):
                    return await _listen(reader, console, progress)
            finally:
                # The machine ends with its connection.
                writer.close()
        except TimeoutError:
            raise ToolFailed(f"{UNIT} does not answer; see 'journalctl -u {UNIT}'.") from None
        finally:
            # The unit ends with its connection anyway, and the result is known already.
            with suppress(Unanswered):
                await act("StopUnit", UNIT)


async def _listen(reader: asyncio.StreamReader, console: logs.Log, progress: Progress) -> Verdict:
    try:
        while line := await reader.readline():
            news = read_news(line)
            if news.phase:
                progress.phase(news.phase, PHASES[news.phase])
            if news.console:
                console.add(news.console)
            if news.verdict is not None:
                return news.verdict
    except (ValueError, ConnectionError) as error:
        raise ToolFailed(f"{UNIT} answers nonsense ({error}); see 'journalctl -u {UNIT}'.") from error
    raise ToolFailed(f"{UNIT} ended before it had an answer; see 'journalctl -u {UNIT}'.")


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Listen for the unit's connection; only root may connect."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(path))
        try:
            os.chmod(path, 0o600)
            listener.listen(1)
            yield listener
        finally:
            with suppress(OSError):
                path.unlink()
