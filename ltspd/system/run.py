"""The only home of subprocesses: start a program, watch its output, end its whole group on cancel."""

import asyncio
import os
import signal
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import ToolFailed
from ltspd.system import priority

# What a person needs of a failing program is its end, not its whole output.
TAIL_BYTES = 4000
# So much of what it prints is kept, its end, where nobody asked for all: a program may print for hours.
KEPT_BYTES = 64 << 10
# So many bytes of its output are heard at once.
PIECE = 65536
# A program that ignores SIGTERM gets this many seconds before SIGKILL; a cancelled job must end within 2 s.
TERM_GRACE = 1.0
# Rows and columns of a terminal that nobody looks at; without any, a program may draw nothing on it.
TERMINAL = (24, 80)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended: its exit status (negative: the signal) and the end of what it printed."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


def _failed(argv: Sequence[str], why: str, stderr: bytes) -> ToolFailed:
    words = stderr[-TAIL_BYTES:].decode(errors="replace").strip()
    return ToolFailed(f"{Path(argv[0]).name} {why}" + (f": {words}" if words else ""))


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_output: Callable[[bytes], None] | None = None,
    whole: int = 0,
    terminal: bool = False,
    background: bool = False,
    check: bool = True,
) -> Completed:
    """Run a program to its end and return the end of what it printed, at most KEPT_BYTES.

    ``whole`` is for whoever needs all of standard output: so many bytes may come, and a program that prints
    more is ended. ``on_output`` is called with each piece of it as it comes (which is then not kept).
    With ``terminal``, and if there can be one, that is a terminal to the program, and lines end with CR LF:
    some tell nowhere else how far they are. ``background`` gives the program low CPU and I/O priority, as
    ``priority.low`` does.
    Raises ToolFailed if the program can't be started, prints more than ``whole`` or, with ``check``, ends
    with anything but 0.
    Cancelling the caller ends the program and all of its children before CancelledError goes on.
    """
    command = list(argv)
    if background or priority.is_low():
        command = ["nice", "-n", "10", "ionice", "-c", "3", *command]
    ours, theirs = _open_terminal() if terminal else (-1, asyncio.subprocess.PIPE)
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    )
    # While we have the program's side of the terminal, too, ours would never come to its end.
    starting.add_done_callback(lambda _: _close(theirs))
    try:
        process = await _started(argv, starting)
        try:
            stdout = _Kept(whole or KEPT_BYTES, argv if whole else ())
            stderr = _Kept(KEPT_BYTES)
            await _converse(process, stdin, on_output or stdout.hear, stderr.hear, ours)
            status = await process.wait()
        except BaseException:
            await _end(process)
            raise
    finally:
        _close(ours)
    if check and status != 0:
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise _failed(argv, how, bytes(stderr.end or stdout.end))
    return Completed(tuple(argv), status, bytes(stdout.end), bytes(stderr.end))


class _Kept:
    """The end of what a program prints, or all of it: then more than ``most`` bytes are ToolFailed."""

    def __init__(self, most: int, program: Sequence[str] = ()) -> None:
        self.end = bytearray()
        self._most = most
        self._program = program

    def hear(self, piece: bytes) -> None:
        self.end += piece
        if len(self.end) > self._most:
            if self._program:
                raise _failed(self._program, f"printed more than the {self._most} bytes that it should", b"")
            del self.end[: -self._most]


def _open_terminal() -> tuple[int, int]:
    """Return our side and the program's of a terminal, or what stands for a pipe where there is none."""
    try:
        ours, theirs = os.openpty()
    except OSError:
        return -1, asyncio.subprocess.PIPE
    os.set_blocking(ours, False)
    termios.tcsetwinsize(theirs, TERMINAL)
    return ours, theirs


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


async def _started(
    argv: Sequence[str], starting: "asyncio.Future[asyncio.subprocess.Process]"
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.shield(starting)
    except OSError as error:
        raise _failed(argv, f"can't be started ({error.strerror})", b"") from error
    except asyncio.CancelledError:
        # asyncio itself, cancelled here, ends only the program and not its children, and may then wait for
        # its pipes for ever. The start takes milliseconds.
        with suppress(OSError):
            await _end(await asyncio.shield(starting))
        raise


async def _converse(
    process: asyncio.subprocess.Process,
    stdin: bytes,
    on_output: Callable[[bytes], None],
    on_error: Callable[[bytes], None],
    terminal: int,
) -> None:
    async def feed() -> None:
        if process.stdin is not None:
            try:
                process.stdin.write(stdin)
                await process.stdin.drain()
            except ConnectionError:
                pass  # the program ended without reading it all; its status says whether that is bad
            process.stdin.close()

    async def listen(pipe: asyncio.StreamReader | None, hear: Callable[[bytes], None]) -> None:
        if pipe is None:
            await _watch(terminal, hear)
        else:
            while piece := await pipe.read(PIECE):
                hear(piece)

    assert process.stderr is not None
    await asyncio.gather(listen(process.stdout, on_output), listen(process.stderr, on_error), feed())


async def _watch(terminal: int, hear: Callable[[bytes], None]) -> None:
    """Hear what is written to a terminal until nobody has its other side any more."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            piece = os.read(terminal, PIECE)
        except BlockingIOError:
            more = asyncio.Event()
            loop.add_reader(terminal, more.set)
            try:
                await more.wait()
            finally:
                loop.remove_reader(terminal)
        except OSError:
            return  # how Linux says that the other side is closed
        else:
            hear(piece)
            # A program that never pauses must not keep the others waiting.
            await asyncio.sleep(0)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program's whole process group; shielded, because the caller is being cancelled."""

    def tell(number: int) -> None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass

    tell(signal.SIGTERM)
    try:
        async with asyncio.timeout(TERM_GRACE):
            await asyncio.shield(process.wait())
    except (TimeoutError, asyncio.CancelledError):
        tell(signal.SIGKILL)
        await process.wait()
    tell(signal.SIGKILL)
