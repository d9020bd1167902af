"""Jobs: long work that is watched, cancelled and remembered, and how it tells its progress. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class JobState(StrEnum):
    """Life of a job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job will never change again."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of long work. ``progress`` is 0.0 … 1.0 over the whole job; times in µs, 0 = not yet.

    ``bytes_done`` of ``bytes_total`` are those of the phase; both are 0 if it is not about bytes.
    """

    id: str
    kind: str
    subject: str
    started_by: int
    state: JobState
    phase: str = ""
    progress: float = 0.0
    bytes_done: int = 0
    bytes_total: int = 0
    error_name: str = ""
    error: str = ""
    result: str = ""
    started_at: int = 0
    finished_at: int = 0


class Progress(Protocol):
    """What long work calls to say how far it is; a job implements it, tests may too."""

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase that takes about ``share`` (0 … 1) of the job's time, over ``size`` bytes if any."""

    def done(self, fraction: float) -> None:
        """Say how much of the current phase is done, 0.0 … 1.0."""
