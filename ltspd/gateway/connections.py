"""Connections of clients: how many one address and all together may have, and how long one may say nothing.

aiohttp limits the lines of a request, and how long a used connection may be idle; this module the rest.
"""

import asyncio
import ipaddress
import logging
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = logging.getLogger("ltspd.gateway")

# Seconds until a new or a used connection must have sent a whole request. Firmware sends it at once; an
# emulated machine on a busy server within a second or two.
WAIT_SECONDS = 20.0
# Bytes and lines that a client may have sent without being answered. Firmware's requests have 10 lines and
# 400 bytes, a browser's 20 lines; a report has 32 lines at most. A client that boots waits for each answer
# before it sends the next request.
UNANSWERED_BYTES = 16 << 10
UNANSWERED_LINES = 64
# The longest line of a request. The longest URL of ours has about 150 characters.
LINE_MOST = 4096
# How long the rest of a request's body is read after the answer. Seconds.
LINGER_SECONDS = 2.0

# A limit for memory, even if there are more descriptors: a connection takes up to 25 KB.
ALL_MOST = 4096
# Connections of clients that wait for news: as many as the registry has clients. Each takes 10 KB.
HELD_MOST = 2000
# Descriptors that are not for connections: D-Bus, listening sockets, files of the program, and a backlog of
# new connections, which are accepted before they are counted.
BACKLOG = 512
RESERVED = 64 + BACKLOG

# Seconds between two log lines about refused connections.
QUIET_SECONDS = 60.0

LOOPBACK = "127.0.0.0/8"


