"""What the listener tells the daemon: machines that it heard, and servers that answered them."""

import logging
import time
from collections.abc import Callable

from ltspd.clients import seen
from ltspd.dbus.caller import CallError, Unreachable
from ltspd.gateway.bus import BusConnection
from ltspd.gateway.delivery import Delivery
from ltspd.listener.book import Book
from ltspd.names import ROOT_PATH, interface

log = logging.getLogger("ltspd.listener")

# Machines in one call; the daemon takes no more than twice as many.
BATCH = 100
_LISTENER = interface("Listener")


class Handover:
    """Tells the daemon what it doesn't know yet; without news it does nothing."""

    def __init__(self, book: Book, now: Callable[[], int]) -> None:
        """Hand over what is in the book."""
        self._book, self._now = book, now
        self._bus = BusConnection(self._came)
        self._delivery = Delivery(self._bus, self._deliver)

    def news(self) -> None:
        """Say that the book has changed."""
        if self._book.news or self._book.servers_changed:
            self._delivery.wake()

    async def run(self) -> None:
        """Hand over whenever there is news; this never ends by itself."""
        await self._delivery.run()

    async def _deliver(self) -> bool:
        machines = self._book.batch(BATCH)
        servers, self._book.servers_changed = self._book.servers_changed, False
        try:
            if servers:
                heard = [seen.dump(seen.SERVER, each) for each in self._book.servers(self._now())]
                await self._bus.call(ROOT_PATH, _LISTENER, "ReportServers", "aa{sv}", [heard])
            if machines:
                told = [seen.dump(seen.MACHINE, each) for each in machines]
                await self._bus.call(ROOT_PATH, _LISTENER, "ReportMachines", "aa{sv}", [told])
        except (CallError, Unreachable) as error:
            self._book.untold(machines)
            self._book.servers_changed = self._book.servers_changed or servers
            log.warning("ltspd was not told of %d machine(s): %s", len(machines), error)
            return False
        self.news()
        return True

    def _came(self) -> None:
        self._book.all_untold()
        self._delivery.came()


def microseconds() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000
