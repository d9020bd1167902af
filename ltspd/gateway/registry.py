"""The clients that reported: the last report of each, and which ones the daemon doesn't know yet. Pure."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ltspd.clients.fields import ClientStage
from ltspd.clients.stages import Reached, reached
from ltspd.gateway.reports import Report

# As many as the daemon keeps; beyond that, the client that was silent for longest is forgotten.
MOST = 2000
# Reports belong to one boot if the times at which it began differ by less than this. Seconds.
SAME_BOOT = 10.0
# A boot that has come to one of these does not come back to its root.
_BEYOND_ROOT = frozenset({ClientStage.LOGIN, ClientStage.FAILED})
# Answers that wait for the daemon; as many as clients, twice.
ANSWERS_MOST = 2 * MOST


@dataclass(frozen=True, slots=True)
class Entry:
    """A client's last report, its sender, its time (µs since the epoch), and when the boot began (s).

    ``reached`` are the stages of that boot: several may come before the daemon is told.
    """

    report: Report
    address: str
    seen: int
    began: float
    told: frozenset[str] = field(default=frozenset())
    reached: Reached = ()


class Registry:
    """All clients, in the order of their last reports."""

    def __init__(self) -> None:
        """Begin with no client."""
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._at: dict[str, str] = {}
        self._news: dict[str, None] = {}
        self._answers: list[Report] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def news(self) -> bool:
        """Whether there is anything to hand over."""
        return bool(self._news or self._answers)

    def take(self, report: Report, address: str, now: int) -> Mapping[str, float]:
        """Keep a report that came at ``now`` (µs since the epoch); return its marks that are new."""
        began = now / 1e6 - report.clock
        before = self._entries.get(report.mac)
        same = before is not None and abs(began - before.began) < SAME_BOOT
        told = before.told if before is not None and same else frozenset()
        marks = {name: when for name, when in report.marks.items() if name not in told}
        if before is not None and same:
            report = _together(before.report, report)
        stages = reached(before.reached if before is not None else (), report.stage, now)
        self._entries[report.mac] = Entry(report, address, now, began, told | marks.keys(), stages)
        self._entries.move_to_end(report.mac)
        self._move(report.mac, address, before.address if before is not None else "")
        self._news[report.mac] = None
        if len(self._entries) > MOST:
            self._forget(next(iter(self._entries)))
        return marks

    def answered(self, answer: Report) -> None:
        """Keep what a client said of an order; beyond the limit, the oldest answer is lost."""
        self._answers = [*self._answers[-(ANSWERS_MOST - 1) :], answer]

    def answers(self, most: int) -> list[Report]:
        """Return up to ``most`` answers for the daemon, and forget them."""
        found, self._answers = self._answers[:most], self._answers[most:]
        return found

    def unanswered(self, answers: Iterable[Report]) -> None:
        """Keep these after all, because the call failed."""
        self._answers = [*answers, *self._answers][-ANSWERS_MOST:]

    def _move(self, mac: str, address: str, before: str) -> None:
        """Note that an address now belongs to this client, and no longer to another one."""
        owner = self._at.get(address)
        if owner == mac:
            return
        if owner is not None:
            self._entries[owner] = replace(self._entries[owner], address="")
            self._news[owner] = None
        if self._at.get(before) == mac:
            del self._at[before]
        self._at[address] = mac

    def _forget(self, mac: str) -> None:
        entry = self._entries.pop(mac)
        self._news.pop(mac, None)
        if self._at.get(entry.address) == mac:
            del self._at[entry.address]

    def batch(self, most: int) -> list[Entry]:
        """Return up to ``most`` clients with news for the daemon, and count them as told."""
        macs = list(self._news)[:most]
        for mac in macs:
            del self._news[mac]
        return [self._entries[mac] for mac in macs]

    def untold(self, entries: Iterable[Entry]) -> None:
        """Count these as not told after all, because the call failed."""
        self._news.update((each.report.mac, None) for each in entries if each.report.mac in self._entries)

    def all_untold(self) -> None:
        """Count all clients as not told, because there is a new daemon."""
        self._news = dict.fromkeys(self._entries)

    def stages(self) -> Mapping[str, int]:
        """Return how many clients are at each stage."""
        return Counter(each.report.stage for each in self._entries.values())


def _together(before: Report, report: Report) -> Report:
    """Return what two reports of one boot say, of which ``report`` came later."""
    # The machine tells its key when it has made it, and not in every report.
    told = report if report.key else before
    if report.clock < before.clock:
        # A later report was faster, so only the marks and the key of this one can be new.
        report = before
    elif report.stage == ClientStage.ROOT and before.stage in _BEYOND_ROOT:
        # It tells the key, which may be made after the login is there.
        report = replace(report, stage=before.stage, error=before.error)
    return replace(
        report,
        key=told.key,
        kept=told.kept,
        card=report.card or before.card,
        initrd=report.initrd or before.initrd,
    )
