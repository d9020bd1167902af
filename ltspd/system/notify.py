"""What the daemon tells systemd: ready, stopping, one line of status, and that it is alive."""

import asyncio
import os

from systemd import daemon


class Notify:
    """The service manager's notification socket; without one, all methods do nothing."""

    def __init__(self) -> None:
        """Have told nothing yet."""
        self._status = ""

    def ready(self) -> None:
        """Say that the bus name is taken and calls are answered."""
        daemon.notify("READY=1")

    def stopping(self) -> None:
        """Say that the end is intended."""
        daemon.notify("STOPPING=1")

    def status(self, line: str) -> None:
        """Show a line in ``systemctl status``; the same one is told once, for a full socket would block."""
        line = line.splitlines()[0]
        if line != self._status:
            self._status = line
            daemon.notify(f"STATUS={line}")

    async def watchdog(self) -> None:
        """Report at half the watchdog's interval; return at once if the unit has no watchdog.

        This is an ordinary task, so a loop that hangs stops reporting, and systemd restarts the daemon.
        """
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        if not microseconds:
            return
        while True:
            daemon.notify("WATCHDOG=1")
            await asyncio.sleep(microseconds / 2e6)
