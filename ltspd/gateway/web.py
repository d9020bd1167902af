"""What is answered over HTTP: listed files and reports to clients, metrics to this machine alone.

A request's path is only ever looked up in the table, never joined to a directory.
"""

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Iterable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from ltspd.clients.table import Table
from ltspd.gateway.admission import Admission, Neighbours
from ltspd.gateway.connections import BACKLOG, Connection, Connections, all_most
from ltspd.gateway.exposition import CONTENT_TYPE, text
from ltspd.gateway.handover import Handover
from ltspd.gateway.limits import Limits
from ltspd.gateway.listening import Listeners, Place
from ltspd.gateway.metrics import Counts, families
from ltspd.gateway.registry import Registry
from ltspd.gateway.reports import BYTES_MOST, BadReport, parse

log = logging.getLogger("ltspd.gateway")

LOOPBACK = "127.0.0.1"
REPORT = "/ltsp/report"
# A report comes in one packet; whoever takes longer than this for it isn't a client that boots. Seconds.
REPORT_SECONDS = 5.0
# Seconds a transfer under way may go on when the service stops.
STOP_SECONDS = 2.0


class _File(web.FileResponse):
    """A file whose bytes are counted once they have gone out."""

    def __init__(self, counts: Counts, path: str) -> None:
        super().__init__(path, chunk_size=1 << 20, headers={"Content-Type": "application/octet-stream"})
        self._counts = counts

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        # Sends everything; what is cut off raises.
        try:
            writer = await super().prepare(request)
        except TimeoutError as error:  # nothing was taken for long: aiohttp knows other ends of a connection
            raise ConnectionResetError(str(error)) from error
        if request.method == "GET" and self.status in (200, 206):
            self._counts.bytes += self.content_length or 0
        return writer


class Gateway:
    """Two web applications, for clients and for metrics, whose addresses follow the table."""

    def __init__(self, status: Callable[[str], None]) -> None:
        """Tell ``status`` in a line what is served."""
        self._status = status
        self._table = Table((), 0, {})
        self._listeners = Listeners(BACKLOG, self._tell)
        self._connections = Connections(all_most())
        self._counts, self._registry = Counts(), Registry()
        self._limits, self._admission = Limits(time.monotonic()), Admission(Neighbours())
        self._handover = Handover(self._registry, self._counts)
        self._problems: tuple[str, ...] = ()
        app = web.Application(client_max_size=1)
        app.on_response_prepare.append(self._answered)
        # HEAD comes with it: UEFI firmware asks for the size first.
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_post(REPORT, self._report)
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
        self._connections.each_most = table.connections
        places = {(address, table.port): self._accepting(self._clients) for address in table.addresses}
        if table.metrics_port:
            places.setdefault((LOOPBACK, table.metrics_port), self._accepting(self._own))
        await self._listeners.follow(places)
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

    async def _get(self, request: web.Request) -> web.StreamResponse:
        file = self._table.files.get(request.path)
        if file is None:
            # The path as it came: decoded it could hold control characters.
            log.info("%s %s %s 404", request.remote, request.method, request.raw_path[:200])
            raise web.HTTPNotFound(
                text="No such boot file. 'ltspctl output list' on the server tells more.\n"
            )
        span = request.headers.get("Range", "")[:60]
        log.info("%s %s %s %s", request.remote, request.method, request.path, span)
        # aiohttp 3.8 gives no answer at all if it can't open the file.
        if not await asyncio.to_thread(os.access, file, os.R_OK):
            log.error("%s of the table can't be read", file)
            raise web.HTTPNotFound(text="This boot file is not there now. The server's journal tells more.\n")
        return _File(self._counts, file)

    async def _report(self, request: web.Request) -> web.Response:
        result, answer = await self._taken(request, request.remote or "")
        answer.force_close()
        self._counts.reports[result] += 1
        return answer

    async def _taken(self, request: web.Request, address: str) -> tuple[str, web.Response]:
        """Return what becomes of a report, and the answer. The cheap reasons against it come first."""
        if refusal := self._admission.refusal(address, self._limits):
            return refusal, web.Response(status=429 if refusal == "limited" else 403)
        try:
            report = parse(await _body(request))
        except (BadReport, TimeoutError) as error:
            log.info("%s sent a report that is none: %s", address, error or "too slow")
            return "malformed", web.Response(status=400)
        if not self._admission.may_be(address, report.mac):
            log.warning("%s reports as %s, which it is not", address, report.mac)
            return "impostor", web.Response(status=403)
        log.info("%s is %s, %s at %s", address, report.mac, report.hostname or "-", report.stage)
        self._counts.marked(self._registry.take(report, address, time.time_ns() // 1000))
        self._handover.news()
        return "taken", web.Response(status=204)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        objects = await self._handover.objects()
        self._counts.connections, self._counts.refused = len(self._connections), self._connections.refused
        page = text(families(self._counts, self._registry.stages(), objects))
        return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE})


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


async def _body(request: web.Request) -> bytes:
    """Return what was sent, if it isn't too much; raises BadReport, TimeoutError."""
    # Not read(), which the application's own limit of one byte is for.
    body = b""
    async with asyncio.timeout(REPORT_SECONDS):
        while len(body) <= BYTES_MOST and (piece := await request.content.read(BYTES_MOST + 1)):
            body += piece
    return body
