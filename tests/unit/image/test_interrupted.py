"""Builds that fail, are cancelled or killed, or find no room: all is as it was before."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.errors import Busy, InconsistentSource, LtspError, NoSpace
from ltspd.image import build
from ltspd.image.build import BuildOptions
from ltspd.image.context import Step
from ltspd.image.store import publish, removal, store
from ltspd.model.image import Source
from ltspd.paths import Paths
from tests import REPOSITORY
from tests.patience import PATIENCE, processor_seconds
from tests.worlds.image_builds import (
    Said,
    make,
    order,
    untouched,
)
from tests.worlds.image_trees import write


async def test_what_breaks_between_preflight_and_build_is_seen(paths: Paths, source: Source) -> None:
    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    write(Path(source.path), "var/lib/dpkg/updates/0001", "x")
    with pytest.raises(InconsistentSource):
        await build.build(wanted, ready)
    assert untouched(paths) == set()


async def test_a_failing_initrd_ends_the_packing_and_leaves_nothing(paths: Paths, source: Source) -> None:
    write(Path(source.path), "usr/big", os.urandom(64 << 20))

    async def fail(_root: Path, _release: str) -> bytes:
        raise LtspError("no busybox")

    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    with pytest.raises(LtspError, match="no busybox"):
        await build.build(replace(wanted, make_boot_part=fail), ready)
    assert untouched(paths) == set()


async def test_a_cancel_ends_soon_and_leaves_nothing(paths: Paths, source: Source) -> None:
    write(Path(source.path), "usr/big", os.urandom(96 << 20))
    wanted = order(paths, source, BuildOptions(level=19))
    ready = await build.preflight(wanted)
    said = Said()
    task = asyncio.create_task(build.build(replace(wanted, progress=said), ready))
    await said.began.wait()
    await asyncio.sleep(0.2)
    with pytest.raises(Busy):
        await build.build(wanted, ready)
    started = processor_seconds()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The whole of it takes a minute of processors.
    assert processor_seconds() - started < 5
    assert untouched(paths) == set()
    with store.locked(paths, "tiny"):
        pass


async def test_a_cancel_while_publishing_comes_too_late_and_is_not_reported(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def slowly(paths: Paths, image: str, work: Path, identity: str, step: Step) -> None:
        begun.set()
        time.sleep(0.3)
        real(paths, image, work, identity, step)

    real = publish.publish
    monkeypatch.setattr(publish, "publish", slowly)
    task = asyncio.create_task(make(paths, source))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    task.cancel()
    generation = await task
    (image,), problems = store.read_images(paths)
    assert (image.current_generation, problems) == (generation, ())


KILLED = """
import asyncio, sys
from pathlib import Path
from ltspd.image import build
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths

class Said:
    def phase(self, name, share, size=0): print(name, flush=True)
    def done(self, fraction): pass

async def boot_part(root, release): return b"x"

async def main():
    paths = Paths(root=Path(sys.argv[1]))
    source = Source("tiny", SourceKind.DIRECTORY, str(paths.base_dir / "tiny"))
    wanted = build.Build(
        paths, source, progress=Said(), make_boot_part=boot_part, missing_modules=lambda root, release: ()
    )
    await build.build(wanted, await build.preflight(wanted))

asyncio.run(main())
"""


def busy(paths: Paths, image: str) -> bool:
    try:
        with store.locked(paths, image):
            return False
    except Busy:
        return True


@pytest.mark.parametrize("phase", ["scan", "squashfs", "copy", "initrd", "verify", "publish"])
async def test_a_killed_build_leaves_the_old_image_and_is_swept(
    paths: Paths, source: Source, phase: str
) -> None:
    old = await make(paths, source)
    before = untouched(paths)
    write(Path(source.path), "usr/new", phase)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(paths.root)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().strip() == phase:
            process.kill()
            break
    await process.communicate()
    # A tool that the build had started ends a moment after it, and holds the image's lock until then.
    async with asyncio.timeout(60):
        while busy(paths, old.image):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    (image,), problems = store.read_images(paths)
    assert problems == ()
    if image.current == old.id:
        # A program of the dead build may hold its lock for as long as it takes to end.
        async with asyncio.timeout(PATIENCE):
            while removal.sweep(paths) == () and untouched(paths) != before:  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.05)
        assert untouched(paths) == before
    else:
        # The kill came a moment too late: then the new one is whole.
        assert phase == "publish"


@pytest.fixture
def small_store(paths: Paths) -> Iterator[Path]:
    """Mount a store of 100 MiB and keep most of it full."""
    paths.images.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "small", str(paths.images)]
    subprocess.run(command, check=True)
    yield paths.images
    subprocess.run(["umount", str(paths.images)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_full_store_is_foreseen_and_survived(paths: Paths, source: Source, small_store: Path) -> None:
    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    write(Path(source.path), "usr/big", os.urandom(16 << 20))
    with pytest.raises(NoSpace, match=r"may need \d+ MiB in .*, but only \d+ MiB are free"):
        await build.preflight(order(paths, source))
    with pytest.raises(NoSpace):
        await build.build(wanted, ready)
    assert list(small_store.iterdir()) == []

    async def fill(_root: Path, _release: str) -> bytes:
        (small_store / "filler").write_bytes(bytes(99 << 20))
        return b"x" * (2 << 20)

    (Path(source.path) / "usr/big").unlink()
    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    with pytest.raises(NoSpace, match="ran full"):
        await build.build(replace(wanted, make_boot_part=fill), ready)
    assert [each.name for each in small_store.iterdir()] == ["filler"]
