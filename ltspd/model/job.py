"""Jobs: long work that can be watched and cancelled, and the progress it reports. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class JobState(StrEnum):
    """The states of a job; the last three are final."""

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
    """A piece of long work. ``progress`` is 0.0 … 1.0 over the whole job; times are in µs, 0 = not yet.

    ``bytes_done`` and ``bytes_total`` are the phase's; both are 0 if the phase does not count bytes.
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
    """What long work calls to report its progress; jobs implement it, and tests."""

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase that takes about ``share`` (0 … 1) of the job's time, over ``size`` bytes if any."""

    def done(self, fraction: float) -> None:
        """Say how much of the current phase is done, 0.0 … 1.0."""
