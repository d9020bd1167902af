"""The HTTP face to clients: an unprivileged process that serves listed files and nothing else.

A request's path is only ever looked up in the table, never joined to a directory.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from ltspd import journal
from ltspd.gateway.table import Table, load
from systemd import daemon as systemd

log = logging.getLogger("ltspd.gateway")

# Seconds a transfer under way may go on when the service stops.
STOP_SECONDS = 2.0


class Gateway:
    """One web application whose table and listening addresses follow the file."""

    def __init__(self, path: Path) -> None:
        """Serve what the table at ``path`` lists."""
        self._path = path
        self._table = Table((), 0, {})
        self._sites: dict[tuple[str, int], web.TCPSite] = {}
        app = web.Application(client_max_size=1)
        # HEAD comes with it: UEFI firmware asks for the size first.
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Begin to listen; raises OSError if an address or port can't be had, ValueError for a bad table."""
        await self._runner.setup()
        await self._follow(load(self._path.read_bytes()))

    async def stop(self) -> None:
        """End all sockets, and after a moment the transfers too."""
        # Not the runner's own shutdown_timeout: aiohttp 3.8 has it elsewhere.
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._runner.cleanup()
        except TimeoutError:
            log.info("Transfers under way were cut off.")

    async def reload(self) -> None:
        """Read the table again; one that can't be used changes nothing. Raises OSError as start() does."""
        try:
            table = load(self._path.read_bytes())
        except (OSError, ValueError) as error:
            log.error("%s can't be used, so the table before it stays: %s", self._path, error)
            return
        await self._follow(table)

    async def _follow(self, table: Table) -> None:
        """Open and close sockets to match; transfers under way go on."""
        self._table = table
        wanted = {(address, table.port) for address in table.addresses}
        for key in self._sites.keys() - wanted:
            await self._sites.pop(key).stop()
        for address, port in sorted(wanted - self._sites.keys()):
            site = web.TCPSite(self._runner, address, port, backlog=512, reuse_address=True)
            await site.start()
            self._sites[address, port] = site
        listening = ", ".join(f"{address}:{port}" for address, port in sorted(self._sites))
        systemd.notify(f"STATUS={len(table.files)} files at {listening or 'no address'}")

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
        return web.FileResponse(
            file, chunk_size=1 << 20, headers={"Content-Type": "application/octet-stream"}
        )


async def serve(path: Path) -> None:
    """Serve until SIGTERM; SIGHUP reads the table again."""
    gateway = Gateway(path)
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        await gateway.start()
        systemd.notify("READY=1")
        stopping = asyncio.create_task(stop.wait())
        while not stopping.done():
            again = asyncio.create_task(reload.wait())
            await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            if reload.is_set():
                reload.clear()
                await gateway.reload()
    finally:
        await gateway.stop()


def main() -> int:
    """Run the gateway; the one argument is the table's path."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[journal.handler("ltspd-gateway")])
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except (OSError, ValueError) as error:
        log.error("The gateway can't serve %s: %s", sys.argv[1], error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
