"""The job engine: progress, cancel, one at a time, how long finished jobs are remembered, the end."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.errors import Busy, NoSpace, NoSuchJob, Stopping
from ltspd.jobs import engine
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.model.job import Job, JobState


class Watch:
    """Remembers what an engine says of its jobs."""

    def __init__(self) -> None:
        self.changes = 0
        self.finished: list[Job] = []
        self.more = asyncio.Event()
        self.jobs = Jobs(self._changed, self._finished)

    def _changed(self) -> None:
        self.changes += 1

    def _finished(self, job: Job) -> None:
        self.finished.append(job)
        self.more.set()

    async def until_finished(self, count: int) -> None:
        while len(self.finished) < count:
            self.more.clear()
            await self.more.wait()


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def nothing(_: JobProgress) -> str:
    return "result"


async def forever(_: JobProgress) -> str:
    await asyncio.Event().wait()
    return ""


async def test_jobs_that_take_turns_are_queued_and_run_in_their_order(watch: Watch) -> None:
    turn, go = asyncio.Lock(), asyncio.Event()
    order: list[str] = []

    def work(name: str) -> engine.Work:
        async def run(_: JobProgress) -> str:
            order.append(name)
            await go.wait()
            return name

        return run

    first, second, third = (watch.jobs.start("build", each, 0, work(each), turn).id for each in "abc")
    other = watch.jobs.start("build", "d", 1000, work("d")).id
    await asyncio.sleep(0.01)
    states = [watch.jobs.get(each).state for each in (first, second, third, other)]
    assert states == [JobState.RUNNING, JobState.QUEUED, JobState.QUEUED, JobState.RUNNING]
    assert order == ["a", "d"], "what shares no turn starts at once"
    waiting = watch.jobs.get(second)
    assert (waiting.started_at, waiting.finished_at) == (0, 0)
    with pytest.raises(Busy, match=second):
        watch.jobs.start("build", "b", 0, work("b"), turn)
    watch.jobs.cancel(second)
    await watch.until_finished(1)
    assert watch.jobs.get(second).state is JobState.CANCELLED
    go.set()
    await watch.until_finished(4)
    assert order == ["a", "d", "c"]
    last = watch.jobs.get(third)
    assert (last.state, last.result) == (JobState.DONE, "c")
    assert 0 < last.started_at <= last.finished_at
    await watch.jobs.stop()


# ---- progress --------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.tuples(st.booleans(), st.floats(-1, 2, allow_nan=False), st.floats(0, 1)),
    max_size=40,
)


@given(_STEPS)
def test_progress_never_goes_back_and_stays_between_0_and_1(steps: list[tuple[bool, float, float]]) -> None:
    said: list[float] = []
    progress = JobProgress(lambda _, figure, *__: said.append(figure))
    for number, (new, fraction, share) in enumerate(steps):
        if new:
            progress.phase(f"phase {number}", share)
        else:
            progress._said = 0.0  # the tool is slower than the limit on messages
            progress.done(fraction)
    assert said == sorted(said)
    assert all(0.0 <= figure <= 1.0 for figure in said)


def test_phases_share_the_whole() -> None:
    said: list[tuple[str, float]] = []
    progress = JobProgress(lambda name, figure, *_: said.append((name, figure)))
    progress.phase("scan", 0.25)
    progress.done(1.0)
    progress.phase("pack", 0.75)
    progress.done(1.0)
    assert said == [("scan", 0.0), ("scan", 0.25), ("pack", 0.25), ("pack", 1.0)]


def test_a_fast_tool_does_not_flood_but_its_end_is_told() -> None:
    said: list[float] = []
    progress = JobProgress(lambda _, figure, *__: said.append(figure))
    progress.phase("pack", 1.0)
    for number in range(10001):
        progress.done(number / 10000)
    assert said[-1] == 1.0
    assert len(said) < 20


# ---- life ------------------------------------------------------------------------------------------


async def test_a_job_runs_and_ends(watch: Watch) -> None:
    async def work(progress: JobProgress) -> str:
        progress.phase("half", 0.5)
        return "generation"

    job = watch.jobs.start("build", "x86_64", 1000, work)
    assert (job.state, job.kind, job.subject, job.started_by) == (JobState.RUNNING, "build", "x86_64", 1000)
    assert watch.jobs.all == (job,)
    await watch.until_finished(1)
    (done,) = watch.finished
    assert (done.state, done.progress, done.result, done.phase) == (JobState.DONE, 1.0, "generation", "half")
    assert 0 < done.started_at <= done.finished_at
    assert watch.jobs.get(job.id) == done
    assert watch.changes >= 3
    await watch.jobs.stop()


async def test_a_foreseeable_error_is_the_jobs_error(watch: Watch) -> None:
    async def work(_: JobProgress) -> str:
        raise NoSpace("The store is full.")

    watch.jobs.start("build", "x", 0, work)
    await watch.until_finished(1)
    (job,) = watch.finished
    assert (job.state, job.error) == (JobState.FAILED, "The store is full.")
    assert job.error_name == "org.ltsp.Server1.Error.NoSpace"
    await watch.jobs.stop()


async def test_an_unforeseen_error_tells_the_journal_not_the_caller(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(_: JobProgress) -> str:
        raise ZeroDivisionError("secret inside")

    job = watch.jobs.start("build", "x", 0, work)
    await watch.until_finished(1)
    assert watch.finished[0].state is JobState.FAILED
    assert "secret inside" not in watch.finished[0].error
    assert "journal" in watch.finished[0].error
    assert "secret inside" in caplog.text
    assert {record.__dict__["LTSPD_JOB"] for record in caplog.records} == {job.id}
    await watch.jobs.stop()


async def test_the_same_work_is_done_once_at_a_time(watch: Watch) -> None:
    job = watch.jobs.start("build", "x", 0, forever)
    with pytest.raises(Busy, match=job.id):
        watch.jobs.start("build", "x", 0, forever)
    watch.jobs.start("build", "y", 0, nothing)
    watch.jobs.start("check", "x", 0, nothing)
    await watch.until_finished(2)
    assert watch.jobs.running("build", "x") == job
    watch.jobs.cancel(job.id)
    await watch.until_finished(3)
    assert watch.jobs.running("build", "x") is None
    watch.jobs.start("build", "x", 0, nothing)
    await watch.jobs.stop()


async def test_cancel_reaches_the_work_and_cleans_up(watch: Watch) -> None:
    began, cleaned = asyncio.Event(), asyncio.Event()

    async def work(_: JobProgress) -> str:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()
        return ""

    job = watch.jobs.start("build", "x", 0, work)
    await began.wait()
    watch.jobs.cancel(job.id)
    await watch.until_finished(1)
    assert cleaned.is_set()
    assert watch.finished[0].state is JobState.CANCELLED
    assert watch.finished[0].error_name == "org.ltsp.Server1.Error.Cancelled"
    watch.jobs.cancel(job.id)
    assert watch.jobs.get(job.id).state is JobState.CANCELLED
    await watch.jobs.stop()


async def test_a_job_cancelled_before_its_first_step_ends_too(watch: Watch) -> None:
    job = watch.jobs.start("build", "x", 0, forever)
    watch.jobs.cancel(job.id)
    await watch.until_finished(1)
    assert watch.jobs.get(job.id).state is JobState.CANCELLED
    watch.jobs.start("build", "x", 0, nothing)
    await watch.jobs.stop()


async def test_work_that_ends_well_in_spite_of_a_cancel_is_done(watch: Watch) -> None:
    async def work(_: JobProgress) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "published already"
        return ""

    job = watch.jobs.start("build", "x", 0, work)
    await asyncio.sleep(0)
    watch.jobs.cancel(job.id)
    await watch.until_finished(1)
    assert (watch.finished[0].state, watch.finished[0].result) == (JobState.DONE, "published already")
    await watch.jobs.stop()


async def test_an_unknown_job(watch: Watch) -> None:
    for ask in (watch.jobs.get, watch.jobs.cancel):
        with pytest.raises(NoSuchJob, match=r"'00'.*job list"):
            ask("00")


async def test_stop_ends_everything_and_refuses_more(watch: Watch) -> None:
    for name in "abc":
        watch.jobs.start("build", name, 0, forever)
    await asyncio.sleep(0)
    watch.jobs.start("build", "late", 0, forever)
    await watch.jobs.stop()
    assert [job.state for job in watch.finished] == [JobState.CANCELLED] * 4
    with pytest.raises(Stopping):
        watch.jobs.start("build", "x", 0, nothing)


# ---- memory ----------------------------------------------------------------------------------------


class Clock:
    """The engine's clock and timer, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, wait: float, then: Callable[[], None]) -> "Timer":
        timer = (self.seconds + wait, then)
        self.timers.append(timer)
        return Timer(self, timer)

    def move(self, seconds: float) -> None:
        self.seconds += seconds
        for timer in [each for each in self.timers if each[0] <= self.seconds]:
            self.timers.remove(timer)
            timer[1]()


