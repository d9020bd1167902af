"""Applying that is killed at any step, or meets a disk that is full or broken: nothing is half done."""

import asyncio
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ltspd.apply import RETRY, Applier, record
from ltspd.apply import apply as module
from ltspd.model.output import File, Output, OutputState, Symlink
from ltspd.paths import Paths
from ltspd.system import files
from ltspd.system.files import write_atomically
from tests.worlds.applying import FakeSystemd, apply, disk, fresh, output

OLD = (
    Output("a", (File("/etc/1", b"old 1" * 9999), File("/etc/2", b"old 2"))),
    Output("b", (File("/srv/3", b"old 3"),), (Symlink("/srv/l", "/old"),)),
)
NEW = (
    Output("a", (File("/etc/1", b"new 1" * 7777), File("/etc/2", b"new 2"))),
    Output("b", (File("/srv/3", b"new 3"),), (Symlink("/srv/l", "/new"),)),
)


# The functions that change anything; a kill elsewhere is a kill before their next line.
CHANGING = {"_write_atomically", "_write", "_put", "save", "link"}
PLACES = {module.__file__, files.__file__, record.__file__}


def _at_each_line(do: Callable[[], object]) -> Callable[[FrameType, str, object], Any]:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in PLACES or frame.f_code.co_name not in CHANGING:
            return None
        if event == "line":
            do()
        return trace

    return trace


def _apply_new(paths: Paths, do: Callable[[], object]) -> None:
    """Apply NEW, calling ``do`` before each line of applying that may change something."""
    applier = fresh(paths, FakeSystemd())
    before, trace = sys.gettrace(), _at_each_line(do)
    sys.settrace(trace)
    # The loop's threads for the disk begin after this.
    threading.settrace(trace)
    try:
        asyncio.run(_all(applier, NEW))
    finally:
        sys.settrace(before)
        threading.settrace(None)


def _interesting_steps(paths: Paths) -> list[int]:
    """Return the numbers of the lines before which the disk differs from how it was a line before."""
    states: list[dict[str, tuple[int, int, int]]] = []
    _apply_new(paths, lambda: states.append(disk(paths)))
    return [step for step, (one, next_) in enumerate(pairwise(states), 2) if one != next_]


def _kill_at(step: int, paths: Paths) -> None:
    """Apply NEW in a process that SIGKILLs itself before the given line."""
    child = os.fork()
    if child == 0:
        left = step

        def count_down() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            _apply_new(paths, count_down)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


async def _all(applier: Applier, outputs: Iterable[Output]) -> set[OutputState]:
    return {status.state for status in await applier.apply(outputs)}


def test_a_kill_at_any_step_leaves_old_or_new_and_nothing_that_looks_edited(tmp_path: Path) -> None:
    """Kill after each change of the disk; whatever is wanted at the next start, nothing is in its way."""
    third = tuple(
        replace(each, files=tuple(replace(file, data=b"third") for file in each.files)) for each in NEW
    )
    rehearsal = Paths(root=tmp_path / "rehearsal")
    asyncio.run(_all(fresh(rehearsal, FakeSystemd()), OLD))
    steps = _interesting_steps(rehearsal)
    # Three files and a link, each made beside the old one and renamed, and the record around them.
    assert len(steps) > 12
    seen = set()
    for step in steps:
        paths = Paths(root=tmp_path / str(step))
        asyncio.run(_all(fresh(paths, FakeSystemd()), OLD))
        _kill_at(step, paths)
        for old, new in zip(OLD, NEW, strict=True):
            for before, after in zip(old.files, new.files, strict=True):
                found = paths.at(before.path).read_bytes()
                assert found in (before.data, after.data), (step, before.path)
                seen.add(found)
        assert os.readlink(paths.at("/srv/l")) in ("/old", "/new")
        assert asyncio.run(_all(fresh(paths, FakeSystemd()), third)) == {OutputState.IN_SYNC}, step
    assert len(seen) == 6


async def test_a_full_disk_at_the_second_file_is_no_edit_afterwards(
    applier: Applier, paths: Paths, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _all(applier, OLD)

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "2":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", full)
        status = await apply(applier, NEW[0])
        assert status.state is OutputState.FAILED
        assert "no space is left" in status.message
        assert applier.again == RETRY, "nothing wakes us when there is room again"
    third = replace(NEW[0], files=tuple(replace(file, data=b"third") for file in NEW[0].files))
    assert (await apply(applier, third)).state is OutputState.IN_SYNC
    assert applier.again is None


async def test_a_state_directory_that_cant_be_written_is_no_end(paths: Paths, systemd: FakeSystemd) -> None:
    paths.state.parent.mkdir(parents=True)
    paths.state.write_text("a file where the directory should be")
    status = await apply(fresh(paths, systemd), output())
    assert status.state is OutputState.FAILED
    assert "File exists" in status.message


def test_an_error_while_writing_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="I/O error"):
        write_atomically(target, b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old"}
