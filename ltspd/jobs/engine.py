"""The job engine: long work as tasks that report progress and can be cancelled."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ltspd.errors import Busy, Cancelled, LtspError, NoSuchJob, Stopping, from_system
from ltspd.model.job import Job, JobState, Progress

log = logging.getLogger(__name__)

# Finished jobs stay visible: the last 20, for an hour at most.
LINGER_COUNT = 20
LINGER_SECONDS = 3600.0
# Progress is published at most this often, so that a fast tool can't flood the bus.
PROGRESS_SECONDS = 0.1

Work = Callable[["JobProgress"], Awaitable[str]]


def _now() -> int:
    return time.time_ns() // 1000


def _elapsed() -> float:
    """Return seconds of a clock that nobody can set; the time of day may jump by years."""
    return time.monotonic()


class JobProgress:
    """The Progress of one job: the phases' shares become one figure from 0 to 1 that never decreases.

    The bytes of a phase, its fraction of its size, never decrease either.
    """

    def __init__(self, publish: Callable[[str, float, int, int], None]) -> None:
        """Publish ``(phase, progress, bytes done, bytes in all)`` through the given function."""
        self._publish = publish
        self._name = ""
        self._start = 0.0
        self._share = 0.0
        self._said = 0.0
        self._most = 0.0
        self._bytes = 0
        self._size = 0

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase that takes about ``share`` (0 … 1) of the job, over ``size`` bytes if any."""
        self._start = min(1.0, self._start + self._share)
        self._name, self._share = name, share
        self._bytes, self._size = 0, size
        self._said = 0.0
        self._most = max(self._most, self._start)
        self._publish(name, self._most, 0, size)

    def done(self, fraction: float) -> None:
        """Say how much of the phase is done; calls within PROGRESS_SECONDS of the last one are dropped."""
        now = time.monotonic()
        if now - self._said >= PROGRESS_SECONDS or fraction >= 1.0:
            self._said = now
            fraction = min(1.0, max(0.0, fraction))
            whole = self._start + self._share * fraction
            # A tool may start counting again, but the figures must not decrease.
            self._most = max(self._most, min(1.0, whole))
            self._bytes = max(self._bytes, min(self._size, round(self._size * fraction)))
            self._publish(self._name, self._most, self._bytes, self._size)


