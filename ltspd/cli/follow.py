"""Following a job to its end by signals: a bar on a terminal, a line for each phase elsewhere."""

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import as_json
from ltspd.dbus.caller import CallError, Client, Unreachable
from ltspd.names import STEM, object_path

FINAL = frozenset({"done", "failed", "cancelled"})


def follow(client: Client, find: Callable[[], str]) -> server.Properties:
    """Subscribe, call ``find`` for the job's id, and return its properties once it is final.

    Subscribing comes first, so that no signal of a quick job is missed. Ctrl-C leaves the job running
    and prints how to follow it again (KeyboardInterrupt goes through). Raises Unreachable if the daemon ends.
    """
    server.watch_jobs(client)
    job_id = find()
    try:
        return _to_the_end(client, job_id)
    except KeyboardInterrupt:
        _say(
            f"\nJob {job_id} goes on. Follow it again: 'ltspctl job watch {job_id}'; "
            f"cancel it: 'ltspctl job cancel {job_id}'."
        )
        raise


def _to_the_end(client: Client, job_id: str) -> server.Properties:
    path = object_path("job", job_id)
    job: dict[str, Any] = dict(server.one(client, "Job", job_id))
    display = _bar() if sys.stderr.isatty() else _lines()
    try:
        while job["State"] not in FINAL:
            display(job)
            signal = client.signal()
            if signal.member == "NameOwnerChanged" and signal.body[0] == STEM and not signal.body[2]:
                raise Unreachable("ltspd ended while the job was running; see 'journalctl -u ltspd'.")
            if signal.member == "PropertiesChanged" and signal.path == path:
                job.update(signal.body[1])
            elif signal.member == "JobFinished" and signal.body[0] == path:
                job["State"] = signal.body[1]
        display(job)
    finally:
        if sys.stderr.isatty():
            _say("\r\033[K", end="")
    try:
        return server.one(client, "Job", job_id)
    except (server.NoSuch, CallError):
        return job  # the daemon has forgotten it; the signals told the rest


def _bar() -> Callable[[Mapping[str, Any]], None]:
    def display(job: Mapping[str, Any]) -> None:
        columns = shutil.get_terminal_size().columns
        doing = show.doing(job["Phase"] or job["State"], job["BytesDone"], job["BytesTotal"])
        _say("\r\033[K" + show.bar(job["Progress"], doing, columns), end="")

    return display


def _lines() -> Callable[[Mapping[str, Any]], None]:
    said = ""

    def display(job: Mapping[str, Any]) -> None:
        nonlocal said
        if job["Phase"] and job["Phase"] != said:
            said = job["Phase"]
            _say(f"{show.clean(job['Subject'])}: {show.clean(said)}")

    return display


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def verdict(job: Mapping[str, Any]) -> tuple[str, int]:
    """Return the sentence about a final job, and the exit status that belongs to it."""
    took = show.duration(max(0, job["FinishedAt"] - job["StartedAt"]))
    what = f"{job['Kind']} of {job['Subject']}"
    if job["State"] == "done":
        return show.clean(
            f"{what}: done in {took}" + (f", {job['Result']}" if job["Result"] else "")
        ), server.OK
    # A test that failed shows the end of its machine's console, line by line.
    return show.clean_lines(f"{what}: {job['State']} after {took}. {job['Error'][1]}".rstrip()), server.FAILED


def report(job: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Print how a job ended, and return the exit status."""
    sentence, status = verdict(job)
    if options.json:
        as_json(job)
    else:
        print(sentence, file=sys.stdout if status == server.OK else sys.stderr)
    return status
