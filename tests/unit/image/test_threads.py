"""Blocking work of builds: what a cancel leaves behind ends without a word."""

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from ltspd.system import threads
from tests.patience import PATIENCE


async def test_what_goes_on_after_a_cancel_fails_unheard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PATIENCE", 0.05)
    begun, ended = threading.Event(), threading.Event()
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))

    def work() -> None:
        begun.set()
        ended.wait(PATIENCE)
        (tmp_path / "gone").read_bytes()

    task = asyncio.create_task(threads.in_thread(work))
    await asyncio.to_thread(begun.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ended.set()
    await asyncio.sleep(0.2)
    gc.collect()
    await asyncio.sleep(0)
    assert heard == []
