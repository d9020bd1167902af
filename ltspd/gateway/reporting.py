"""Reports of clients: received, checked, and kept for the daemon."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from ltspd.gateway.admission import Admission
from ltspd.gateway.fitting import Fitting
from ltspd.gateway.limits import Limits
from ltspd.gateway.metrics import Counts
from ltspd.gateway.registry import Registry
from ltspd.gateway.reports import BYTES_MOST, BadReport, parse

log = logging.getLogger("ltspd.gateway")

# A report comes in one packet; a sender that takes longer than this for it is no client that boots. Seconds.
REPORT_SECONDS = 5.0


class Reporting:
    """Takes reports into the registry, and calls ``news`` after each."""

    def __init__(
        self,
        admission: Admission,
        registry: Registry,
        fitting: Fitting,
        counts: Counts,
        news: Callable[[], None],
    ) -> None:
        """Listen to whom ``admission`` lets in."""
        self._fitting = fitting
        self._admission, self._registry, self._counts, self._news = admission, registry, counts, news
        self._limits = Limits(time.monotonic())

    async def answer(self, request: web.Request) -> web.Response:
        """Take a report, or say by the status why not."""
        result, status = await self._taken(request, request.remote or "")
        self._counts.reports[result] += 1
        answer = web.Response(status=status)
        answer.force_close()
        return answer

    async def _taken(self, request: web.Request, address: str) -> tuple[str, int]:
        """Return what becomes of a report, and the status to answer. The cheap checks come first."""
        if refusal := self._admission.refusal(address, self._limits):
            return refusal.reason, refusal.status
        try:
            report = parse(await _body(request))
        except (BadReport, TimeoutError) as error:
            log.info("%s sent a report that is none: %s", address, error or "too slow")
            return "malformed", 400
        if not self._admission.may_be(address, report.mac):
            log.warning("%s reports as %s, which it is not", address, report.mac)
            return "impostor", 403
        if report.order:
            log.info("%s (%s) answers order %s: %s", address, report.mac, report.order, report.result)
            self._registry.answered(report)
            self._news()
            return "taken", 204
        log.info("%s is %s, %s at %s", address, report.mac, report.hostname or "-", report.stage)
        now = time.monotonic()
        given = self._fitting.report(report.mac, report.stage, report.clock, report.card, now)
        report = replace(report, initrd=given)
        self._counts.marked(self._registry.take(report, address, time.time_ns() // 1000))
        self._news()
        return "taken", 204


async def _body(request: web.Request) -> bytes:
    """Return what was sent, if it isn't too much; raises BadReport, TimeoutError."""
    # Not read(), which the application's own limit of one byte is for.
    body = b""
    async with asyncio.timeout(REPORT_SECONDS):
        while len(body) <= BYTES_MOST and (piece := await request.content.read(BYTES_MOST + 1)):
            body += piece
    return body
