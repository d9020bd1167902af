"""Which machines get the initrd of their card alone: by what their boot program and their reports say. Pure.

Anybody on the network can speak as any machine here. A lie costs that machine bytes, or one boot more: who
does not come up with the drivers of one card gets all of them at its next try.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ltspd.clients.fields import ClientStage

# As many as there are clients; beyond that, the machine that was silent for longest begins anew.
MOST = 2000
# A machine that came up so often with all drivers alone keeps them, until its card is another one.
TRIES = 2
# Clocks of machines and of the server may differ so much in their rate. Seconds.
SLACK = 10.0
# A kernel starts this long after its initrd was fetched, at most; by TFTP that comes after all else. Seconds.
START = 300.0
_UP = frozenset({ClientStage.NETWORK, ClientStage.ROOT, ClientStage.LOGIN})

# Returns the drivers of a card in the initrd that is asked for; none, if it is not known there.
Known = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Given:
    """What a machine gets: the initrd with these drivers, or with all if none are named; and why."""

    drivers: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        """Return both in words for people."""
        return f"{' '.join(('only', *self.drivers)) if self.drivers else 'all'}: {self.why}"


@dataclass(slots=True)
class _Machine:
    """A machine at its last boot, and before.

    It fetched its initrd ``at`` a time in seconds, when the menu called its card ``menu``, and was ``given``
    one for ``card``; ``open``: it has not reported since. It ``reported`` a card when the menu called that
    ``then``. The drivers for ``failed`` did not bring it up, so many ``times``; ``waits``: nothing has yet.
    """

    menu: str = ""
    at: float = 0.0
    given: Given | None = None
    card: str = ""
    open: bool = False
    reported: str = ""
    then: str = ""
    failed: str = ""
    times: int = 0
    waits: bool = False


class Fitting:
    """All machines, in the order in which they were last heard of."""

    def __init__(self) -> None:
        """Begin with no machine."""
        self._machines: OrderedDict[str, _Machine] = OrderedDict()

    def __len__(self) -> int:
        return len(self._machines)

    def give(self, mac: str, menu: str, known: Known, now: float) -> Given:
        """Decide what a machine gets that fetches its initrd; ``now`` is in seconds.

        ``menu`` is the PCI id that its boot program tells; empty: none.
        """
        machine = self._of(mac)
        if machine.open:
            machine.times = machine.times + 1 if machine.failed == machine.card else 1
            machine.failed, machine.waits = machine.card, True
        card, drivers, how = menu, known(menu) if menu else (), "as its boot program says"
        if not drivers and machine.reported and machine.then == menu:
            card, drivers, how = machine.reported, known(machine.reported), "as it reported"
        if machine.waits:
            given = Given((), "it did not come up with the drivers of one card.")
        elif drivers and machine.failed == card and machine.times >= TRIES:
            given = Given((), f"it failed {machine.times} times with the drivers of {card} alone.")
        elif drivers:
            given = Given(drivers, f"its card is {card}, {how}.")
        elif card:
            given = Given((), f"no driver of its image is known to be for {card}.")
        else:
            given = Given((), "nobody knows its card yet.")
        machine.menu, machine.at, machine.given = menu, now, given
        machine.card, machine.open = card, bool(given.drivers)
        return given

    def report(self, mac: str, stage: str, clock: float, card: str, now: float) -> str:
        """Take a report; return what the machine was given for this boot, if that is known.

        ``clock`` is how many seconds ago its kernel started.
        """
        machine = self._of(mac)
        since = now - clock - machine.at
        if machine.given is not None and since < -SLACK:
            # Its boot before: it is being shut down, or somebody else has fetched an initrd in its name.
            return ""
        if since > START:
            # It was not asked for what this boot got, or that was before we were started.
            machine.given, machine.menu = None, ""
        if stage not in _UP:
            return str(machine.given or "")
        if machine.open:
            machine.failed, machine.times = "", 0
        machine.open = machine.waits = False
        if card:
            machine.reported, machine.then = card, machine.menu
        return str(machine.given or "")

    def _of(self, mac: str) -> _Machine:
        machine = self._machines.setdefault(mac, _Machine())
        self._machines.move_to_end(mac)
        if len(self._machines) > MOST:
            self._machines.popitem(last=False)
        return machine
