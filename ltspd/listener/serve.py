"""The listener's process: unprivileged but for its one socket, it hears DHCP until SIGTERM."""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from ltspd.listener.book import Book
from ltspd.listener.capture import Capture, opened
from ltspd.listener.handover import Handover, microseconds
from ltspd.listener.packets import read
from ltspd.system import journal
from ltspd.system.notify import Notify

log = logging.getLogger("ltspd.listener")


class Listener:
    """Takes note of packets on the links that a file of the daemon's names."""

    def __init__(self, path: Path) -> None:
        """Listen to what this file says; raises OSError, ValueError."""
        self._path = path
        self._links = _links(path)
        self._book = Book(microseconds())
        self.handover = Handover(self._book, microseconds)

    def reload(self) -> None:
        """Read the file again; if it can't be used, nothing changes."""
        try:
            self._links = _links(self._path)
        except (OSError, ValueError) as error:
            log.error("%s can't be used, so the links stay as they were: %s", self._path, error)

    def take(self, data: bytes, link: str, mac: str, own: bool) -> None:
        """Take note of a packet, if it is one of a served link."""
        if link in self._links and (packet := read(data)) is not None:
            self._book.take(packet, link, mac, own, microseconds())
            self.handover.news()


def _links(path: Path) -> frozenset[str]:
    whole = json.loads(path.read_bytes())
    if not isinstance(whole, dict) or not isinstance(whole.get("links"), list):
        raise ValueError("it has no list of links")
    return frozenset(map(str, whole["links"]))


async def serve(path: Path) -> None:
    """Listen until SIGTERM; SIGHUP reads the file again."""
    listener = Listener(path)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, listener.reload)
    capture = Capture(opened(), listener.take)
    tasks = [
        asyncio.create_task(listener.handover.run(), name="hand over"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    try:
        Notify().ready()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # Handing over never ends by itself; if it does, it failed, and the service fails, too.
        if tasks[0].done():
            tasks[0].result()
    finally:
        capture.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def main() -> int:
    """Run the listener; the one argument is the file's path."""
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[journal.handler("ltspd-listener")]
    )
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except (OSError, ValueError) as error:
        log.error("The listener can't work by %s: %s", sys.argv[1], error)
        return 1
    return 0
