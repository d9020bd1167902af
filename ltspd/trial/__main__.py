"""The process that runs the machine: unprivileged, in its own network namespace; it ends with the daemon.

Standard input and output are one connection to the daemon: the request comes in, news go out. When the
connection ends, this process ends, and its unit ends all that it started.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ltspd.errors import LtspError
from ltspd.outputs.nbd import configuration
from ltspd.system.run import Completed, run
from ltspd.trial.console import Console
from ltspd.trial.machine import arguments
from ltspd.trial.messages import LINE, READS, News, Request, Verdict, read_request, to_line

# Seconds after the login in which units that are still starting may fail.
AFTER_LOGIN = 60.0
# Seconds to wait after a failure for the lines that explain it.
AFTER_FAILURE = 1.0
# The kernel finds archives in an initrd at multiples of this (initramfs buffer format).
_ALIGNMENT = 4
_SERVE = "#!/bin/sh\nexec nbd-server -C '{}' -d 0 2>/dev/null\n"

# Begun anew by each connection, and no longer than a message can be.
_TAKE = "#!/bin/sh\nexec head -c {} >'{}'\n"

Say = Callable[[News], None]


async def attempt(request: Request, work: Path, say: Say) -> Verdict:
    """Run the machine until its login is reached or can't be reached, with files below ``work``."""
    initrd, serve, take, told = (work / each for each in ("initrd", "serve", "take", "told"))
    initrd.write_bytes(b"".join(_padded(Path(each).read_bytes()) for each in request.initrds))
    (work / "nbd.conf").write_bytes(configuration(request.layers))
    # Without standard error, because QEMU sends that to the client, too, where it would break the protocol.
    serve.write_text(_SERVE.format(work / "nbd.conf"))
    take.write_text(_TAKE.format(READS, told))
    accelerator = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"
    console, changed = Console(), asyncio.Event()
    began = time.monotonic()
    logged_in = 0.0

    def listen(piece: bytes) -> None:
        nonlocal logged_in
        text, phase = piece.decode("utf-8", "replace"), console.phase
        console.feed(text)
        say(News(console=text))
        if console.phase != phase:
            say(News(phase=console.phase))
        if console.login and not logged_in:
            logged_in = time.monotonic() - began
        changed.set()

    argv = arguments(request, str(initrd), str(serve), str(take), len(os.sched_getaffinity(0)))
    say(News(phase=console.phase))
    machine = asyncio.create_task(run(argv, on_output=listen, check=False), name="machine")
    try:
        ended = await _watch(console, changed, machine, request.seconds)
    finally:
        machine.cancel()
        await asyncio.wait([machine])
    reason = "" if console.login else console.reason or ended
    seconds = logged_in or time.monotonic() - began
    return Verdict(reason, seconds, console.failed, accelerator, _reads(told))


async def _watch(
    console: Console, changed: asyncio.Event, machine: "asyncio.Task[Completed]", seconds: float
) -> str:
    """Wait for the end; return why it came, if the console does not tell that."""
    try:
        async with asyncio.timeout(seconds) as limit:
            while not machine.done() and not console.complete:
                news = asyncio.create_task(changed.wait())
                try:
                    await asyncio.wait([machine, news], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                changed.clear()
                if console.login:
                    soon = asyncio.get_running_loop().time() + AFTER_LOGIN
                    limit.reschedule(min(limit.when() or soon, soon))
    except TimeoutError:
        return f"it took longer than {seconds:.0f} s"
    if not machine.done():
        if console.reason:
            await asyncio.sleep(AFTER_FAILURE)
        return ""
    done = machine.result()
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"QEMU ended (status {done.status})" + (f": {words[-1]}" if words else "")


def _reads(told: Path) -> tuple[str, ...]:
    """Return the paths that the machine has told, but none that is no plain text or is cut off."""
    try:
        data = told.read_bytes()[:READS]
    except OSError:
        return ()
    names = data.split(b"\n")[:-1]
    return tuple(each.decode("ascii") for each in names if each.isascii())


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)


async def _serve_one() -> None:
    body = asyncio.current_task()
    assert body is not None

    def hung_up() -> None:
        try:
            said = os.read(sys.stdin.fileno(), LINE)
        except ConnectionError:
            said = b""  # the daemon closed it without reading all
        if not said:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            body.cancel()

    request = read_request(_first_line())
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), hung_up)
    with tempfile.TemporaryDirectory(prefix="ltspd-trial-") as work:
        try:
            verdict = await attempt(request, Path(work), _say)
        except (LtspError, OSError) as error:
            verdict = Verdict(str(error), 0.0, (), "")
        _say(News(verdict=verdict))


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LINE:
        piece = os.read(sys.stdin.fileno(), LINE)
        if not piece:
            break
        line += piece
    return line


def _say(news: News) -> None:
    sys.stdout.buffer.write(to_line(news))
    sys.stdout.buffer.flush()


def main() -> int:
    """Serve one request of the daemon; the exit status is for the journal only."""
    try:
        asyncio.run(_serve_one())
    except asyncio.CancelledError:
        return 1
    except ConnectionError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
