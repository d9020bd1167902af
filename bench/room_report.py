"""The answer of bench/room: figures made from everything that was measured. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import Figure, failed, ratio
from bench.recording import Recorded
from bench.room_files import Outcome

THEIRS, HURRIED = "LTSP", "LTSP without what only waits"
# The bars: of the last login of so many clients, of the server's processors, and of the failures of so many.
LAST_MOST, LAST_OF, PROCESSORS_MOST, FAILURES_OF = 0.35, 100, 0.3, 250
# Of one client.
MEMORY_MOST, BYTES_MOST, ROOT_MOST, LOGIN_MOST = 0.7, 0.45, 0.15, 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """A room that booted: ``carried`` and ``memory`` are bytes, ``processors`` and ``simulator`` seconds.

    ``units`` are the seconds of processors by the server's services. ``idle`` is the share of the machine's
    processors that had nothing to do. ``resent`` is packets of TFTP.
    """

    root: str
    clients: int
    think: float
    outcomes: tuple[Outcome, ...]
    carried: int
    processors: float
    units: Mapping[str, float]
    memory: int
    resent: int
    simulator: float
    idle: float

    @property
    def logins(self) -> list[float]:
        """Seconds to each login prompt since the room was switched on."""
        return sorted(each.last for each in self.outcomes if each.last is not None)

    @property
    def failures(self) -> list[str]:
        """Why clients did not get there."""
        return [each.failed or "unknown" for each in self.outcomes if each.last is None]

    def words(self) -> str:
        """Return the run in one line."""
        logins, many = self.logins, self.clients
        came = (
            f"first {logins[0]:.1f} s, median {median(logins):.1f} s, last {logins[-1]:.1f} s"
            if logins
            else "nobody"
        )
        again = sum(each.again for each in self.outcomes)
        unheard = sum(each.unheard for each in self.outcomes)
        reasons = Counter(each.partition(": ")[2] for each in self.failures).most_common(2)
        lost = f" ({'; '.join(f'{count}: {reason}' for reason, count in reasons)})" if reasons else ""
        return (
            f"{self.root}, {many} clients: {came}; {len(self.failures)} failed{lost}; of the server a client "
            f"{self.carried / many / 1e6:.1f} MB, {self.processors / many:.3f} s of processors, "
            f"{self.memory / many / 1e6:.2f} MB of memory{self._spenders()}; asked again {self.resent} by "
            f"TFTP, {again} else; {unheard} reports lost; simulator {self.simulator:.0f} s, "
            f"processors idle {self.idle:.0%}"
        )

    def _spenders(self) -> str:
        """Return the units that took most of the processors, in milliseconds a client."""
        most = sorted(self.units.items(), key=lambda each: -each[1])[:4]
        told = ", ".join(f"{name} {seconds / self.clients * 1e3:.0f} ms" for name, seconds in most)
        return f" ({told})" if told else ""


def figures(
    runs: Sequence[Run], recorded: Mapping[str, Recorded], wrong: Mapping[str, str]
) -> Iterator[Figure]:
    """Yield every figure, those with a bar first."""
    by: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        by.setdefault((run.root, run.clients), []).append(run)
    ours = next((root for root in recorded if root not in (THEIRS, HURRIED)), "")
    most = max((count for root, count in by if root == THEIRS), default=0)
    yield from _one(recorded, ours)
    for (root, count), seen in by.items():
        if root in (THEIRS, HURRIED):
            continue
        if (HURRIED, count) in by:
            name = f"time to the last login, {count} clients, {root}, over {HURRIED}"
            yield _ratio(name, seen, by[HURRIED, count], None, " s", lambda run: run.logins[-1])
        beside = by.get((THEIRS, count), [])
        bar = LAST_MOST if count == LAST_OF and root == ours else None
        name = f"time to the last login, {count} clients, {root}, ltspd/LTSP"
        yield _ratio(name, seen, beside, bar, " s", lambda run: run.logins[-1])
        bar = PROCESSORS_MOST if count == most and root == ours else None
        name = f"server's processor seconds a client, {count} clients, {root}, ltspd/LTSP"
        yield _ratio(name, seen, beside, bar, " s", lambda run: run.processors / run.clients)
        bar = 0 if count == FAILURES_OF else None
        lost = [len(run.failures) for run in seen]
        theirs = " ".join(str(len(run.failures)) for run in beside)
        yield Figure(f"failures of {count} clients, {root}", max(lost), bar, digits=0, note=f"LTSP {theirs}")
    for seen in by.values():
        for run in seen:
            last = run.logins[-1] if run.logins else None
            yield Figure(f"{run.root}, {run.clients} clients, last login", last, None, " s", run.words(), 1)
    for name, reason in wrong.items():
        yield failed(name, reason)


def _one(recorded: Mapping[str, Recorded], ours: str) -> Iterator[Figure]:
    """Yield what the recorded clients tell, each alone with its server."""
    rows: tuple[tuple[str, str, float | None, str, Callable[[Recorded], float]], ...] = (
        ("PXE to login", THEIRS, None, " s", lambda each: each.boot.login),
        (
            "PXE to login, over LTSP without what only waits",
            HURRIED,
            LOGIN_MOST,
            " s",
            lambda each: each.boot.login,
        ),
        ("kernel start to root mounted", THEIRS, ROOT_MOST, " s", lambda each: each.boot.kernel_to_root),
        ("server bytes until login", THEIRS, BYTES_MOST, " MB", lambda each: each.boot.received / 1e6),
        ("memory used at the login prompt", THEIRS, MEMORY_MOST, " MB", lambda each: each.boot.memory / 1e6),
    )
    for name, beside, bar, unit, value in rows:
        if ours in recorded and beside in recorded:
            yield ratio(f"{name}, ltspd/LTSP", [value(recorded[ours])], [value(recorded[beside])], bar, unit)


def _ratio(
    name: str,
    ours: Sequence[Run],
    theirs: Sequence[Run],
    bar: float | None,
    unit: str,
    value: Callable[[Run], float],
) -> Figure:
    if not theirs or not all(run.logins for run in (*ours, *theirs)):
        return failed(name, "a side has no login", bar)
    return ratio(name, [value(run) for run in ours], [value(run) for run in theirs], bar, unit)
