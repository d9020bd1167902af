"""Boot initrds that fit a machine: of the whole one, what the machine's network card needs."""

import asyncio
import logging
import mmap
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from ltspd.clients.fields import is_mac
from ltspd.gateway.fitting import Fitting, Given
from ltspd.gateway.metrics import Counts
from ltspd.initrd.cards import Index, marker, read_index
from ltspd.system import memory

log = logging.getLogger("ltspd.gateway")

# How iPXE writes a device on the PCI bus (its BUS_TYPE_PCI is 1), its vendor and itself: the type, then both.
_BUSID = re.compile(r"01([0-9a-f]{4})([0-9a-f]{4})")
# A room's machines have the same card and boot the same generation. Seconds.
KEEP_SECONDS = 60.0
INDEXES_MOST, ANSWERS_MOST = 4, 64
_PIECE = 256 << 10


class Slim:
    """Answers requests for initrds with a part of them, where the machine's card is known."""

    def __init__(self, counts: Counts, may_be: Callable[[str, str], bool]) -> None:
        """Count the bytes that go out; ``may_be`` tells whether an address may be a machine's."""
        self.fitting = Fitting()
        self._counts, self._may_be = counts, may_be
        self._indexes: OrderedDict[str, Index | None] = OrderedDict()
        self._drivers: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()
        self._forgetting: asyncio.TimerHandle | None = None

    async def answer(self, request: web.Request, file: str) -> web.StreamResponse | None:
        """Return what a machine gets of an initrd; None: the whole file, as everybody else."""
        mac = request.query.get("mac", "")
        if not is_mac(mac) or request.method != "GET" or not self._may_be(request.remote or "", mac):
            return None
        told = _BUSID.fullmatch(request.query.get("bus", ""))
        menu = f"{told[1]}:{told[2]}" if told else ""
        index = await self._read(file)
        known = lambda card: self._known(file, index, card) if index is not None else ()  # noqa: E731
        given = self.fitting.give(mac, menu, known, time.monotonic())
        log.info("%s gets of the drivers in its initrd %s", mac, given)
        self._counts.initrds["slim" if given.drivers else "full"] += 1
        if index is None or not given.drivers:
            return None
        return await self._send(request, file, index, given)

    async def _read(self, file: str) -> Index | None:
        """Return the index of an initrd; generations never change."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._forget)
        if file not in self._indexes:
            self._indexes[file] = await asyncio.to_thread(_read, file)
            if len(self._indexes) > INDEXES_MOST:
                self._indexes.popitem(last=False)
        return self._indexes[file]

    def _known(self, file: str, index: Index, card: str) -> tuple[str, ...]:
        key = (file, card)
        if key not in self._drivers:
            self._drivers[key] = index.drivers(card)
            if len(self._drivers) > ANSWERS_MOST:
                self._drivers.popitem(last=False)
        return self._drivers[key]

    async def _send(
        self, request: web.Request, file: str, index: Index, given: Given
    ) -> web.StreamResponse | None:
        try:
            descriptor = await asyncio.to_thread(os.open, file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            ranges = index.ranges(given.drivers, os.fstat(descriptor).st_size)
            last = marker(given.drivers)
            answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            answer.content_length = sum(size for _, size in ranges) + len(last)
            await answer.prepare(request)
            for at, size in ranges:
                end = at + size
                while at < end:
                    data = await asyncio.to_thread(os.pread, descriptor, min(_PIECE, end - at), at)
                    if not data:
                        raise ConnectionResetError(f"{file} has become shorter")
                    await answer.write(data)
                    at += len(data)
            await answer.write(last)
            await answer.write_eof()
        finally:
            os.close(descriptor)
        self._counts.bytes += answer.content_length
        return answer

    def _forget(self) -> None:
        self._forgetting = None
        self._indexes.clear()
        self._drivers.clear()
        memory.give_back()


def _read(file: str) -> Index | None:
    try:
        with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return read_index(data)
    except (OSError, ValueError):
        return None
