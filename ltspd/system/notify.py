"""What systemd is told: ready, stopping, one line of status, and that we are alive."""

import asyncio
import os

from ltspd.model.state import ServerState, State
from systemd import daemon


class Notify:
    """The service manager's notification socket; without one, everything here does nothing."""

    def ready(self) -> None:
        """Say that the bus name is taken and calls are answered."""
        daemon.notify("READY=1")

    def stopping(self) -> None:
        """Say that the end is intended."""
        daemon.notify("STOPPING=1")

    def status(self, state: State) -> None:
        """Show in ``systemctl status`` what the bus shows."""
        if state.state is ServerState.ATTENTION:
            line = f"Needs attention: {state.problems[0] if state.problems else '?'}"
        else:
            serving = [link.name for link in state.links if link.dhcp != "off"]
            built = sum(1 for image in state.images if image.current)
            line = f"{state.state}: {built} image(s) on {', '.join(serving) or 'no interface'}"
        daemon.notify(f"STATUS={line.splitlines()[0]}")

    async def watchdog(self) -> None:
        """Say at half the watchdog's time that the loop turns; without a watchdog return at once.

        An ordinary task, so that a loop that is stuck stops saying so.
        """
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        if not microseconds:
            return
        while True:
            daemon.notify("WATCHDOG=1")
            await asyncio.sleep(microseconds / 2e6)
