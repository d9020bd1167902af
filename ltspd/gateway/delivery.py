"""When the daemon is told: soon after news, in one call what came together, and again if that failed."""

import asyncio
from collections.abc import Awaitable, Callable

from ltspd.gateway.bus import BusConnection

# News come in bursts when a class switches on: what comes within this time goes in one call. Seconds.
PACE = 0.25
# Seconds from a failed call to the next attempt. A daemon that has just started is told at once.
AGAIN = 30.0


class Delivery:
    """Calls ``deliver`` whenever there is news and a daemon; it returns whether the daemon knows all now."""

    def __init__(self, bus: BusConnection, deliver: Callable[[], Awaitable[bool]]) -> None:
        """Deliver nothing before ``run``."""
        self._bus, self._deliver = bus, deliver
        self._wake, self._new_daemon = asyncio.Event(), asyncio.Event()

    def wake(self) -> None:
        """Say that there is news."""
        self._wake.set()

    def came(self) -> None:
        """Say that there is a new daemon, which knows nothing yet."""
        self._new_daemon.set()
        self._wake.set()

    async def run(self) -> None:
        """Keep the connection and deliver; this never ends by itself."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bus.run(), name="bus")
            try:
                await self._forever()
            finally:
                await self._bus.close()

    async def _forever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PACE)
            self._wake.clear()
            self._new_daemon.clear()
            if self._bus.daemon and not await self._deliver():
                # What was not told is kept until then, however much of it there is.
                try:
                    async with asyncio.timeout(AGAIN):
                        await self._new_daemon.wait()
                except TimeoutError:
                    pass
                self._wake.set()