def all_most() -> int:
    """Return how many connections there may be in all: each may have a socket and a file open."""
    return max(16, min(ALL_MOST, (_descriptors() - RESERVED) // 2))


def held_most() -> int:
    """Return how many connections may be held beside them: each has a socket."""
    return max(0, min(HELD_MOST, _descriptors() - RESERVED - 2 * all_most()))


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@lru_cache(maxsize=4096)
def sender(address: str) -> str:
    """Return the sender that an address counts as; loopback is one: any local user can have all of it."""
    return LOOPBACK if ipaddress.ip_address(address).is_loopback else address


class Connections:
    """All connections by sender; each sender's are in the order in which a request last began or ended."""

    def __init__(self, most: int) -> None:
        """Begin with none; ``most`` is the limit for all of them."""
        self._most = most
        # The limit for one sender; the table sets it.
        self.each_most = most
        self._of: dict[str, dict[Connection, None]] = {}
        self._all = 0
        self._quiet_until = 0.0
        # How many were refused, or ended to make room, since the start.
        self.refused = 0

    def __len__(self) -> int:
        return self._all

    def enter(self, connection: "Connection") -> bool:
        """Count a new connection, and return whether it may stay.

        At a limit, a connection that waits for a request gives way; transfers do so only when all are
        taken, and then to somebody who has fewer. So no sender can shut out another one.
        """
        own = self._of.get(connection.sender, {})
        if len(own) >= self.each_most:
            room = next((each for each in own if each.waits), None)
        elif self._all >= self._most:
            room = self._widest(len(own) + 1)
        else:
            self._of.setdefault(connection.sender, own)[connection] = None
            self._all += 1
            return True
        self.refused += 1
        if room is None:
            return False
        self.leave(room)
        room.drop()
        self._of.setdefault(connection.sender, {})[connection] = None
        self._all += 1
        return True

    def say_full(self, who: str) -> None:
        """Log that a connection was refused, but not each one."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_SECONDS
        log.warning(
            "A connection of %s was refused: it has %d, and %d are open in all. If that is a room behind a "
            "router, a larger HTTP_CONNECTIONS= in [server] of ltsp.conf lets it in.",
            who, len(self._of.get(who, ())), self._all,
        )  # fmt: skip

    def _widest(self, more_than: int) -> "Connection | None":
        """Return the connection to end when all are taken: one that waits, of the sender with the most."""
        found = max(self, key=lambda each: (each.waits, len(self._of[each.sender])), default=None)
        if found is None or (not found.waits and len(self._of[found.sender]) <= more_than):
            return None
        return found

    def __iter__(self) -> Iterator["Connection"]:
        return (each for own in self._of.values() for each in own)

    def moved(self, connection: "Connection") -> None:
        """Move a connection to the end: it began or ended a request."""
        own = self._of.get(connection.sender, {})
        if connection in own:
            del own[connection]
            own[connection] = None

    def leave(self, connection: "Connection") -> None:
        """Stop counting a connection; nothing happens if it is not counted."""
        own = self._of.get(connection.sender, {})
        if connection in own:
            del own[connection]
            self._all -= 1
            if not own:
                del self._of[connection.sender]


class Connection(web.RequestHandler):
    """One connection. It waits for a request, then it is answered, then it waits again."""

    def __init__(self, server: web.Server, connections: Connections) -> None:
        """Hand requests to ``server``, if there is room among ``connections``."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=WAIT_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # as the runners of aiohttp do
            max_line_size=LINE_MOST,
            max_field_size=LINE_MOST,
            lingering_time=LINGER_SECONDS,
            read_bufsize=UNANSWERED_BYTES,
            auto_decompress=False,
        )
        self._connections = connections
        self._first: asyncio.TimerHandle | None = None
        self._bytes = self._lines = 0
        self._raw: asyncio.Transport | None = None
        self._lost: Callable[[], object] | None = None
        self.sender = ""
        self.waits = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read; end at once if there is no room."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        peer = transport.get_extra_info("peername")
        if peer is None:  # The client has gone already.
            transport.abort()
            return
        self.sender = sender(peer[0])
        if not self._connections.enter(self):
            self._connections.say_full(self.sender)
            transport.abort()
            return
        super().connection_made(transport)
        # aiohttp 3.8 has no time limit for the first request of a connection.
        self._first = asyncio.get_running_loop().call_later(WAIT_SECONDS, self._late)

    def _late(self) -> None:
        if self.waits:
            self.drop()

    def hold(self, lost: Callable[[], object]) -> None:
        """Stop counting this connection, which waits for news; call ``lost`` when it ends."""
        self._lost = lost
        # Only who reads notices the end of a connection.
        if self._raw is not None:
            self._raw.resume_reading()
        self._stop_waiting()
        self._connections.leave(self)
        # Nothing more is read, so the parser goes, with what it keeps. Its name differs between versions.
        for name in ("_request_parser", "_parser"):
            if getattr(self, name, None) is not None:
                setattr(self, name, None)

    def _stop_waiting(self) -> None:
        if self._first is not None:
            self._first.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._stop_waiting()
        self._connections.leave(self)
        if self._lost is not None:
            self._lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and no more than clients send before they are answered."""
        self._bytes += len(data)
        self._lines += data.count(b"\n")
        # aiohttp 3.8 keeps any number of requests in memory. A client that waits for news sends nothing more.
        if self._lines > UNANSWERED_LINES or self._lost is not None:
            self.drop()
            return
        super().data_received(data)
        if self._bytes > UNANSWERED_BYTES and self._raw is not None:
            self._raw.pause_reading()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; returns when it has gone out."""
        self._stop_waiting()
        self._turn(waits=False)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._bytes > UNANSWERED_BYTES and self._raw is not None:
                self._raw.resume_reading()
            self._bytes = 0
            self._lines = max(0, self._lines - len(request.raw_headers) - 2)
            self._turn(waits=True)

    def _turn(self, *, waits: bool) -> None:
        self.waits = waits
        self._connections.moved(self)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an error of ours with a traceback, and one of the client in a line: anyone can cause many."""
        if isinstance(kw.get("exc_info"), HttpProcessingError):
            log.info("%s sent what is no request", self.sender)
        else:
            super().log_exception(*args, **kw)

    def drop(self) -> None:
        """End this connection at once; an answer that is being sent is cut off."""
        transport = self._raw
        if transport is None or transport.is_closing():
            return
        if self.waits:
            transport.abort()
            return
        # asyncio's sendfile() never returns if its transport is closed, but fails if its socket is shut down.
        # SO_LINGER makes the kernel discard what was not sent when the socket is closed.
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The client ended it first.
