"""The daemon's one way to start programs: watch the output, end the whole process group on cancel."""

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

# Bytes of a failed program's output that the error repeats: the end says why it failed.
TAIL_BYTES = 4000
# Bytes of output that are kept, its end, without ``whole``: a program may print for hours.
KEPT_BYTES = 64 << 10
# Bytes of output that are read at once.
PIECE = 65536
# A program that ignores SIGTERM gets this many seconds before SIGKILL; a cancelled job must end within 2 s.
TERM_GRACE = 1.0
# Rows and columns of a program's terminal: on one without a size it may print no progress.
TERMINAL = (24, 80)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended: its exit status (negative: the signal) and the end of its output."""

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
    """Run a program to its end and return the end of its output, at most KEPT_BYTES.

    ``whole`` returns all of standard output, up to that many bytes; a program that prints more is ended.
    ``on_output`` gets each piece of standard output as it comes, and nothing of it is kept.
    ``terminal`` makes standard output a terminal, if the system has one left, because some programs show
    progress only there; lines then end with CR LF. ``background`` gives the program low CPU and I/O priority,
    as ``priority.low`` does.
    Raises ToolFailed if the program can't be started, prints more than ``whole`` or, with ``check``, ends
    with a status other than 0.
    Cancelling the caller ends the program and all of its children before CancelledError is raised.
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
    # Our side reads the end of the output only once we have closed the program's side.
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
    """The end of a program's output; with ``program`` all of it; more than ``most`` bytes are an error."""

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
    """Return our side and the program's side of a new terminal; (-1, PIPE) if the system has none left."""
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
        # Cancelling the start would end the program but not its children, and could wait for its pipes for
        # ever. So let the start finish, which takes milliseconds, and end the whole group.
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
    """Read a terminal until its other side is closed."""
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
            return  # EIO: the other side is closed
        else:
            hear(piece)
            # Other tasks must run, even if the program never pauses.
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
        pass
    tell(signal.SIGKILL)
    # wait() waits for the end of the output, too, which a child in a session of its own may keep open.
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]
    for number in range(3):
        if (pipe := transport.get_pipe_transport(number)) is not None:
            pipe.close()
    await process.wait()
