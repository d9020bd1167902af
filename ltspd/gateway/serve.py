"""The gateway's process: unprivileged, it serves clients by a table that the daemon writes, until SIGTERM."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from ltspd.clients.table import load
from ltspd.gateway.web import Gateway
from ltspd.system import journal
from systemd import daemon as systemd

log = logging.getLogger("ltspd.gateway")


async def _reload(gateway: Gateway, path: Path) -> None:
    """Read the table again; if it can't be used, nothing changes."""
    try:
        table = load(path.read_bytes())
    except (OSError, ValueError) as error:
        log.error("%s can't be used, so the table before it stays: %s", path, error)
        return
    await gateway.follow(table)


async def serve(path: Path) -> None:
    """Serve until SIGTERM; SIGHUP reads the table again."""
    gateway = Gateway(lambda text: systemd.notify(f"STATUS={text}"))
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    handing_over = asyncio.create_task(gateway.hand_over(), name="hand over")
    try:
        await gateway.start(load(path.read_bytes()))
        systemd.notify("READY=1")
        stopping = asyncio.create_task(stop.wait())
        while not stopping.done():
            again = asyncio.create_task(reload.wait())
            # Handing over never ends by itself; if it does, it failed, and the service fails, too.
            await asyncio.wait({stopping, again, handing_over}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            if handing_over.done():
                handing_over.result()
            if reload.is_set():
                reload.clear()
                await _reload(gateway, path)
    finally:
        handing_over.cancel()
        await asyncio.wait([handing_over])
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
