"""What starts by itself: rebuilds of stale images once a change, folds only when nothing else is done."""

import asyncio
from pathlib import Path

import pytest

from ltspd.builds import Builds
from ltspd.conf import ConfFile
from ltspd.config import load
from ltspd.image import fold as room
from ltspd.jobs import Jobs
from ltspd.model import Generation, Image, ImageState, JobState, Layer, Source, SourceKind
from ltspd.paths import Paths

SOURCE = Source("x", SourceKind.DIRECTORY, "/nonexistent")
STALE = ImageState("x", "/nonexistent", "g1", stale_because="packages changed")


class World:
    """Builds below a temporary root, with nothing to build from."""

    def __init__(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        self.ended = asyncio.Event()
        self.jobs = Jobs(lambda: None, lambda _: self.ended.set())
        self.builds = Builds(paths, ConfFile(paths), self.jobs, self._served)

    async def _served(self) -> None:
        return None


def image(layers: int, identity: str = "g1") -> Image:
    of = tuple(Layer(f"{number:064x}", 100 if number == 0 else 1) for number in range(layers))
    return Image("x", (Generation(identity, "x", 0.0, "/", "x86_64", "6", of, 1, 1, 1, 1, ""),), identity)


async def test_a_stale_image_is_tried_once_for_each_state_of_its_packages(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = load({})
    for expected, digest in ((1, "a"), (1, "a"), (2, "b")):
        world.builds.start_stale(config, (SOURCE,), (STALE,), {"x": digest})
        assert len(world.jobs.all) == expected
        while any(not job.state.final for job in world.jobs.all):
            world.ended.clear()
            await world.ended.wait()
        assert all(job.state is JobState.FAILED for job in world.jobs.all), "the source does not exist"
    await world.jobs.stop()


async def test_auto_rebuild_can_be_turned_off(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = load({"/etc/ltsp/ltsp.conf": "[server]\nAUTO_REBUILD=0\n"})
    world.builds.start_stale(config, (SOURCE,), (STALE,), {"x": "a"})
    assert world.jobs.all == ()


async def test_an_image_is_folded_once_and_only_when_nothing_else_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    folded: list[str] = []
    go = asyncio.Event()

    async def fold(_paths: Paths, name: str, _progress: object) -> Generation:
        await go.wait()
        folded.append(name)
        return image(1, "g2").generations[0]

    monkeypatch.setattr(room, "fold", fold)
    world.builds.start_folds((image(3),))
    assert not world.jobs.all, "few layers are no reason"
    world.builds.start_folds((image(12),))
    world.builds.start_folds((image(12),))
    assert [job.kind for job in world.jobs.all] == ["fold"]
    go.set()
    await world.ended.wait()
    assert folded == ["x"]
    world.builds.start_folds((image(12),))
    assert len(world.jobs.all) == 1, "a fold that changed nothing is not tried again"
    await world.jobs.stop()
