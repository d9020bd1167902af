"""Addresses that are gone for a moment, which still count. Pure, but for the log."""

import logging
from collections.abc import Iterable

from ltspd.model.network import Link

log = logging.getLogger(__name__)

# Seconds that a link's last address counts after it is gone. A DHCP client that starts anew needs some of
# them, and so does a person who plugs a cable in again.
GRACE = 20.0


class Grace:
    """Lets the addresses of a link count for a while when it has lost all of them.

    What is bound to them goes on when they are back. To stop it and to start it again would cost running
    clients much more. ``again`` is in how many seconds the next one counts no longer; None: there is none.
    """

    def __init__(self) -> None:
        """Know of no link; ``keep`` tells of all."""
        self._before: dict[int, Link] = {}
        self._ends: dict[int, float] = {}
        self.again: float | None = None

    def keep(self, links: Iterable[Link], now: float) -> tuple[Link, ...]:
        """Return the links as they count; ``now`` is in seconds of a clock that never goes back."""
        found = {each.index: self._counting(each, now) for each in links}
        self._ends = {index: end for index, end in self._ends.items() if index in found}
        self._before = found
        self.again = min((end - now for end in self._ends.values()), default=None)
        return tuple(found.values())

    def _counting(self, link: Link, now: float) -> Link:
        before = self._before.get(link.index, link)
        known = before.up and _has_address(before) and before.name == link.name
        if _has_address(link) or not known or link.enslaved:
            self._ends.pop(link.index, None)
            return link
        if link.index not in self._ends:
            log.info("%s has lost its address; all goes on for %d s, if it comes back.", link.name, GRACE)
        if now < self._ends.setdefault(link.index, now + GRACE):
            return before
        del self._ends[link.index]
        return link


def _has_address(link: Link) -> bool:
    # What a machine that got no address from anybody takes by itself is none.
    return any(not each.ip.is_link_local for each in link.addresses)
