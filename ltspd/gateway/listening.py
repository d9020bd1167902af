"""The sockets that the gateway listens on. They follow the table; one that can't be opened is tried again."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping

log = logging.getLogger("ltspd.gateway")

# An address and a TCP port.
Place = tuple[str, int]

# No event tells that a port has become free, so the gateway tries again while one is missing. Seconds.
AGAIN = 5.0
# A connection whose client takes nothing for this long is ended (tcp(7), TCP_USER_TIMEOUT). Milliseconds.
STALLED = 60_000
# How much the kernel buffers for a slow client beyond what is under way (tcp(7), TCP_NOTSENT_LOWAT). At
# 1 Gbit/s this lasts for two milliseconds. Bytes.
UNSENT = 256 << 10


class Listeners:
    """Listening sockets by place, each with its protocol. Closing one leaves its connections alone."""

    def __init__(self, backlog: int, changed: Callable[[], None]) -> None:
        """Listen nowhere yet. ``changed`` is called when a missing socket could be opened after all."""
        self._backlog, self._changed = backlog, changed
        self._servers: dict[Place, asyncio.Server] = {}
        self._wanted: Mapping[Place, Callable[[], asyncio.Protocol]] = {}
        self._again: asyncio.TimerHandle | None = None
        self._trying: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()
        # Where it can't listen, and why.
        self.missing: dict[Place, OSError] = {}

    @property
    def places(self) -> Iterable[Place]:
        """Where it listens."""
        return self._servers.keys()

    async def follow(self, wanted: Mapping[Place, Callable[[], asyncio.Protocol]]) -> None:
        """Listen at these places with these protocols and at no other; ``missing`` tells what failed."""
        self._wanted = wanted
        await self._try()

    async def _try(self) -> None:
        async with self._one:
            for place in self._servers.keys() - self._wanted.keys():
                self._servers.pop(place).close()
            self.missing = {place: error for place, error in self.missing.items() if place in self._wanted}
            for place in sorted(self._wanted.keys() - self._servers.keys()):
                # Others may be wanted meanwhile; whoever wants them waits for the lock.
                if place in self._wanted:
                    await self._listen(place)
            if self._again is not None:
                self._again.cancel()
                self._again = None
            if self.missing:
                self._again = asyncio.get_running_loop().call_later(AGAIN, self._try_again)

    async def _listen(self, place: Place) -> None:
        try:
            sock = _listening(place, self._backlog)
        except OSError as error:
            self.missing[place] = error
            return
        if self.missing.pop(place, None):
            log.info("Listening at %s:%d after all", *place)
        loop = asyncio.get_running_loop()
        # Not a site of aiohttp: closing one site of 3.8 closes all connections of its runner.
        self._servers[place] = await loop.create_server(self._wanted[place], sock=sock, backlog=self._backlog)

    def _try_again(self) -> None:
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._tried_again(), name="listen again")

    async def _tried_again(self) -> None:
        before = set(self.missing)
        await self._try()
        if before != set(self.missing):
            self._changed()

    async def close(self) -> None:
        """Listen no more."""
        if self._trying is not None:
            self._trying.cancel()
        await self.follow({})


def _listening(place: Place, backlog: int) -> socket.socket:
    """Return a socket that listens at a place; raises OSError. What is set here, connections inherit."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        sock.bind(place)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
