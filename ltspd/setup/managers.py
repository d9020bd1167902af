"""What the programs that have the server's cards have in common."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from ltspd.errors import ToolFailed
from ltspd.model.network import Link
from ltspd.observe import links
from ltspd.setup.request import Change

# How a step is undone: words that are written to the record before the step is taken.
Undo = Mapping[str, str]

# Seconds that a card may take until it has its address.
PATIENCE = 12.0
# Seconds between two looks at it.
_LOOK = 0.2


class Manager(Protocol):
    """A program that has cards."""

    name: str

    def difference(self, change: Change) -> list[str]:
        """Return what a change means in its own files, a line each."""

    def prepare(self, change: Change) -> Undo:
        """Return how the change will be undone, before anything is done."""

    def apply(self, change: Change, undo: Undo) -> None:
        """Make the change, and wait until the card has its address; raises ToolFailed."""

    def undo(self, undo: Undo) -> None:
        """Undo a change, also one that was made halfway or not at all; raises ToolFailed."""


def cards() -> tuple[Link, ...]:
    """Return all interfaces as they are now."""
    return asyncio.run(links.snapshot())


def has_address(change: Change) -> bool:
    """Return whether a card is as it should be now."""
    (now,) = [each for each in cards() if each.name == change.link.name] or [change.link]
    return change.address in now.addresses if change.address else bool(now.addresses)


def wait(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds; raises ToolFailed with ``what`` is missing."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise ToolFailed(f"{what} within {patience:.0f} s, so everything is as it was.")
        time.sleep(_LOOK)
