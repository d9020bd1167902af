"""The time of day steps by years, forward and back: jobs linger as long, generations keep their order.

The clock is faked where it is read: a machine's own can't be stepped for one process.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.image.build import BuildOptions
from ltspd.image.store import store
from ltspd.image.store.keeping import surplus
from ltspd.jobs import engine
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.model.image import Generation, Image, Source
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import make_source, write

YEAR = 365 * 86400.0
NOW = 1_800_000_000.0
# Back to the epoch (an empty battery), back by a day, forward by ten years.
STEPS = [-NOW + 5, -86400.0, 10 * YEAR]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what steps the time of day; it stands still otherwise."""
    clock = [NOW]

    def by(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("time.time", lambda: clock[0])
    monkeypatch.setattr(engine, "_now", lambda: int(clock[0] * 1e6))
    return by


async def nothing(_: JobProgress) -> str:
    return ""


@pytest.mark.parametrize("seconds", STEPS)
async def test_finished_jobs_linger_as_long(step: Callable[[float], None], seconds: float) -> None:
    ended = asyncio.Event()
    jobs = Jobs(lambda: None, lambda _: ended.set())
    for subject in ("before", "after"):
        ended.clear()
        jobs.start("build", subject, 0, nothing)
        await ended.wait()
        step(seconds)
    assert [job.subject for job in jobs.all] == ["before", "after"]
    assert jobs._sweep is not None
    left = jobs._sweep.when() - asyncio.get_running_loop().time()
    assert engine.LINGER_SECONDS - 60 < left <= engine.LINGER_SECONDS + 1
    await jobs.stop()


async def make(paths: Paths, source: Source) -> Generation:
    return (await run_build(order(paths, source, BuildOptions(keep=3)))).generation


@pytest.mark.parametrize("seconds", STEPS)
async def test_generations_stay_in_the_order_they_were_built_in(
    paths: Paths, step: Callable[[float], None], seconds: float
) -> None:
    source = make_source(paths)
    built = []
    for number in range(3):
        write(Path(source.path), "usr/share/mark", str(number))
        built.append((await make(paths, source)).id)
        step(seconds if number == 0 else -seconds)
    ((image,), problems) = store.read_images(paths)
    assert problems == ()
    assert [each.id for each in image.generations] == built
    assert image.current == built[-1]
    # Back is back, whatever the clock says.
    assert store.revert(paths, source.name).id == built[1]
    assert store.revert(paths, source.name).id == built[0]


def test_what_may_be_removed_is_decided_by_number_first() -> None:
    def generation(number: int) -> Generation:
        return Generation(f"g{number}", "x", NOW + number, "/", "x86_64", "6", (), 1, 1, 1, 1, "")

    image = Image("x", tuple(map(generation, range(5))), "g4")
    used = frozenset({"g0"})
    for now in (NOW + 10 * YEAR, NOW + 5, 0.0):
        gone = surplus(image, used, now=now, keep=2, days=1.0, grace=600.0)
        # A clock that is or was far ahead ends what counts by time; number, current and use count as ever.
        assert gone == (() if now == NOW + 5 else ("g1", "g2"))
