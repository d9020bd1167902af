"""The answer: figures made from everything that was measured. Pure."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TypeVar

from bench.boot import Boot
from bench.figures import Figure, failed, ratio, told
from bench.measure import Seen
from bench.timed import Build

_T = TypeVar("_T")
_MB = 1e6


def figures(seen: Seen, bytes_most: float) -> Iterator[Figure]:
    """Yield every figure, the one that matters most first; ``bytes_most`` is the bar of a boot's bytes."""
    yield _boots(seen, "PXE to login", 0.35, " s", lambda each: each.login)
    yield _hurried(seen)
    yield _boots(seen, "server bytes until login", bytes_most, " MB", lambda each: each.received / _MB)
    yield _boots(seen, "kernel start to root mounted", 0.15, " s", lambda each: each.kernel_to_root)
    yield _boots(seen, "memory used at the login prompt", 0.7, " MB", lambda each: each.memory / _MB)
    yield _untested(seen)
    yield _builds(seen, "full image build", 0.08, " s", lambda each: each.wall)
    yield _builds(seen, "processor time of a full image build", None, " s", lambda each: each.cpu)
    yield _builds(seen, "image size", 1.1, " MB", lambda each: each.size / _MB)
    yield _resident(seen)
    yield _idle(seen)
    for transport, boots in seen.transports.items():
        yield _transport(seen, transport, boots)


def _boots(seen: Seen, name: str, bar: float | None, unit: str, value: Callable[[Boot], float]) -> Figure:
    reason = seen.wrong.get("ltspd's boot", "") if not seen.ours else seen.wrong.get("LTSP's boot", "")
    return _ratio(name, seen.ours, seen.theirs, bar, unit, value, reason)


def _builds(seen: Seen, name: str, bar: float | None, unit: str, value: Callable[[Build], float]) -> Figure:
    reason = (
        seen.wrong.get("ltspd's image", "") if not seen.our_builds else seen.wrong.get("LTSP's image", "")
    )
    return _ratio(name, seen.our_builds, seen.their_builds, bar, unit, value, reason)


def _ratio(
    name: str,
    ours: Sequence[_T],
    theirs: Sequence[_T],
    bar: float | None,
    unit: str,
    value: Callable[[_T], float],
    reason: str,
) -> Figure:
    if not ours or not theirs:
        return failed(f"{name}, ltspd/LTSP", reason, bar)
    return ratio(
        f"{name}, ltspd/LTSP", [value(each) for each in ours], [value(each) for each in theirs], bar, unit
    )


def _hurried(seen: Seen) -> Figure:
    # Its menu is hidden (it waits 5 s), and a router is advertised (iPXE waits 16 s for one).
    name = "PXE to login, over LTSP without what only waits"
    reason = seen.wrong.get("LTSP's boot without waits" if seen.ours else "ltspd's boot", "")
    return _ratio(name, seen.ours, seen.hurried, 0.25, " s", lambda each: each.login, reason)


def _untested(seen: Seen) -> Figure:
    name = "PXE to login of an image that was never tested"
    if not seen.untested:
        return failed(name, seen.wrong.get("ltspd's boot, never tested", ""))
    note = "; ".join(each.words() for each in seen.untested)
    return told(name, [each.login for each in seen.untested], " s", note)


def _resident(seen: Seen) -> Figure:
    name = "resident size of daemon and gateway"
    if not seen.resident:
        return failed(name, seen.wrong.get("resident size", ""))
    sizes = seen.resident[0]
    note = ", ".join(f"{unit.removesuffix('.service')} {size:.1f} MB" for unit, size in sizes.items())
    return told(name, [sum(sizes.values())], " MB", note)


def _idle(seen: Seen) -> Figure:
    name = "idle wake-ups of the daemon in a minute, watchdog aside"
    if not seen.idle:
        return failed(name, seen.wrong.get("idle wake-ups", ""), 0)
    switches, pings = seen.idle[0]
    note = f"{switches} in all, {pings} of them the watchdog's due"
    return Figure(name, max(0, switches - pings), 0, note=note, digits=0)


def _transport(seen: Seen, transport: str, boots: Sequence[Boot]) -> Figure:
    name = f"PXE to login by {transport}"
    if not boots:
        return failed(name, seen.wrong.get(f"ltspd by {transport}", ""))
    chosen = "the default; " if boots is seen.ours else ""
    root = median(each.kernel_to_root for each in boots)
    received = median(each.received for each in boots) / _MB
    note = f"{chosen}kernel start to root mounted {root:.1f} s, {received:.1f} MB from the server"
    return told(name, [each.login for each in boots], " s", note)
