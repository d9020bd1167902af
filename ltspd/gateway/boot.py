"""The boot menu for one client: what ltsp.conf says of it, by its addresses and name, as a script for iPXE.

A client itself says who it is. So the script holds no secret, and of what the client says nothing is used but
what looks like an address or a host name. Lines of the menu may ask for a password, which is checked here.
"""

import asyncio
import logging
import time

from aiohttp import BasicAuth, web

from ltspd.clients.fields import is_sound
from ltspd.clients.table import Table
from ltspd.config.document import Host
from ltspd.gateway.limits import Limits
from ltspd.menu.choice import Chooser
from ltspd.menu.ipxe import Scripts, locked_lines
from ltspd.menu.lock import is_right
from ltspd.model.menu import Offer
from ltspd.system import memory

log = logging.getLogger("ltspd.gateway")

# Boots a second of one address in the long run; at once it may have as many as connections (a room behind a
# router). Making a script takes less than a millisecond.
EACH_RATE = 5.0
# Seconds without a boot until what choices are made with is forgotten: with 2,000 sections it takes 3 MB, and
# some 30 ms to make again.
KEEP_SECONDS = 60.0
# Passwords that one address may try at once, and a second in the long run. A check takes some ms, or a second
# if the hash has many rounds; as many as this may wait for the one that goes on.
TRIES, TRIES_RATE, WAITING_MOST = 5.0, 0.1, 8


class Boot:
    """Answers with scripts by the table's offer."""

    def __init__(self) -> None:
        """Offer nothing yet; ``follow`` tells what there is."""
        self._offer: Offer | None = None
        self._scripts: Scripts | None = None
        self._chooser: Chooser | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._limits, self._burst = Limits(time.monotonic()), 0
        self._tries = Limits(time.monotonic(), TRIES, TRIES_RATE)
        self._locked: frozenset[str] = frozenset()
        self._checking, self._waiting = asyncio.Lock(), 0

    def follow(self, table: Table) -> None:
        """Make scripts by this table from now on."""
        self._offer = offer = table.offer
        self._scripts = Scripts(offer, table.port) if offer is not None and offer.entries else None
        self._locked = frozenset(locked_lines(offer)) if offer is not None else frozenset()
        self._forget()
        if table.connections != self._burst:
            self._burst = table.connections
            self._limits = Limits(time.monotonic(), float(self._burst), EACH_RATE)

    async def answer(self, request: web.Request) -> web.Response:
        """Return the script for the client that the query names; raises HTTPNotFound if nothing is offered.

        After any other status than 200, iPXE goes on with the script that it has. A query may name a locked
        line of the menu: with the password, the script begins there.
        """
        address, asked = request.remote or "", request.query
        if not self._limits.allow(address, time.monotonic()):
            return web.Response(status=429)
        start = asked.get("start", "")
        if start and (status := await self._refusal(request, start, address)):
            return web.Response(status=status, headers={"WWW-Authenticate": 'Basic realm="menu"'})
        if self._offer is None or self._scripts is None:
            raise web.HTTPNotFound
        mac, ip, hostname = (
            value if is_sound(field, value := asked.get(key, "")) else ""
            for field, key in (("mac", "mac"), ("address", "ip"), ("hostname", "hostname"))
        )
        if self._chooser is None:
            self._chooser = Chooser(self._offer)
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._forget)
        choice = self._chooser.choose(Host(mac, ip, hostname, server=_own_address(request)))
        log.info("%s is %s, %s and boots %s", address, mac or "-", hostname or "-", choice.entry)
        return web.Response(text=self._scripts.script(choice, start))

    async def _refusal(self, request: web.Request, start: str, address: str) -> int:
        """Return the status for who may not begin with a locked line; 0 for who may."""
        if self._offer is None or start not in self._locked:
            return 403
        try:
            # Without it, iPXE sends no password.
            given = BasicAuth.decode(request.headers.get("Authorization", ""), "utf-8").password
        except ValueError:
            return 401
        if self._waiting >= WAITING_MOST or not self._tries.allow(address, time.monotonic()):
            log.warning("%s tries passwords too often", address)
            return 429
        self._waiting += 1
        try:
            async with self._checking:
                right = await asyncio.to_thread(is_right, self._offer.lock, given)
        finally:
            self._waiting -= 1
        log.info("%s gave the %s password for %s", address, "right" if right else "wrong", start)
        return 0 if right else 401

    def _forget(self) -> None:
        """Keep only what the scripts of the next boot can be made from."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._chooser = self._forgetting = None
        memory.give_back()


def _own_address(request: web.Request) -> str:
    """Return the server's address that the client spoke to; empty if the client has gone."""
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return str(name[0]) if name else ""
