"""Clients that wait for news: each has one connection, which is answered once there is something new for it.

Every piece of news ends its answer, so a client can read it with any program (busybox's wget), and does the
same after news, after a broken connection and after a restart of the gateway: it asks again with the revision
that it knows. At rest nothing is sent and nothing is polled.
"""

import asyncio
import logging
import re
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from ltspd.clients.fields import is_mac
from ltspd.clients.table import Orders
from ltspd.gateway.admission import Admission
from ltspd.gateway.connections import Connection
from ltspd.gateway.limits import EACH_BURST, Limits

log = logging.getLogger("ltspd.gateway")

# Questions a second of one sender in the long run.
EACH_RATE = 5.0
_REVISION = re.compile(r"[A-Za-z0-9.-]{0,128}")


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A connection that waits; ``news`` is done when there is some, cancelled when the connection ends."""

    mac: str
    revision: str
    connection: Connection
    news: asyncio.Future[None]


class Live:
    """The connections that wait, one a client: they are counted apart from those that fetch something."""

    def __init__(self, admission: Admission, most: int) -> None:
        """Hold none yet; ``most`` is the limit for all of them."""
        self._admission, self._most = admission, most
        # The limit for one sender.
        self._each_most = 0
        self.allow(most)
        self._orders = Orders()
        self._held: dict[str, _Held] = {}
        self._of: Counter[str] = Counter()

    def allow(self, each_most: int) -> None:
        """Hold so many connections of one sender, and let it come back with all of them at once."""
        # A room behind a router is one sender, and all of it asks again after each piece of news.
        if each_most != self._each_most:
            self._each_most = each_most
            self._limits = Limits(time.monotonic(), float(max(each_most, EACH_BURST)), EACH_RATE)

    def __len__(self) -> int:
        return len(self._held)

    def follow(self, orders: Orders) -> None:
        """Answer all for whom there is something new."""
        self._orders = orders
        for held in self._held.values():
            if orders.of(held.mac).revision != held.revision and not held.news.done():
                held.news.set_result(None)

    async def answer(self, request: web.Request) -> web.Response:
        """Return what a client shall do, once that has another revision than the client knows."""
        answer = await self._answer(request, request.remote or "")
        answer.force_close()
        return answer

    async def _answer(self, request: web.Request, address: str) -> web.Response:
        mac, revision = _asked(request.raw_path)
        if refusal := self._admission.refusal(address, self._limits):
            return web.Response(status=refusal.status)
        if not is_mac(mac) or not _REVISION.fullmatch(revision):
            return web.Response(status=400)
        if not self._admission.may_be(address, mac):
            log.warning("%s asks for news as %s, which it is not", address, mac)
            return web.Response(status=403)
        if not self._orders.settings:
            # The table is of an older daemon.
            return web.Response(status=404)
        if self._orders.of(mac).revision == revision and not await self._wait(request, mac, revision):
            return web.Response(status=503)
        order = self._orders.of(mac)
        lines = [f"revision={order.revision}", *(f"order={each}" for each in order.words.split())]
        lines += [f"{name}={digest}" for name, digest in sorted(self._orders.documents.items())]
        return web.Response(text="".join(f"{line}\n" for line in lines))

    async def _wait(self, request: web.Request, mac: str, revision: str) -> bool:
        """Wait for news, or return False if there is no room; raises CancelledError if the client goes."""
        connection = request.protocol
        assert isinstance(connection, Connection)
        held = _Held(mac, revision, connection, asyncio.get_running_loop().create_future())
        if not self._enter(held):
            return False
        try:
            await held.news
        finally:
            self._leave(held)
        return True

    def _enter(self, held: _Held) -> bool:
        """Count a connection, and return whether it may stay."""
        who = held.connection.sender
        if before := self._held.get(held.mac):
            # The client was switched off, or asks once more, so nobody reads an answer to its older question.
            self._drop(before)
        if self._of[who] >= self._each_most:
            return False
        if len(self._held) >= self._most:
            widest, count = max(self._of.items(), key=lambda each: each[1], default=("", 0))
            if count <= self._of[who] + 1:
                return False
            self._drop(next(each for each in self._held.values() if each.connection.sender == widest))
        self._held[held.mac] = held
        self._of[who] += 1
        held.connection.hold(held.news.cancel)
        return True

    def close(self) -> None:
        """End all connections: their clients ask again later."""
        for held in list(self._held.values()):
            self._drop(held)

    def _drop(self, held: _Held) -> None:
        self._leave(held)
        held.connection.drop()

    def _leave(self, held: _Held) -> None:
        """Stop counting a connection; nothing happens if it is not counted."""
        if self._held.get(held.mac) is not held:
            return
        who = held.connection.sender
        del self._held[held.mac]
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]


def _asked(path: str) -> tuple[str, str]:
    """Return the MAC address and the revision of a question.

    aiohttp's own query would be kept for as long as the connection waits, and it is a tenth of all that is.
    """
    try:
        found = dict(parse_qsl(path.partition("?")[2], max_num_fields=16))
    except ValueError:
        return "", ""
    return found.get("mac", ""), found.get("revision", "")
