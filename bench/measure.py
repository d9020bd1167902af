"""The measuring: peer and product in turns, so that other work on the machine meets both."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bench import peer, product
from bench.boot import Boot
from bench.timed import Build
from tests.lab.server import Server

_T = TypeVar("_T")
# Errors of the lab and of the servers' commands. Any other error is our mistake and ends the bench.
TROUBLE = (RuntimeError, OSError, TimeoutError, KeyError)


@dataclass(slots=True)
class Seen:
    """Everything measured; lists are empty where every attempt failed, and ``wrong`` says why."""

    theirs: list[Boot] = field(default_factory=list)
    hurried: list[Boot] = field(default_factory=list)
    ours: list[Boot] = field(default_factory=list)
    untested: list[Boot] = field(default_factory=list)
    transports: dict[str, list[Boot]] = field(default_factory=dict)
    their_builds: list[Build] = field(default_factory=list)
    our_builds: list[Build] = field(default_factory=list)
    resident: list[dict[str, float]] = field(default_factory=list)
    idle: list[tuple[int, int]] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)

    def take(self, into: list[_T], name: str, measure: Callable[[], _T]) -> None:
        """Measure once and keep the answer, or the reason why there is none."""
        try:
            value = measure()
        except TROUBLE as error:
            self.wrong[name] = f"{type(error).__name__}: {error}"
            say(f"{name}: {self.wrong[name]}")
        else:
            into.append(value)
            say(f"{name}: {value.words() if isinstance(value, Boot | Build) else value}")


def measure(theirs: Server, ours: Server, runs: int, tree: str) -> Seen:
    """Build and boot ``runs`` times each, then watch the product's daemon at rest.

    ``tree`` is the source of both images.
    """
    seen = Seen()
    for _ in range(runs):
        seen.take(seen.their_builds, "LTSP's image", lambda: peer.build(theirs, tree))
        seen.take(seen.our_builds, "ltspd's image", lambda: product.build(ours, tree))
    peer.serve(theirs)
    seen.take(seen.untested, "ltspd's boot, never tested", lambda: product.boot_default(ours))
    try:
        product.order(ours)
    except TROUBLE as error:
        seen.wrong["ltspd's boot"] = f"the image's test: {error}"
        return seen
    say("ltspd's image was tested, and has its order")
    for _ in range(runs):
        seen.take(seen.theirs, "LTSP's boot", lambda: peer.boot_as_it_is(theirs))
        seen.take(seen.ours, "ltspd's boot", lambda: product.boot_default(ours))
    seen.take(seen.hurried, "LTSP's boot without waits", lambda: peer.boot_hurried(theirs))
    _transports(seen, ours, runs)
    seen.take(seen.resident, "resident size", lambda: product.resident(ours))
    seen.take(seen.idle, "idle wake-ups", lambda: product.idle_wake_ups(ours))
    return seen


def _transports(seen: Seen, ours: Server, runs: int) -> None:
    """Boot by each transport that isn't the default, which has been measured already."""
    default = seen.ours[0].transport if seen.ours else ""
    seen.transports = {each: seen.ours if each == default else [] for each in product.TRANSPORTS}
    for _ in range(runs):
        for transport, boots in seen.transports.items():
            if transport != default:
                seen.take(boots, f"ltspd by {transport}", lambda each=transport: product.boot_by(ours, each))  # type: ignore[misc]


def say(text: str) -> None:
    """Tell progress; the answer alone goes to standard output."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
