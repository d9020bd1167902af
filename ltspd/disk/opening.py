"""Disk images as directories to read, without a mount in the daemon's namespace.

The mounts are in the namespace of another process of ours, and the daemon reads them through /proc/PID/root.
When that process ends, which it also does with the daemon, its mounts and loop devices end, too.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ltspd
from ltspd import errors
from ltspd.disk import loops
from ltspd.errors import BadDisk, LtspError, ToolFailed, UnsupportedDisk
from ltspd.paths import Paths
from ltspd.system.run import Completed, run

# A disk is opened in a second; only a damaged or hostile file system takes longer.
OPEN_SECONDS = 60.0
# The kernel frees a loop device a moment after its last user ended.
LOOPS_SECONDS = 3.0
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ltspd.disk.holder import main; main()"
_ERRORS: dict[str, type[LtspError]] = {
    each.name: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, LtspError)
}


@dataclass(frozen=True, slots=True)
class DiskRoot:
    """The system on a disk image: ``path`` is its root directory, read-only. Never resolve that path.

    ``format`` is raw, qcow2, vmdk or vdi; ``table`` gpt, mbr, iso or none; ``volume`` says where the
    system is; ``warnings`` are sentences for a person. If squashfs file systems hold all of the system,
    ``pieces`` are their offsets and sizes in the file, the base first.
    """

    path: Path
    format: str
    table: str
    volume: str
    warnings: tuple[str, ...]
    pid: int
    pieces: tuple[tuple[int, int], ...] = ()


@asynccontextmanager
async def open_disk(
    paths: Paths, file: Path, *, partition: int = 0, directory: str = "", seconds: float = OPEN_SECONDS
) -> AsyncIterator[DiskRoot]:
    """Show the system on a disk image as a directory; needs root.

    ``partition`` chooses among several systems, ``directory`` is a directory of the system to show instead of
    its root, and ``seconds`` is the most that opening may take. Raises BadDisk, UnsupportedDisk, ToolFailed.
    If the disk can't be read any more later, the body is cancelled and ToolFailed raised.
    """
    work = paths.run / "disk"
    work.mkdir(parents=True, exist_ok=True)
    lines = bytearray()
    said = asyncio.Event()

    def listen(piece: bytes) -> None:
        lines.extend(piece)
        if b"\n" in lines:
            said.set()

    library = str(Path(ltspd.__file__).parents[1])
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--ipc"]
    argv += ["--fork", "--kill-child=KILL", "--", sys.executable, "-I", "-c", _START, library]
    argv += [str(file), str(work), str(partition), directory]
    body = asyncio.current_task()
    assert body is not None
    holder = asyncio.create_task(run(argv, on_output=listen, check=False), name=f"disk {file.name}")
    held: list[tuple[int, str]] = []
    gone = False

    def lost(_task: "asyncio.Task[Completed]") -> None:
        nonlocal gone
        gone = True
        body.cancel()

    try:
        answer = await _answer(holder, said, lines, file, seconds)
        held = [(int(number), str(name)) for number, name in answer.pop("loops")]
        pid = int(answer.pop("pid"))
        root = Path(f"/proc/{pid}/root") / str(answer.pop("root")).lstrip("/")
        pieces = tuple((int(offset), int(size)) for offset, size in answer.pop("pieces"))
        warnings = tuple(answer.pop("warnings"))
        disk = DiskRoot(path=root, pid=pid, warnings=warnings, pieces=pieces, **answer)
        holder.add_done_callback(lost)
        try:
            yield disk
        except asyncio.CancelledError:
            if gone and body.uncancel() == 0:
                raise ToolFailed(f"{file} can't be read any more: {_last_words(holder)}") from None
            raise
        finally:
            holder.remove_done_callback(lost)
    finally:
        holder.cancel()
        with suppress(asyncio.CancelledError, LtspError):
            await holder
        await _given_back(held)


async def _answer(
    holder: "asyncio.Task[Completed]", said: asyncio.Event, lines: bytearray, file: Path, seconds: float
) -> dict[str, Any]:
    waiting = asyncio.create_task(said.wait())
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait((holder, waiting), return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        raise BadDisk(
            f"{file} can't be opened within {seconds:g} s; its file system may be damaged."
        ) from None
    finally:
        waiting.cancel()
    if b"\n" not in lines:
        raise ToolFailed(f"{file} can't be opened: {_last_words(holder)}")
    answer: dict[str, Any] = json.loads(bytes(lines).split(b"\n", 1)[0])
    if "error" in answer:
        raise _ERRORS.get(str(answer["error"]), UnsupportedDisk)(str(answer["message"]))
    return answer


def _last_words(holder: "asyncio.Task[Completed]") -> str:
    if holder.cancelled() or (error := holder.exception()) is not None:
        return str(error) if not holder.cancelled() else "it was cancelled."
    done = holder.result()
    words = done.stderr.decode(errors="replace").strip().splitlines()
    return words[-1] if words else f"the process that held it ended (status {done.status})."


async def _given_back(held: list[tuple[int, str]]) -> None:
    """Wait until the kernel has freed the loop devices."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOPS_SECONDS):
            # The kernel sends no event for this.
            while any(name and loops.backing(number) == name for number, name in held):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
