"""An event → the text of its notification and the actions it offers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LOW, NORMAL, CRITICAL = 0, 1, 2  # urgencies of the Desktop Notifications Specification
# A notification window shows only a few lines; 'ltspctl status' shows the rest.
MOST_PROBLEMS = 4


class Notice(NamedTuple):
    """``actions`` are pairs of a key and a label; a later notice of the same ``topic`` replaces this."""

    topic: str
    summary: str
    body: str
    urgency: int
    actions: tuple[tuple[str, str], ...] = ()


def finished(job: Mapping[str, Any]) -> Notice | None:
    """Return the notice about a job that ended; None for jobs that are not reported."""
    subject = job["Subject"]
    log = (f"log {job['Id']}", "Show log")
    if job["Kind"] != "build":
        return None
    if job["State"] == "failed":
        why = job["Error"][1].partition("\n")[0]
        return Notice(f"image {subject}", f"The image {subject} could not be built", why, CRITICAL, (log,))
    if job["State"] == "done":
        actions = (log, (f"revert {subject}", "Back to the one before"))
        return Notice(
            f"image {subject}", f"The image {subject} is built", "New clients boot it.", NORMAL, actions
        )
    return None


def attention(before: Sequence[str], now: Sequence[str]) -> Notice | None:
    """Return the notice about new problems; None if there are none."""
    came = [each for each in now if each not in before]
    if not came:
        return None
    shown = came[:MOST_PROBLEMS]
    if more := len(came) - len(shown):
        shown.append(f"… and {more} more: ltspctl status")
    return Notice("problems", "The network boot server needs attention", "\n".join(shown), NORMAL)


def markup(text: str) -> str:
    """Escape text for the body, where notification servers may read markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
