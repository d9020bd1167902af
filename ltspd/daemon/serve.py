"""The running daemon: its passes, its service on the bus, its life under systemd."""

import asyncio
import logging
import pwd
from contextlib import ExitStack

from ltspd.api.service import Service
from ltspd.daemon.passes import Passes
from ltspd.dbus.connection import Connection
from ltspd.errors import LtspError
from ltspd.image.store import removal
from ltspd.observe import links
from ltspd.paths import Paths
from ltspd.system import memory
from ltspd.system.notify import Notify

log = logging.getLogger(__name__)

# The users of our processes that speak to the network, each of which alone may hand over what it heard there.
USERS = {"gateway": "ltspd-gateway", "listener": "ltspd-listener"}


class Daemon:
    """The running daemon."""

    def __init__(self, paths: Paths, bus: Connection, notify: Notify) -> None:
        """Work below ``paths.root`` and serve on a connected bus."""
        self._paths = paths
        self._notify = notify
        self._stopping = asyncio.Event()
        self._passes = Passes(paths, bus, notify)
        users = {word: _users(name) for word, name in USERS.items()}
        self._service = Service(bus, self._passes, users=users)
        self._passes.shown = self._service.publish
        self._passes.finished = self._service.job_finished

    def wake(self) -> None:
        """Ask for a pass soon."""
        self._passes.wake()

    def stop(self) -> None:
        """Ask ``run`` to end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until ``stop``; raises what breaks."""
        try:
            await asyncio.to_thread(removal.sweep, self._paths)
        except OSError as error:
            log.warning("The leftovers of killed builds stay for now: %s", error)
        try:
            await asyncio.to_thread(self._passes.orders.start)
        except OSError as error:
            log.warning("Orders of an earlier run stay for now: %s", error)
        await self._passes.systemd.start()
        with ExitStack() as undo:
            undo.callback(links.wake_socket(self.wake))
            await self._passes.watch()
            undo.callback(self._passes.unwatch)
            await self._service.start()
            memory.loaded()
            self._notify.ready()
            self.wake()
            async with asyncio.TaskGroup() as group:
                passes = group.create_task(self._passes.forever(), name="passes")
                tasks = [
                    group.create_task(self._service.wait(), name="bus"),
                    group.create_task(self._notify.watchdog(), name="watchdog"),
                ]
                await self._stopping.wait()
                self._notify.stopping()
                # A pass speaks to systemd, so it must end before the connection.
                passes.cancel()
                await asyncio.wait([passes])
                await self._farewell()
                await self._passes.applier.answers.stop()
                await self._passes.jobs.stop()
                await self._service.stop()
                for task in tasks:
                    task.cancel()

    async def _farewell(self) -> None:
        """Tell clients if the machine goes down, and not if only this service is restarted."""
        try:
            if await self._passes.systemd.going_down():
                await self._passes.farewell()
        except (LtspError, OSError) as error:
            log.warning("Clients were not told that this server goes down: %s", error)


def _users(name: str) -> frozenset[int]:
    """Return a system user's id, or nothing if there is no such user."""
    try:
        return frozenset({pwd.getpwnam(name).pw_uid})
    except KeyError:
        return frozenset()
