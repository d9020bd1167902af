"""What a build may hold and how fast it lets go: the packages' lock, the disk, the person's patience."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.errors import Busy, NoSpace
from ltspd.image import build
from ltspd.image.build import BuildOptions
from ltspd.image.context import Silent
from ltspd.image.source import dpkg
from ltspd.image.store import removal
from ltspd.model.image import Source
from ltspd.paths import Paths
from tests.patience import processor_seconds
from tests.worlds.generations import check_nothing_left, check_whole, make
from tests.worlds.image_builds import boot_part, order
from tests.worlds.image_trees import write


async def test_packages_are_locked_for_looks_and_copies_only(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    held: dict[str, bool] = {}

    def note(step: str) -> None:
        held[step] = bool(dpkg.lock_holder(root))

    async def changing(root: Path, release: str) -> bytes:
        held["boot part"] = bool(dpkg.lock_holder(root))
        write(root, "usr/meanwhile", "x")
        return await boot_part(root, release)

    await make(paths, source, make_boot_part=changing, step=note)
    assert held["boot part"] is held["packed"] is held["sealed"] is held["published"] is False
    held.clear()
    write(root, "usr/new", "x")
    await make(paths, source, step=note)
    assert held["scanned"] is held["copied"] is True
    assert held["packed"] is held["written"] is held["published"] is False


async def test_a_build_waits_for_an_upgrade_that_began_while_it_packed(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    over = asyncio.Event()

    async def upgrade() -> None:
        async with dpkg.package_lock(root, 0):
            write(root, "usr/half", "half")
            await asyncio.sleep(0.5)
            write(root, "usr/whole", "whole")
        over.set()

    tasks = []

    async def during(root: Path, release: str) -> bytes:
        tasks.append(asyncio.create_task(upgrade()))
        return await boot_part(root, release)

    built = await make(paths, source, BuildOptions(lock_timeout=5), make_boot_part=during)
    assert over.is_set()
    await tasks[0]
    assert len(built.generation.layers) == 2
    assert not (await make(paths, source)).changed


async def test_a_held_lock_leaves_the_current_generation(paths: Paths, source: Source) -> None:
    before = (await make(paths, source)).generation
    write(Path(source.path), "usr/new")
    wanted = order(paths, source, BuildOptions(lock_timeout=0.1))
    ready = await build.preflight(wanted)
    async with dpkg.package_lock(Path(source.path), 0):
        with pytest.raises(Busy, match="being worked on"):
            await build.build(wanted, ready)
    assert check_whole(paths, "tiny") == before
    check_nothing_left(paths, "tiny")


class CancelAt(Silent):
    """Cancels the task that is being watched when a phase begins."""

    def __init__(self, phase: str, after: float) -> None:
        self.when, self.after = phase, after
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[object] | None = None
        self.asked = 0.0

    def phase(self, name: str, share: float, size: int = 0) -> None:
        if name == self.when:
            # Phases begin in threads, too.
            self.loop.call_soon_threadsafe(self.loop.call_later, self.after, self._cancel)

    def _cancel(self) -> None:
        assert self.task is not None
        self.asked = processor_seconds()
        self.task.cancel()


@pytest.mark.parametrize(
    ("phase", "after"), [("scan", 0.0), ("scan", 0.05), ("copy", 0.0), ("copy", 0.05), ("squashfs", 0.0)]
)
async def test_a_layer_of_changes_is_cancelled_soon(
    paths: Paths, source: Source, phase: str, after: float
) -> None:
    root = Path(source.path)
    write(root, "usr/much", os.urandom(20 << 20))
    before = (await make(paths, source, BuildOptions(level=1))).generation
    write(root, "usr/more", os.urandom(9 << 20))
    wanted = order(paths, source, BuildOptions(level=1))
    ready = await build.preflight(wanted)
    watch = CancelAt(phase, after)
    watch.task = asyncio.create_task(build.build(replace(wanted, progress=watch), ready))
    with pytest.raises(asyncio.CancelledError):
        await watch.task
    assert processor_seconds() - watch.asked < 2
    assert check_whole(paths, "tiny") == before
    check_nothing_left(paths, "tiny")
    assert not dpkg.lock_holder(root)


@pytest.mark.parametrize(
    ("phase", "after"),
    [("scan", 0.0), ("squashfs", 0.05), ("digest", 0.0), ("copy", 0.0), ("initrd", 0.0), ("verify", 0.0)],
)
@pytest.mark.parametrize("background", [False, True])
async def test_a_full_build_is_cancelled_soon_in_every_phase(
    paths: Paths, source: Source, phase: str, after: float, background: bool
) -> None:
    write(Path(source.path), "usr/much", os.urandom(20 << 20))
    options = BuildOptions(level=1, background=background)
    wanted = order(paths, source, options)
    ready = await build.preflight(wanted)
    watch = CancelAt(phase, after)
    watch.task = asyncio.create_task(build.build(replace(wanted, progress=watch), ready))
    with pytest.raises(asyncio.CancelledError):
        await watch.task
    assert processor_seconds() - watch.asked < 2
    assert not (paths.images / "tiny").exists()
    assert not dpkg.lock_holder(Path(source.path))


@pytest.fixture
def small_store(paths: Paths) -> Iterator[Path]:
    """Mount a store that has room for little more than the margin."""
    paths.images.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=140m", "small", str(paths.images)], check=True)
    yield paths.images
    subprocess.run(["umount", str(paths.images)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@pytest.mark.parametrize("step", ["scanned", "copied", "packed"])
async def test_a_disk_that_runs_full_keeps_the_current_generation(
    paths: Paths, source: Source, small_store: Path, step: str
) -> None:
    root = Path(source.path)
    write(root, "usr/much", os.urandom(20 << 20))
    before = (await make(paths, source)).generation
    write(root, "usr/more", os.urandom(4 << 20))
    filler = small_store / "filler"

    def fill(name: str) -> None:
        if name == step:
            free = os.statvfs(small_store)
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 4096))

    with pytest.raises(NoSpace):
        await make(paths, source, step=fill)
    filler.unlink()
    assert check_whole(paths, "tiny") == before
    check_nothing_left(paths, "tiny")
    assert removal.sweep(paths) == ()
    assert (await make(paths, source)).changed
