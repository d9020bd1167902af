"""How many bytes of how many a job's phase has done: what the engine publishes, and how people see it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.cli import show
from ltspd.errors import ToolFailed
from ltspd.jobs.engine import PROGRESS_SECONDS, JobProgress, Jobs, Share
from ltspd.model.job import Job, JobState

# What is published: phase, progress, bytes done, bytes in all.
Said = list[tuple[str, float, int, int]]


def watched() -> tuple[JobProgress, Said]:
    said: Said = []
    return JobProgress(lambda *each: said.append(each)), said


_BYTES = st.integers(0, 2**62)
_STEPS = st.lists(st.tuples(st.booleans(), st.floats(-1.0, 3.0), _BYTES), max_size=40)


@given(_STEPS)
def test_bytes_never_exceed_the_total_nor_go_back_within_a_phase(
    steps: list[tuple[bool, float, int]],
) -> None:
    progress, said = watched()
    last, total = 0, 0
    for number, (new, fraction, size) in enumerate(steps):
        if new:
            progress.phase(f"phase {number}", 0.1, size)
            last, total = 0, size
        else:
            progress._said = 0.0  # the tool is slower than the limit on messages
            progress.done(fraction)
        _, _, done, whole = said[-1]
        assert whole == total
        assert last <= done <= whole
        last = done


def test_a_phase_begins_without_what_the_last_one_did() -> None:
    progress, said = watched()
    progress.phase("squashfs", 0.5, 3000)
    progress.done(1.0)
    progress.phase("digest", 0.25, 500)
    progress.phase("publish", 0.25)
    progress.done(1.0)
    assert [(name, done, total) for name, _, done, total in said] == [
        ("squashfs", 0, 3000),
        ("squashfs", 3000, 3000),
        ("digest", 0, 500),
        ("publish", 0, 0),
        ("publish", 0, 0),
    ]


def test_bytes_are_told_no_more_often_than_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress, said = watched()
    progress.phase("copy", 1.0, 10_000)
    for number in range(10_001):
        now += PROGRESS_SECONDS / 1000
        progress.done(number / 10_000)
    assert said[-1][2:] == (10_000, 10_000)
    assert len(said) == pytest.approx(12, abs=1)
    assert all(done == round(figure * 10_000) for _, figure, done, _ in said)


def test_a_part_of_a_job_has_bytes_of_its_own() -> None:
    progress, said = watched()
    part = Share(progress, 0.4)
    part.phase("squashfs", 0.5, 800)
    part.done(1.0)
    assert said[-1] == ("squashfs", 0.2, 800, 800)


async def test_a_job_has_the_bytes_of_its_phase_also_after_it_failed() -> None:
    changes: list[Job] = []
    ended = asyncio.Event()
    jobs = Jobs(lambda: changes.append(jobs.all[0]), lambda _: ended.set())

    async def work(progress: JobProgress) -> str:
        progress.phase("copy", 0.5, 100)
        await asyncio.to_thread(progress.done, 1.0)
        progress.phase("squashfs", 0.5, 4000)
        progress.done(0.25)
        raise ToolFailed("mksquashfs ended with status 1")

    job = jobs.start("build", "x", 0, work)
    await ended.wait()
    said = [(each.phase, each.bytes_done, each.bytes_total) for each in changes]
    assert list(dict.fromkeys(said)) == [
        ("", 0, 0),
        ("copy", 0, 100),
        ("copy", 100, 100),
        ("squashfs", 0, 4000),
        ("squashfs", 1000, 4000),
    ]
    failed = jobs.get(job.id)
    assert (failed.state, failed.bytes_done, failed.bytes_total) == (JobState.FAILED, 1000, 4000)
    await jobs.stop()


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 0, "copy"),
        (7, 900, "copy 7 of 900 B"),
        (1_234_567_890, 3_100_000_000, "copy 1.2 of 3.1 GB"),
        (83_400_000, 155_000_000, "copy 83 of 155 MB"),
        (0, 99_900, "copy 0.0 of 99.9 kB"),
        (5 * 10**15, 10**16, "copy 5000 of 10000 TB"),
    ],
)
def test_people_see_it_in_the_unit_of_the_whole(done: int, total: int, text: str) -> None:
    assert show.doing("copy", done, total) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_900, "99.9 kB"),
        (100_000, "100 kB"),
        (10**15, "1000 TB"),
    ],
)
def test_sizes(amount: int, text: str) -> None:
    assert show.size(amount) == text
