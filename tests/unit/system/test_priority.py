"""Work of low priority has it in all of its threads and programs, and nothing else has."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from ltspd.image import build
from ltspd.image.build import BuildOptions
from ltspd.image.look import contents as look
from ltspd.paths import Paths
from ltspd.system import priority
from ltspd.system.run import run
from ltspd.system.threads import in_thread
from tests.worlds.image_builds import order
from tests.worlds.image_trees import make_source


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def of_program() -> int:
    return int((await run(["nice"])).stdout)


@pytest.fixture
def usual() -> int:
    return niceness()


async def test_threads_and_programs_of_the_task_alone_are_low(usual: int) -> None:
    async def work(low: bool) -> set[int]:
        with priority.low(low):
            await asyncio.sleep(0.01)
            threads = await asyncio.gather(*(in_thread(niceness) for _ in range(6)))
            return {*threads, await priority.to_thread(niceness), await of_program()}

    first, second = await asyncio.gather(work(low=True), work(low=False))
    assert (first, second) == ({usual + priority.NICE}, {usual})
    assert (niceness(), await in_thread(niceness), await of_program()) == (usual, usual, usual)
    assert not priority.is_low()


async def test_programs_of_low_priority_wait_for_the_disk_too() -> None:
    with priority.low(True):
        said = (await run(["sh", "-c", "ionice -p $$"])).stdout
    assert said.strip() == b"idle"


async def test_an_error_in_a_thread_and_the_context_come_through() -> None:
    with priority.low(True):
        assert await priority.to_thread(priority.is_low)
        with pytest.raises(ZeroDivisionError):
            await priority.to_thread(lambda: 1 / 0)
    assert not priority.is_low()


@pytest.mark.parametrize("background", [True, False])
async def test_all_of_a_build_in_the_background_is_low(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: int, background: bool
) -> None:
    paths = Paths(tmp_path)
    source = make_source(paths)
    seen: list[int] = []
    walk = look.contents

    def contents(*arguments: object) -> look.Contents:
        seen.append(niceness())
        return walk(*arguments)  # type: ignore[arg-type]

    async def boot_part(_root: Path, _release: str) -> bytes:
        seen.append(await priority.to_thread(niceness))
        seen.append(await of_program())
        return b"boot part"

    wanted = order(paths, source, BuildOptions(background=background), make_boot_part=boot_part)
    ready = await build.preflight(wanted)
    monkeypatch.setattr(look, "contents", contents)
    await build.build(wanted, ready)
    assert set(seen) == {usual + priority.NICE if background else usual}
    # The look after the packing, a thread and a program of the boot part.
    assert len(seen) == 3
    assert niceness() == usual