class Share:
    """The Progress of a part of a job, which takes about ``share`` of its time."""

    def __init__(self, whole: Progress, share: float) -> None:
        """Tell ``whole`` how far the part is."""
        self._whole = whole
        self._share = share

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase that takes about ``share`` (0 … 1) of the part, over ``size`` bytes if any."""
        self._whole.phase(name, share * self._share, size)

    def done(self, fraction: float) -> None:
        """Say how much of the phase is done."""
        self._whole.done(fraction)


class Jobs:
    """All running and recently finished jobs. ``changed`` is called after each change."""

    def __init__(self, changed: Callable[[], None], finished: Callable[[Job], None]) -> None:
        """Call ``changed()`` on any change and ``finished(job)`` once when a job becomes final."""
        self._changed = changed
        self._finished = finished
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # When each ended, by _elapsed().
        self._ends: dict[str, float] = {}
        self._stopping = False
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def all(self) -> tuple[Job, ...]:
        """Every visible job, oldest first."""
        return tuple(self._jobs.values())

    def get(self, job_id: str) -> Job:
        """Return a job; raises NoSuchJob."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NoSuchJob(f"There is no job {job_id!r}; 'ltspctl job list' shows the known ones.") from None

    def running(self, kind: str, subject: str) -> Job | None:
        """Return the job of that kind on that subject which is not final yet."""
        matches = (job for job in self._jobs.values() if (job.kind, job.subject) == (kind, subject))
        return next((job for job in matches if not job.state.final), None)

    def start(
        self,
        kind: str,
        subject: str,
        started_by: int,
        work: Work,
        turn: asyncio.Lock | None = None,
        *,
        job_id: str = "",
    ) -> Job:
        """Start work in the background; raises Busy if the same work is under way, Stopping at shutdown.

        Jobs that share a ``turn`` run one at a time, in their order; the others are queued. With a ``job_id``
        of its own, it is work that may be under way several times.
        """
        if self._stopping:
            raise Stopping("The daemon is shutting down; try again once it is back.")
        if not job_id and (other := self.running(kind, subject)):
            raise Busy(
                f"{kind} of {subject} is already under way as job {other.id}; watch or cancel that one."
            )
        job = Job(
            id=job_id or secrets.token_hex(4),
            kind=kind,
            subject=subject,
            started_by=started_by,
            state=JobState.QUEUED if turn is not None else JobState.RUNNING,
            started_at=0 if turn is not None else _now(),
        )
        self._jobs[job.id] = job
        task = asyncio.create_task(self._queue(job.id, work, turn), name=f"job {job.id}")
        # A callback, because a task that is cancelled before its first step never runs at all.
        task.add_done_callback(lambda _: self._ended(job.id))
        self._tasks[job.id] = task
        self._changed()
        return job

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop, unless it is final. Raises NoSuchJob."""
        self.get(job_id)
        if task := self._tasks.get(job_id):
            task.cancel()

    async def stop(self) -> None:
        """Cancel everything and wait for it; no new job starts any more."""
        self._stopping = True
        if self._sweep is not None:
            self._sweep.cancel()
        for job_id in list(self._tasks):
            self.cancel(job_id)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _queue(self, job_id: str, work: Work, turn: asyncio.Lock | None) -> None:
        if turn is None:
            await self._run(job_id, work)
            return
        async with turn:
            self._update(job_id, state=JobState.RUNNING, started_at=_now())
            self._changed()
            await self._run(job_id, work)

    async def _run(self, job_id: str, work: Work) -> None:
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def publish(phase: str, progress: float, done: int, total: int) -> None:
            if threading.get_ident() != thread:
                # Copying and digesting report from their own threads.
                loop.call_soon_threadsafe(publish, phase, progress, done, total)
                return
            if self._jobs[job_id].state.final:
                return
            self._update(job_id, phase=phase, progress=progress, bytes_done=done, bytes_total=total)
            self._changed()

        job = self._jobs[job_id]
        tag = {"LTSPD_JOB": job_id}
        log.info("Job %s: %s of %s begins", job_id, job.kind, job.subject, extra=tag)
        try:
            result = await work(JobProgress(publish))
            self._update(job_id, state=JobState.DONE, progress=1.0, result=result)
        except LtspError as error:
            self._fail(job_id, JobState.FAILED, error)
        except OSError as error:
            why = f"The {job.kind} of {job.subject} failed"
            self._fail(job_id, JobState.FAILED, from_system(error, why))
        except Exception as error:
            # A job must not end the daemon. The journal gets the traceback, the caller does not.
            log.exception("Job %s: unforeseen error", job_id, extra=tag)
            why = f"{job.kind} of {job.subject} failed unforeseen ({type(error).__name__}); see the journal."
            self._fail(job_id, JobState.FAILED, LtspError(why))

    def _ended(self, job_id: str) -> None:
        del self._tasks[job_id]
        if not self._jobs[job_id].state.final:
            self._fail(job_id, JobState.CANCELLED, Cancelled("The job was cancelled; nothing was changed."))
        job = self._jobs[job_id]
        tag = {"LTSPD_JOB": job_id}
        log.info("Job %s: %s of %s: %s %s", job_id, job.kind, job.subject, job.state, job.error, extra=tag)
        self._expire()
        self._changed()
        self._finished(job)

    def _fail(self, job_id: str, state: JobState, error: LtspError) -> None:
        self._update(job_id, state=state, error_name=error.dbus_name, error=error.message)

    def _update(self, job_id: str, **changes: object) -> None:
        if "state" in changes and changes["state"] is not JobState.RUNNING:
            changes["finished_at"] = _now()
            self._ends[job_id] = _elapsed()
        self._jobs[job_id] = replace(self._jobs[job_id], **changes)  # type: ignore[arg-type]

    def _expire(self) -> None:
        """Forget old finished jobs, and set a timer for the next one."""
        # In the order of their ends, for a job that began first may end last.
        final = sorted(self._ends, key=lambda job_id: self._ends[job_id])
        oldest = _elapsed() - LINGER_SECONDS
        for job_id in {*final[:-LINGER_COUNT], *(each for each in final if self._ends[each] <= oldest)}:
            del self._jobs[job_id], self._ends[job_id]
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._ends and not self._stopping:
            wait = max(1.0, min(self._ends.values()) - oldest)
            self._sweep = asyncio.get_running_loop().call_later(wait, self._swept)

    def _swept(self) -> None:
        self._expire()
        self._changed()
