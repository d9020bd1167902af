"""``ltspctl job``: long work, such as builds."""

import argparse
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import done, lists, shows
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import object_path


def table(jobs: Sequence[server.Properties], coloured: bool) -> str:
    """Return a line for each job."""
    head = ("JOB", "KIND", "SUBJECT", "STATE", "PROGRESS", "STARTED", "PHASE OR ERROR")
    rows = [
        (
            job["Id"],
            job["Kind"],
            job["Subject"],
            job["State"],
            f"{job['Progress']:.0%}",
            show.moment(job["StartedAt"]),
            # The first line is the sentence; lines that a program or a console said may follow.
            job["Error"][1].partition("\n")[0]
            or show.doing(job["Phase"], job["BytesDone"], job["BytesTotal"]),
        )
        for job in jobs
    ]
    return show.table(head, rows, coloured) if rows else "No job."


def _watch(client: Client, options: argparse.Namespace) -> int:
    from ltspd.cli.follow import follow, report

    return report(follow(client, lambda: str(options.id)), options)


def _cancel(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Job", options.id)
    server.act(client, object_path("job", options.id), "Job", "Cancel")
    return done(options, f"Job {options.id} was asked to stop", Id=options.id)


def _names(found: server.Objects, _before: str) -> list[str]:
    return [each["Id"] for each in server.select(found, "Job")]


_ID = Argument(("id",), "a job", "ID", complete="job")

COMMANDS = (
    Command("list", "list running and recently finished jobs", lists("Job", table)),
    Command("show", "show a job", shows("Job"), (_ID,)),
    Command("watch", "follow a job to its end; fails if the job fails", _watch, (_ID,)),
    Command("cancel", "ask a job to stop", _cancel, (_ID,)),
)
NOUNS = (Noun("job", 70, "long work, such as builds", COMMANDS, names={"job": _names}),)
