"""``Job``: long work that is watched and cancelled."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Protocol

from ltspd.api import noun
from ltspd.api.noun import BUILD_IMAGE, CONFIGURE, CONTROL_CLIENT, Call, Method, Noun, Property
from ltspd.errors import NoSuchJob
from ltspd.model.job import Job
from ltspd.model.order import Verb
from ltspd.names import interface

# The action that starts a kind of job is also what its Cancel() needs; of any other kind it is CONFIGURE.
ACTIONS: Mapping[str, str] = {
    "build": BUILD_IMAGE,
    "test": BUILD_IMAGE,
    **dict.fromkeys(Verb, CONTROL_CLIENT),
}


class Jobs(Protocol):
    """What runs jobs."""

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop; raises NoSuchJob."""


class Core(noun.Core, Protocol):
    """What the methods of a job need."""

    @property
    def jobs(self) -> Jobs:
        """What runs jobs."""


async def _cancel(core: Core, job: Job, _call: Call) -> None:
    core.jobs.cancel(job.id)


def _details(job: Job) -> Mapping[str, str]:
    if job.kind not in tuple(Verb):
        return {"job": job.id, "image": job.subject}
    # Who may give orders to a room may withdraw them, too.
    one_room = job.subject.startswith("room ") and "," not in job.subject
    room = job.subject.removeprefix("room ") if one_room else ""
    return {"job": job.id, "client": job.subject, "room": room, "verb": job.kind}


NOUN: Noun[Job] = Noun(
    name=interface("Job"),
    objects=attrgetter("jobs"),
    key=attrgetter("id"),
    details=_details,
    gone=lambda what: NoSuchJob(f"There is no {what} any more; finished jobs are forgotten after a while."),
    methods=(
        Method(
            name="Cancel",
            run=_cancel,
            action=lambda job, _call: ACTIONS.get(job.kind, CONFIGURE),
            needs="the action that started the job",
            doc="Ask the job to stop; it has stopped when JobFinished comes. A finished job stays as it is.",
            errors=(NoSuchJob,),
        ),
    ),
    properties=(
        Property("Id", "s", attrgetter("id"), emits="const"),
        Property(
            "Kind",
            "s",
            attrgetter("kind"),
            "The kind of work: build, test, fold; of orders to clients their verb.",
            emits="const",
        ),
        Property("Subject", "s", attrgetter("subject"), "Name of what is worked on.", emits="const"),
        Property(
            "StartedBy",
            "u",
            attrgetter("started_by"),
            "User id of the caller who started it; 0 also for the daemon itself.",
            emits="const",
        ),
        Property(
            "State",
            "s",
            lambda job: str(job.state),
            "queued, running; finally done, failed or cancelled.",
        ),
        Property("Phase", "s", attrgetter("phase"), "What is being done now, in a few words."),
        Property(
            "Progress", "d", attrgetter("progress"), "0.0 to 1.0 over the whole job; it never decreases."
        ),
        Property(
            "BytesDone",
            "t",
            attrgetter("bytes_done"),
            "How many bytes of the current phase are done; never more than BytesTotal, and 0 again when a "
            "phase begins. While something is packed (squashfs), it is calculated: mksquashfs tells how many "
            "blocks are done, and this is their share of BytesTotal.",
        ),
        Property(
            "BytesTotal",
            "t",
            attrgetter("bytes_total"),
            "How many bytes the current phase works on; 0 if it does not work on bytes. When a whole source "
            "is packed: what its files take on the disk. When layers are folded: what the source of their "
            "generation took. When changes are copied or packed, a medium is copied, or a layer is named "
            "(digest): the sizes of those files.",
        ),
        Property(
            "Error",
            "(ss)",
            lambda job: (job.error_name, job.error),
            "D-Bus error name and sentence; both are empty unless it failed or was cancelled.",
        ),
        Property("Result", "s", attrgetter("result"), "What came out of it, such as the id of a generation."),
        Property("StartedAt", "t", attrgetter("started_at"), "When it began to run."),
        Property("FinishedAt", "t", attrgetter("finished_at"), "When it ended."),
    ),
)
