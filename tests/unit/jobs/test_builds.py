"""What starts by itself: rebuilds of stale images once a change, folds only when nothing else is done."""

import asyncio
import errno
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.api.image import BUILD_OPTIONS
from ltspd.clients.known import BOOTING
from ltspd.config.configuration import load
from ltspd.config.file import ConfFile
from ltspd.errors import InUse, InvalidOption, NoSpace
from ltspd.image import build
from ltspd.image import fold as room
from ltspd.image.context import ASKED
from ltspd.image.store import store
from ltspd.jobs import unattended as module
from ltspd.jobs.builds import Builds, in_use_of
from ltspd.jobs.engine import Jobs
from ltspd.jobs.trials import Trials
from ltspd.jobs.unattended import Unattended
from ltspd.model.client import ClientState
from ltspd.model.image import Generation, Image, ImageState, Layer, Source, SourceKind
from ltspd.model.job import JobState
from ltspd.paths import Paths
from tests.worlds.store import add

SOURCE = Source("x", SourceKind.DIRECTORY, "/nonexistent")
STALE = ImageState("x", "/nonexistent", "g1", stale_because="packages changed")


class World:
    """Builds below a temporary root, with nothing to build from."""

    def __init__(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        self.ended = asyncio.Event()
        self.jobs = Jobs(lambda: None, lambda _: self.ended.set())
        conf = ConfFile(paths)
        self.trials = Trials(paths, conf, self.jobs, self._act)
        self.builds = Builds(paths, conf, self.jobs, self._served, tuple, self.trials)
        self.unattended = Unattended(paths, self.jobs, self.builds, self._served)

    async def _act(self, _method: str, _unit: str) -> str:
        return "no systemd"

    async def _served(self) -> None:
        return None


def image(layers: int, identity: str = "g1") -> Image:
    of = tuple(Layer(f"{number:064x}", 100 if number == 0 else 1) for number in range(layers))
    return Image("x", (Generation(identity, "x", 0.0, "/", "x86_64", "6", of, 1, 1, 1, 1, ""),), identity)


async def test_a_stale_image_is_tried_once_for_each_state_of_its_packages(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = load({})
    for expected, digest in ((1, "a"), (1, "a"), (2, "b")):
        world.unattended.start_stale(config, (SOURCE,), (STALE,), {"x": digest})
        assert len(world.jobs.all) == expected
        while any(not job.state.final for job in world.jobs.all):
            world.ended.clear()
            await world.ended.wait()
        assert all(job.state is JobState.FAILED for job in world.jobs.all), "the source does not exist"
    await world.jobs.stop()


async def test_auto_rebuild_can_be_turned_off(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = load({"/etc/ltsp/ltsp.conf": "[server]\nAUTO_REBUILD=0\n"})
    world.unattended.start_stale(config, (SOURCE,), (STALE,), {"x": "a"})
    assert world.jobs.all == ()


async def test_options_are_what_ltsp_conf_and_the_caller_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    (tmp_path / "etc/ltsp").mkdir(parents=True)
    text = "[server]\nKEEP_GENERATIONS=5\nKEEP_DAYS=7\nKEEP_GRACE=1h\n[clients]\nCRONTAB_A=x\n"
    (tmp_path / "etc/ltsp/ltsp.conf").write_text(text)
    (tmp_path / "srv/ltsp/x/usr").mkdir(parents=True)
    seen: list[build.BuildOptions] = []

    async def preflight(wanted: build.Build) -> None:
        seen.append(wanted.options)
        raise NoSpace("full")

    monkeypatch.setattr(build, "preflight", preflight)
    for asked in ({}, {"background": True, "full": True, "kernel": ""}, {"kernel": "6.1.*"}):
        with pytest.raises(NoSpace):
            await world.builds.start("x", asked, 0)
    assert [(each.keep, each.keep_days, each.grace) for each in seen] == [(5, 7, 3600)] * 3
    assert any(each.setting.startswith("CRONTAB_A (/") for each in seen[0].wants)
    assert [(each.background, each.full, each.kernel) for each in seen] == [
        (False, False, None),
        (True, True, ""),
        (False, False, "6.1.*"),
    ]


def test_a_build_knows_each_option_that_a_caller_may_give() -> None:
    assert {each.name for each in BUILD_OPTIONS} == {*ASKED, "test"}


async def test_an_initrd_of_nobody_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "srv/ltsp/x/usr").mkdir(parents=True)
    with pytest.raises(InvalidOption, match="must be one of own, distribution, not 'dracut'"):
        await world.builds.start("x", {"initrd": "dracut"}, 0)
    assert world.jobs.all == ()


async def test_rebuilds_that_nobody_asked_for_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    names, go = ("x", "y", "z"), asyncio.Event()
    for name in names:
        (tmp_path / "srv/ltsp" / name / "usr").mkdir(parents=True)

    async def preflight(*_: object) -> None:
        await go.wait()
        raise NoSpace("full")

    monkeypatch.setattr(build, "preflight", preflight)
    sources = tuple(replace(SOURCE, name=name) for name in names)
    stale = tuple(replace(STALE, name=name) for name in names)
    world.unattended.start_stale(load({}), sources, stale, dict.fromkeys(names, "a"))
    await asyncio.sleep(0.01)
    states = [job.state for job in world.jobs.all]
    assert states == [JobState.RUNNING, JobState.QUEUED, JobState.QUEUED]
    go.set()
    while any(not job.state.final for job in world.jobs.all):
        world.ended.clear()
        await world.ended.wait()
    assert [job.state for job in world.jobs.all] == [JobState.FAILED] * 3
    await world.jobs.stop()


async def test_removing_asks_for_the_grace_of_ltsp_conf(tmp_path: Path) -> None:
    world = World(tmp_path)
    paths = Paths(tmp_path)
    old, new = add(paths, 1, "a"), add(paths, 2, "b")
    with pytest.raises(InUse, match=r"in 10 min \(KEEP_GRACE\)"):
        await world.builds.remove("lab", old)
    (tmp_path / "etc/ltsp").mkdir(parents=True)
    (tmp_path / "etc/ltsp/ltsp.conf").write_text("[server]\nKEEP_GRACE=0\n")
    await world.builds.remove("lab", old)
    assert [each.id for each in store.find(paths, "lab").generations] == [new]


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
    world.unattended.start_folds((image(3),))
    assert not world.jobs.all, "few layers are no reason"
    world.unattended.start_folds((image(12),))
    world.unattended.start_folds((image(12),))
    assert [job.kind for job in world.jobs.all] == ["fold"]
    go.set()
    await world.ended.wait()
    assert folded == ["x"]
    world.unattended.start_folds((image(12),))
    assert len(world.jobs.all) == 1, "a fold that changed nothing is not tried again"
    # Few layers, but since a test has told what clients read first, the base can have that in one piece.
    home = Paths(tmp_path).images / "x"
    home.mkdir(parents=True, exist_ok=True)
    (home / "reads").write_text("usr/bin/a\n")
    later = image(1, "g3")
    ordered = replace(later.generations[0], order="a")
    world.unattended.start_folds((replace(later, generations=(ordered,)),))
    assert len(world.jobs.all) == 1
    world.unattended.start_folds((later,))
    assert len(world.jobs.all) == 2
    await world.jobs.stop()


async def test_a_rebuild_that_found_no_room_is_a_problem_and_tried_again_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    config, free, full = load({}), 10 << 20, True
    monkeypatch.setattr(module, "_free", lambda _: free)

    async def preflight(*_: object) -> None:
        if full:
            raise NoSpace("Nothing is free. Make room.")
        raise OSError(errno.EIO, "Input/output error", "/srv")

    monkeypatch.setattr(build, "preflight", preflight)

    async def tried() -> int:
        world.ended.clear()
        before = len(world.jobs.all)
        world.unattended.start_stale(config, (SOURCE,), (STALE,), {"x": "a"})
        if len(world.jobs.all) > before:
            await world.ended.wait()
        return len(world.jobs.all) - before

    assert world.unattended.problems((STALE,)) == ()
    assert world.unattended.again is None
    assert await tried() == 1
    assert world.unattended.again is not None
    (problem,) = world.unattended.problems((STALE,))
    assert str(problem).startswith("image x: It is out of date")
    assert str(problem).endswith("Nothing is free. Make room.")
    assert await tried() == 0
    free += module.ROOM
    assert await tried() == 1
    assert await tried() == 0
    free, full = free + module.ROOM, False
    assert await tried() == 1
    (problem,) = world.unattended.problems((STALE,))
    assert "Input/output error" in str(problem)
    assert world.unattended.again is None, "no room was not the matter"
    assert world.unattended.problems(()) == (), "somebody built it by hand"
    assert world.unattended.problems((STALE,)) == ()
    await world.jobs.stop()


def test_a_generation_that_a_client_is_booting_is_in_use(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    first, second = add(paths, 1, "a"), add(paths, 2, "b")
    now = time.time_ns() // 1000
    booting = ClientState("52:54:00:00:00:01", image="lab", generation=first, stage="network", last_seen=now)
    assert in_use_of(paths, "lab", [booting]) == {first}
    assert in_use_of(paths, "lab", [replace(booting, generation=second, stage="root")]) == {second}
    assert in_use_of(paths, "lab", [replace(booting, last_seen=now - BOOTING)]) == frozenset()
    assert in_use_of(paths, "other", [booting]) == frozenset()
