"""What is answered over HTTP: files, menus, news and reports to clients, metrics to this machine alone."""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Iterable

from aiohttp import web

from ltspd.clients.table import Table
from ltspd.gateway.admission import Admission, Neighbours
from ltspd.gateway.boot import Boot
from ltspd.gateway.connections import BACKLOG, Connection, Connections, all_most, held_most
from ltspd.gateway.exposition import CONTENT_TYPE, text
from ltspd.gateway.files import Files
from ltspd.gateway.handover import Handover
from ltspd.gateway.listening import Listeners, Place
from ltspd.gateway.live import Live
from ltspd.gateway.metrics import Counts, families
from ltspd.gateway.registry import Registry
from ltspd.gateway.reporting import Reporting
from ltspd.gateway.slim import Slim
from ltspd.gateway.waking import Waking

log = logging.getLogger("ltspd.gateway")

LOOPBACK = "127.0.0.1"
BASE = "/ltsp"
BOOT, LIVE, REPORT, TIME = (f"{BASE}/{name}" for name in ("boot", "live", "report", "time"))
# Seconds a transfer under way may go on when the service stops.
STOP_SECONDS = 2.0


class Gateway:
    """Two web applications, for clients and for metrics, whose addresses follow the table."""

    def __init__(self, status: Callable[[str], None]) -> None:
        """Tell ``status`` in a line what is served."""
        self._status = status
        self._table = Table((), 0, {})
        self._listeners = Listeners(BACKLOG, self._tell)
        self._connections = Connections(all_most())
        self._counts, self._registry = Counts(), Registry()
        self._admission = Admission(Neighbours())
        self._handover = Handover(self._registry, self._counts)
        slim = Slim(self._counts, self._admission.may_be)
        self._files, self._boot = Files(self._counts, slim), Boot()
        self._live = Live(self._admission, held_most())
        self._waking = Waking()
        reporting = Reporting(
            self._admission, self._registry, slim.fitting, self._counts, self._handover.news
        )
        self._problems: tuple[str, ...] = ()
        app = web.Application(client_max_size=1)
        app.on_response_prepare.append(self._answered)
        # HEAD comes with it: UEFI firmware asks for the size first.
        app.router.add_get(BOOT, self._boot.answer)
        app.router.add_get(LIVE, self._live.answer, allow_head=False)
        app.router.add_get(TIME, _time)
        app.router.add_get("/{path:.*}", self._files.answer)
        app.router.add_post(REPORT, reporting.answer)
        self._clients = web.AppRunner(app, access_log=None)
        own = web.Application(client_max_size=1)
        own.router.add_get("/metrics", self._metrics)
        self._own = web.AppRunner(own, access_log=None)

    async def start(self, table: Table) -> None:
        """Begin to listen; raises OSError if none of the table's addresses can be had."""
        await self._clients.setup()
        await self._own.setup()
        await self.follow(table)
        if table.addresses and not self._served_places(self._listeners.places):
            place, error = min(self._listeners.missing.items())
            raise OSError(error.errno, f"{_reason(error)} at {place[0]}:{place[1]}")

    async def hand_over(self) -> None:
        """Tell the daemon of clients and of what is wrong here, for ever."""
        await self._handover.run()

    async def stop(self) -> None:
        """End all sockets, and after a moment the transfers too."""
        await self._listeners.close()
        self._live.close()
        self._waking.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                for runner in (self._own, self._clients):
                    if runner.server is not None:
                        await runner.server.shutdown(STOP_SECONDS)
        except TimeoutError:
            log.info("Transfers under way were cut off.")

    async def follow(self, table: Table) -> None:
        """Open and close sockets to match a table; transfers under way go on.

        What can't be opened is a problem that the daemon is told of, and it is tried again.
        """
        self._table = table
        self._admission.follow(table.networks)
        documents = {f"{BASE}/{name}": digest for name, digest in table.orders.documents.items()}
        await asyncio.to_thread(self._files.follow, table.files, documents)
        self._boot.follow(table)
        self._connections.each_most = table.connections
        self._live.allow(table.connections)
        places = {(address, table.port): self._accepting(self._clients) for address in table.addresses}
        if table.metrics_port:
            places.setdefault((LOOPBACK, table.metrics_port), self._accepting(self._own))
        await self._listeners.follow(places)
        self._live.follow(table.orders)
        self._waking.follow(table.networks, table.wakes)
        self._tell()

    def _accepting(self, runner: web.AppRunner) -> Callable[[], Connection]:
        server = runner.server
        assert server is not None
        return lambda: Connection(server, self._connections)

    def _tell(self) -> None:
        """Tell systemd and the daemon what is served and what is not."""
        listening = self._served_places(self._listeners.places)
        where = ", ".join(f"{address}:{port}" for address, port in listening)
        self._status(f"{len(self._table.files)} files at {where or 'no address'}")
        missing = self._listeners.missing
        served = self._served_places(missing)
        problems = tuple(
            _problem(place, missing[place], clients=place in served) for place in sorted(missing)
        )
        for problem in problems:
            if problem not in self._problems:
                log.warning("%s", problem)
        self._problems = problems
        self._handover.tell_problems(problems)

    def _served_places(self, places: Iterable[Place]) -> list[Place]:
        """Return those of the places that are for clients."""
        table = self._table
        return sorted(place for place in places if place[0] in table.addresses and place[1] == table.port)

    async def _answered(self, request: web.Request, response: web.StreamResponse) -> None:
        """Count an answer that is about to go out: only now a file's is decided."""
        del request
        self._counts.requests[response.status] += 1

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        objects = await self._handover.objects()
        self._counts.connections, self._counts.refused = len(self._connections), self._connections.refused
        self._counts.waiting = len(self._live)
        page = text(families(self._counts, self._registry.stages(), objects))
        return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _time(request: web.Request) -> web.Response:
    """Tell a client that boots what the time is, in seconds since the epoch."""
    del request
    return web.Response(text=f"{int(time.time())}\n")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _problem(place: Place, error: OSError, *, clients: bool) -> str:
    """Return what does not work while a place is not listened at, why, and what to do."""
    address, port = place
    what = "no client can boot over HTTP from" if clients else "there are no metrics at"
    setting = "HTTP_PORT" if clients else "METRICS_PORT"
    step = (
        f"stop what has that port ('ss -ltnp sport = {port}' shows it), or choose another one with "
        f"{setting}= in [server] of ltsp.conf"
        if error.errno == errno.EADDRINUSE
        else "see whether the server has that address ('ip address')"
    )
    return f"{what} {address}:{port}, {_reason(error)}; {step}. It is tried again by itself."
