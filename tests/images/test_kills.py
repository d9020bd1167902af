"""A kill at every step of whatever changes the store: the next start finds a bootable image and cleans up."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltspd.image.build import BuildOptions
from ltspd.image.context import Silent, Step
from ltspd.image.fold import fold
from ltspd.image.store import removal, store
from ltspd.model.image import Source
from ltspd.paths import Paths
from tests.worlds.generations import check_nothing_left, check_whole, make
from tests.worlds.image_builds import boot_part
from tests.worlds.image_trees import make_source, write

Act = Callable[[Paths, Source, Step], None]


def build_first(paths: Paths, source: Source, step: Step) -> None:
    asyncio.run(make(paths, source, step=step))


def build_changes(paths: Paths, source: Source, step: Step) -> None:
    """Build a layer of changes; the oldest generation with its layer goes."""
    asyncio.run(make(paths, source, BuildOptions(keep=1, grace=0), step=step))


def build_all(paths: Paths, source: Source, step: Step) -> None:
    """Build a new base while the source changes, so that a layer of that is made too."""

    async def changing(root: Path, release: str) -> bytes:
        write(root, "usr/meanwhile", os.urandom(8))
        return await boot_part(root, release)

    asyncio.run(
        make(paths, source, BuildOptions(keep=1, grace=0, full=True), make_boot_part=changing, step=step)
    )


def fold_layers(paths: Paths, source: Source, step: Step) -> None:
    asyncio.run(fold(paths, source.name, Silent(), step=step))


def revert(paths: Paths, source: Source, step: Step) -> None:
    store.revert(paths, source.name, step=step)


def remove(paths: Paths, source: Source, step: Step) -> None:
    (image,), _ = store.read_images(paths)
    removal.remove_generation(paths, source.name, image.generations[0].id, step=step)


@dataclass(frozen=True)
class World:
    """A source and a store of two generations, in which things are done again and again."""

    paths: Paths
    source: Source
    backup: Path

    def restore(self, empty: bool) -> None:
        if self.paths.images.exists():
            shutil.rmtree(self.paths.images)
        if not empty:
            shutil.copytree(self.backup, self.paths.images, symlinks=True)

    def run(self, act: Act, killed_at: int) -> tuple[list[str], bool]:
        """Do it in a child that is killed at a step; return the steps it got to, and whether it was."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                seen = 0

                def step(name: str) -> None:
                    nonlocal seen
                    os.write(writing, f"{name}\n".encode())
                    if seen == killed_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    seen += 1

                act(self.paths, self.source, step)
                os._exit(0)
            except BaseException as error:
                os.write(writing, f"ERROR {error!r}\n".encode())
            finally:
                os._exit(1)
        os.close(writing)
        with open(reading) as pipe:
            steps = pipe.read().split("\n")[:-1]
        _, status = os.waitpid(child, 0)
        return steps, os.WIFSIGNALED(status)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("kills")
    paths = Paths(root=directory)
    source = make_source(paths)
    asyncio.run(make(paths, source))
    write(Path(source.path), "usr/second", "2")
    asyncio.run(make(paths, source))
    write(Path(source.path), "usr/third", "3")
    shutil.copytree(paths.images, directory / "backup", symlinks=True)
    return World(paths, source, directory / "backup")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@pytest.mark.parametrize("act", [build_first, build_changes, build_all, fold_layers, revert, remove])
def test_a_kill_at_any_step_leaves_a_bootable_whole(world: World, act: Act) -> None:
    empty = act is build_first
    world.restore(empty)
    steps, killed = world.run(act, -1)
    assert not killed
    assert len(steps) >= 2
    assert not [step for step in steps if step.startswith("ERROR")]
    check_whole(world.paths, "tiny")
    check_nothing_left(world.paths, "tiny")
    for number, step in enumerate(steps):
        world.restore(empty)
        before = check_whole(world.paths, "tiny")
        reached, killed = world.run(act, number)
        assert (reached, killed) == (steps[: number + 1], True)
        # As the next start finds it, which sweeps, and the start after that one.
        for _ in range(2):
            after = check_whole(world.paths, "tiny")
            assert after is not None or before is None, step
            removal.sweep(world.paths)
        check_nothing_left(world.paths, "tiny")
        if act is not remove:
            # The new one is current once the rename is done, and not a step before.
            assert (after == before) == (number <= steps.index("link"))


def test_the_steps_are_those_of_publishing_and_more(world: World) -> None:
    world.restore(empty=False)
    steps, _ = world.run(build_all, -1)
    publishing = ["begin", "synced", "layers", "generation", "link", "published"]
    removing = ["remove", "removed", "cleared"]
    assert steps[:5] == ["work", "scanned", "packed", "copied", "sealed"]
    assert steps[5:12] == ["written", *publishing]
    assert [each for each in steps[12:] if each != "layer"] == removing * 2
