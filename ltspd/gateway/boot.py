"""The boot menu for one client: what ltsp.conf says of it, by its addresses and name, as a script for iPXE.

A client itself says who it is. So the script holds no secret, and of what the client says nothing is used but
what looks like an address or a host name.
"""

import asyncio
import logging
import time

from aiohttp import web

from ltspd.clients.fields import is_sound
from ltspd.clients.table import Table
from ltspd.config.document import Host
from ltspd.gateway.limits import Limits
from ltspd.menu.choice import Chooser
from ltspd.menu.ipxe import Scripts
from ltspd.model.menu import Offer
from ltspd.system import memory

log = logging.getLogger("ltspd.gateway")

# Boots a second of one address in the long run; at once it may have as many as connections (a room behind a
# router). Making a script takes less than a millisecond.
EACH_RATE = 5.0
# Seconds without a boot until what choices are made with is forgotten: with 2,000 sections it takes 3 MB, and
# some 30 ms to make again.
KEEP_SECONDS = 60.0


class Boot:
    """Answers with scripts by the table's offer."""

    def __init__(self) -> None:
        """Offer nothing yet; ``follow`` tells what there is."""
        self._offer: Offer | None = None
        self._scripts: Scripts | None = None
        self._chooser: Chooser | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._limits, self._burst = Limits(time.monotonic()), 0

    def follow(self, table: Table) -> None:
        """Make scripts by this table from now on."""
        self._offer = offer = table.offer
        self._scripts = Scripts(offer, table.port) if offer is not None and offer.entries else None
        self._forget()
        if table.connections != self._burst:
            self._burst = table.connections
            self._limits = Limits(time.monotonic(), float(self._burst), EACH_RATE)

    async def answer(self, request: web.Request) -> web.Response:
        """Return the script for the client that the query names; raises HTTPNotFound if nothing is offered.

        After any other status than 200, iPXE goes on with the script that came by TFTP.
        """
        if self._offer is None or self._scripts is None:
            raise web.HTTPNotFound
        address = request.remote or ""
        if not self._limits.allow(address, time.monotonic()):
            return web.Response(status=429)
        asked = request.query
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
        return web.Response(text=self._scripts.script(choice))

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