class Timer:
    """What the clock's call_later returns."""

    def __init__(self, clock: Clock, timer: tuple[float, Callable[[], None]]) -> None:
        self.clock, self.timer = clock, timer

    def cancel(self) -> None:
        if self.timer in self.clock.timers:
            self.clock.timers.remove(self.timer)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(engine, "_elapsed", lambda: clock.seconds)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", clock.call_later)
    return clock


async def _run_one(watch: Watch, subject: str) -> str:
    count = len(watch.finished)
    job = watch.jobs.start("build", subject, 0, nothing)
    await watch.until_finished(count + 1)
    return job.id


async def test_a_finished_job_lingers_an_hour_and_is_then_forgotten_by_itself(
    watch: Watch, clock: Clock
) -> None:
    one = await _run_one(watch, "a")
    clock.move(1800)
    two = await _run_one(watch, "b")
    clock.move(1799)
    assert [job.id for job in watch.jobs.all] == [one, two]
    changes = watch.changes
    clock.move(2)
    assert [job.id for job in watch.jobs.all] == [two]
    assert watch.changes > changes
    clock.move(1800)
    assert watch.jobs.all == ()
    assert clock.timers == []
    with pytest.raises(NoSuchJob):
        watch.jobs.get(one)


async def test_the_last_twenty_are_kept(watch: Watch, clock: Clock) -> None:
    ids = []
    for number in range(25):
        ids.append(await _run_one(watch, str(number)))
        clock.move(1)
    assert [job.id for job in watch.jobs.all] == ids[5:]


