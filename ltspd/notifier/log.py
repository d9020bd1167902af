"""Showing a job's log: the journal's lines about it in whatever the desktop opens text with."""

import os
import re
import shutil
import subprocess
from pathlib import Path


class CantShow(Exception):
    """The log could not be written or opened; the text says why."""


def show(job_id: str) -> None:
    """Write the job's log below the user's runtime directory and open it there; raises CantShow."""
    try:
        _show(job_id)
    except (OSError, subprocess.SubprocessError) as error:
        raise CantShow(str(error)) from error


def _show(job_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]+", job_id):
        return  # it comes back from the notification server, and becomes a file name
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    path = folder / f"ltspd-job-{job_id}.txt"
    words = ["journalctl", "--no-pager", "--quiet", "--output=short", f"LTSPD_JOB={job_id}"]
    with path.open("w") as out:
        out.write(f"journalctl LTSPD_JOB={job_id}\n\n")
        out.flush()
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=30)
    if opener := shutil.which("xdg-open"):
        subprocess.run([opener, str(path)], stdin=subprocess.DEVNULL, check=False, timeout=30)
