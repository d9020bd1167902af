"""What happened → what a notification says, and what can be done from it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LOW, NORMAL, CRITICAL = 0, 1, 2  # urgencies of the Desktop Notifications Specification
# Notification windows show a few lines; the rest is for 'ltspctl status'.
MOST_PROBLEMS = 4


class Notice(NamedTuple):
    """``actions`` are pairs of a key and a label; ``topic`` names what a later notice takes the place of."""

    topic: str
    summary: str
    body: str
    urgency: int
    actions: tuple[tuple[str, str], ...] = ()


def finished(job: Mapping[str, Any]) -> Notice | None:
    """Return the notice about a final job; None if it needs none."""
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
    """Return the notice about problems that came; None if none came."""
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
