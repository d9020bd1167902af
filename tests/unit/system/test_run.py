"""Running programs: output, errors as sentences, and a whole process group that ends on cancel."""

import asyncio
import errno
import os
import signal
import time
import tracemalloc
from pathlib import Path

import pytest

from ltspd.errors import ToolFailed
from ltspd.system.run import KEPT_BYTES, run
from tests.patience import PATIENCE


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def _until(path: Path, lines: int) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        while not path.exists() or path.read_text().count("\n") < lines:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    return [int(line) for line in path.read_text().split()]


async def _gone(pids: list[int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(map(_alive, pids)):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


async def test_output_and_status_come_back() -> None:
    done = await run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"words", check=False)
    assert (done.status, done.stdout, done.stderr) == (3, b"words", b"err\n")
    assert done.argv[0] == "sh"


async def test_output_comes_in_pieces_to_whoever_wants_it() -> None:
    pieces: list[bytes] = []
    first = asyncio.Event()

    def heard(piece: bytes) -> None:
        pieces.append(piece)
        first.set()

    task = asyncio.create_task(run(["sh", "-c", "echo 1; read -r x; echo 2"], on_output=heard, stdin=b"\n"))
    async with asyncio.timeout(PATIENCE):
        await first.wait()
        done = await task
    assert b"".join(pieces) == b"1\n2\n"
    assert done.stdout == b""


async def test_much_output_and_input_at_once_do_not_block_each_other() -> None:
    data = os.urandom(1 << 20)
    done = await run(["sh", "-c", "tee /dev/stderr"], stdin=data, whole=len(data))
    assert done.stdout == data
    assert done.stderr == data[-KEPT_BYTES:]


async def test_of_a_program_that_prints_without_end_the_end_is_kept() -> None:
    script = "seq 3000000 >&2; echo last >&2; seq 2000000; echo also last"
    tracemalloc.start()
    try:
        done = await run(["sh", "-c", script])
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert len(done.stdout) == len(done.stderr) == KEPT_BYTES
    assert done.stderr.endswith(b"3000000\nlast\n")
    assert done.stdout.endswith(b"2000000\nalso last\n")


async def test_whoever_needs_all_of_it_says_how_much_that_is_at_most() -> None:
    assert (await run(["seq", "3"], whole=6)).stdout == b"1\n2\n3\n"
    with pytest.raises(ToolFailed, match="sh printed more than the 6 bytes that it should"):
        await run(["sh", "-c", "seq 4; sleep 60"], whole=6)


async def test_a_program_that_reads_nothing_is_no_error_of_ours() -> None:
    assert (await run(["true"], stdin=b"x" * (1 << 20))).status == 0


async def test_a_failure_carries_the_programs_last_words() -> None:
    with pytest.raises(ToolFailed) as error:
        await run(["sh", "-c", "seq 5000 >&2; echo no space left >&2; exit 4"])
    assert error.value.message.startswith("sh ended with status 4: ")
    assert error.value.message.endswith("no space left")
    assert len(error.value.message) < 4200


async def test_words_on_standard_output_count_if_there_are_no_others() -> None:
    with pytest.raises(ToolFailed, match="ended with status 1: bad line 7"):
        await run(["sh", "-c", "echo bad line 7; exit 1"])


async def test_a_signal_is_named() -> None:
    with pytest.raises(ToolFailed, match="was ended by signal 9"):
        await run(["sh", "-c", "kill -9 $$"])


async def test_a_missing_program_is_named_with_the_reason() -> None:
    with pytest.raises(ToolFailed, match=r"no-such-tool can't be started .*No such file"):
        await run(["/nonexistent/no-such-tool", "x"])


async def test_a_missing_program_is_named_with_low_priority_too() -> None:
    with pytest.raises(ToolFailed, match=r"no-such-tool.*No such file"):
        await run(["/nonexistent/no-such-tool"], background=True)


async def test_background_work_has_low_priority() -> None:
    done = await run(["sh", "-c", "nice; ionice -p $$"], background=True)
    niceness, io = done.stdout.decode().split("\n", 1)
    assert int(niceness) >= 10
    assert io.strip() == "idle"


async def test_the_environment_can_be_replaced(tmp_path: Path) -> None:
    done = await run(["/bin/sh", "-c", "echo $A; pwd"], env={"A": "b"}, cwd=tmp_path)
    assert done.stdout.decode() == f"b\n{tmp_path}\n"


async def test_a_terminal_is_there_for_whoever_tells_only_that_how_far_it_is() -> None:
    pieces: list[bytes] = []
    script = "test -t 1 && stty size <&1; read -r x; echo $x; seq 20000; echo err >&2; exit 3"
    done = await run(["sh", "-c", script], stdin=b"in\n", on_output=pieces.append, terminal=True, check=False)
    assert (done.status, done.stdout, done.stderr) == (3, b"", b"err\n")
    lines = b"".join(pieces).decode().split("\r\n")
    assert lines == ["24 80", "in", *map(str, range(1, 20001)), ""]
    assert (await run(["echo", "x"], terminal=True)).stdout == b"x\r\n"


async def test_a_terminal_is_not_kept(tmp_path: Path) -> None:
    def opened() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    await run(["true"], terminal=True)
    before = opened()
    await run(["true"], terminal=True)
    with pytest.raises(ToolFailed):
        await run(["/nonexistent/no-such-tool"], terminal=True)
    pids = tmp_path / "pids"
    task = asyncio.create_task(run(["sh", "-c", f"echo $$ >> {pids}; sleep 6000; sleep 6000"], terminal=True))
    found = await _until(pids, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(found)
    assert opened() == before


async def test_without_terminals_there_is_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[int, int]:
        raise OSError(errno.ENOENT, "no /dev/ptmx")

    monkeypatch.setattr(os, "openpty", none)
    pieces: list[bytes] = []
    await run(["sh", "-c", "test -t 1 || echo pipe"], on_output=pieces.append, terminal=True)
    assert b"".join(pieces) == b"pipe\n"


async def test_no_terminal_and_no_input_are_inherited() -> None:
    done = await run(["sh", "-c", "cat; ps -o pgid= -p $$ >/dev/null 2>&1; cut -d' ' -f1,5,6 /proc/$$/stat"])
    pid, group, session = done.stdout.split()
    assert pid == group == session


@pytest.mark.parametrize("stubborn", [False, True])
async def test_cancel_ends_the_whole_group(tmp_path: Path, stubborn: bool) -> None:
    pids = tmp_path / "pids"
    trap = "trap '' TERM; " if stubborn else ""
    script = f"{trap}echo $$ >> {pids}; sh -c '{trap}echo $$ >> {pids}; sleep 6000' & sleep 6000; wait"
    task = asyncio.create_task(run(["sh", "-c", script]))
    found = await _until(pids, 2)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(found)
    assert time.monotonic() - began < PATIENCE


async def test_a_child_that_left_the_group_keeps_nobody_waiting(tmp_path: Path) -> None:
    """As a service that puts itself into the background, and keeps the output open."""
    file, pids = tmp_path / "pid", list[int]()
    script = f"trap '' TERM; setsid sleep 600 & echo $! >{file}; while :; do sleep 600; done"
    before = len(os.listdir("/proc/self/fd"))
    task = asyncio.create_task(run(["sh", "-c", script]))
    try:
        pids = await _until(file, 1)
        task.cancel()
        async with asyncio.timeout(PATIENCE / 2):
            await asyncio.wait([task])
        assert task.cancelled()
        assert _alive(pids[0])
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before
    finally:
        for each in pids:
            os.kill(each, signal.SIGKILL)


async def test_cancelling_twice_leaves_nothing_either(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ >> {pids}; sleep 6000; sleep 6000"
    task = asyncio.create_task(run(["sh", "-c", script]))
    found = await _until(pids, 1)
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(found)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("steps", range(1, 9))
async def test_cancelling_at_any_step_of_the_start_ends_it_all(
    tmp_path: Path, steps: int, terminal: bool
) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ >> {pids}; sleep 6000; sleep 6000"
    task = asyncio.create_task(run(["sh", "-c", script], terminal=terminal))
    for _ in range(steps):
        # The program is faster than the event loop, which is what makes this a state of its own.
        time.sleep(0.01)  # noqa: ASYNC251
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    if pids.exists() and pids.read_text():
        await _gone(await _until(pids, 1))


async def test_an_error_of_the_listener_ends_the_program(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def heard(_: bytes) -> None:
        raise ValueError("odd output")

    with pytest.raises(ValueError, match="odd output"):
        await run(["sh", "-c", f"echo $$ > {pids}; echo 1; sleep 6000"], on_output=heard)
    await _gone(await _until(pids, 1))


async def test_a_timeout_around_it_works() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await run(["sleep", "6000"])
    assert time.monotonic() - began < PATIENCE