async def test_a_long_job_is_not_forgotten_at_the_moment_it_ends(watch: Watch, clock: Clock) -> None:
    go = asyncio.Event()

    async def work(_: JobProgress) -> str:
        await go.wait()
        return "long"

    long = watch.jobs.start("build", "long", 0, work)
    for number in range(20):
        await _run_one(watch, str(number))
        clock.move(1)
    go.set()
    await watch.until_finished(21)
    assert watch.finished[-1].id == long.id
    assert watch.jobs.get(long.id).result == "long"
    assert len(watch.jobs.all) == 20


async def test_a_running_job_is_never_forgotten(watch: Watch, clock: Clock) -> None:
    job = watch.jobs.start("build", "x", 0, forever)
    await _run_one(watch, "y")
    clock.move(7200)
    assert [each.id for each in watch.jobs.all] == [job.id]
    await watch.jobs.stop()
    assert clock.timers == []


async def test_progress_may_come_from_a_thread() -> None:
    changes: list[float] = []
    ended = asyncio.Event()
    jobs = Jobs(lambda: changes.append(jobs.all[0].progress), lambda _: ended.set())
    loop = asyncio.get_running_loop()

    async def work(progress: JobProgress) -> str:
        def copy() -> None:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            progress.done(1.0)

        progress.phase("copy", 1.0)
        await loop.run_in_executor(None, copy)
        await asyncio.sleep(0)
        return ""

    job = jobs.start("build", "x", 0, work)
    await ended.wait()
    assert jobs.get(job.id).state is JobState.DONE
    assert 1.0 in changes[:-1]
    await jobs.stop()
