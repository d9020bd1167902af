"""What the listener has told: machines become clients, and servers that are in the way become problems."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ltspd.clients import seen
from ltspd.model.client import ClientState, Server
from ltspd.model.network import Link, ServedLink
from ltspd.model.state import Problem
from ltspd.network import rivals


class Listened:
    """The servers that answer on served links now."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Know of none; ``changed`` is called when they differ."""
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self.servers: tuple[Server, ...] = ()

    def machines(
        self, clients: Mapping[str, ClientState], reports: Sequence[Mapping[str, object]], now: int
    ) -> tuple[Mapping[str, ClientState], int]:
        """Return the clients with what was heard, and how many reports can't be right."""
        return seen.merge(clients, reports, now)

    def hear(self, reports: Sequence[Mapping[str, object]], now: int) -> int:
        """Take all present servers; return how many can't be right."""
        found = [seen.server(each, now) for each in reports]
        self._keep(tuple(each for each in found if each is not None), now)
        return found.count(None)

    def _keep(self, servers: tuple[Server, ...], now: int) -> None:
        """Keep those that were heard lately, and look again when the next of them is too old."""
        self.servers = tuple(each for each in servers if now - each.heard < seen.FRESH)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self.servers:
            oldest = min(each.heard for each in self.servers)
            end = oldest + seen.FRESH
            wait = max(1.0, (end - now) / seen.SECOND)
            self._timer = asyncio.get_running_loop().call_later(wait, lambda: self._keep(servers, end))
        self._changed()

    def problems(self, served: Sequence[ServedLink], links: Sequence[Link]) -> tuple[Problem, ...]:
        """Return a problem for each server that is in this one's way."""
        return rivals.problems(self.servers, served, links)
