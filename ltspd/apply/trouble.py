"""Why a unit doesn't run, as a sentence with the last line it printed; and which units keep restarting.

This only looks. Restarting is done by systemd (``Restart=``) and by ``units``.
"""

import asyncio
import re
import time
from collections.abc import Callable

from ltspd.dbus.systemd import UnitStatus
from ltspd.errors import ToolFailed
from ltspd.model.output import Output
from ltspd.observe.ports import holders
from ltspd.paths import Paths
from ltspd.system.run import run

# A unit counts as crash-looping after OFTEN restarts within WINDOW seconds; a single restart is not reported.
# Systemd restarts our units after 5 s, so a unit that keeps failing often looks fine when a pass looks.
OFTEN = 2
WINDOW = 30.0
# Searching the journal may take this long, in seconds; on a busy server it can be slow.
JOURNAL_SECONDS = 5.0
# How the names of all our units begin.
OURS = "ltspd-"
# How many characters of the line that a program printed last a Problem repeats.
WORDS = 240


class Troubles:
    """What is remembered of each unit: when it was restarted, and what it printed last."""

    def __init__(self, paths: Paths, clock: Callable[[], float] = time.monotonic) -> None:
        """Look for holders of ports below ``paths``; ``clock`` is in seconds."""
        self._paths = paths
        self._clock = clock
        self._counted: dict[str, int] = {}
        self._restarts: dict[str, list[float]] = {}
        self._words: dict[str, str] = {}
        self._ends: dict[str, str] = {}

    def keeps_ending(self, status: UnitStatus) -> bool:
        """Remember a unit's restarts, and return whether there were too many lately."""
        name, now = status.name, self._clock()
        # When restarts before our first look happened is not known, so they don't count.
        before = self._counted.get(name, status.restarts)
        self._counted[name] = status.restarts
        new = [now] * min(OFTEN, status.restarts - before)
        recent = [each for each in self._restarts.get(name, []) if now - each < WINDOW] + new
        self._restarts[name] = recent
        if not recent and status.active == "active":
            self._words.pop(name, None)
        return len(recent) >= OFTEN

    @property
    def over_in(self) -> float | None:
        """Seconds after which a unit that kept ending counts as well if it stays; None: there is none."""
        ends = [each[-OFTEN] + WINDOW for each in self._restarts.values() if len(each) >= OFTEN]
        # Units that are no longer looked at stay in the list; their time is over.
        waits = [each - self._clock() + 0.1 for each in ends]
        return min((each for each in waits if each > 0), default=None)

    async def why(self, output: Output, status: UnitStatus, result: str = "") -> str:
        """Return why a unit does not run; most often another process has its port.

        ``result`` is how systemd's job to start it ended.
        """
        unit = output.unit
        for holder in holders(self._paths, output.ports):
            # Our own services share ports on purpose: DHCP with addresses and proxyDHCP have one each.
            if not holder.unit.startswith(OURS):
                other = f", {holder.unit}" if holder.unit else ""
                name = output.port_setting
                move = f", or set {name}= in [server] of ltsp.conf to another" if name else ""
                return (
                    f"{unit} can't start: port {holder.port}/{holder.protocol} is held by "
                    f"{holder.process} (pid {holder.pid}{other}). Stop that, and this starts by itself{move}."
                )
        again = (status.active, status.sub) == ("activating", "auto-restart")
        how = status.result if again or status.result not in ("", "success") else result or status.result
        often = len(self._restarts.get(unit, ())) >= OFTEN
        if how not in ("", "success"):
            self._ends[unit] = how
        elif often:  # it is being restarted now
            how = self._ends.get(unit, how)
        if how == "success" and not again:
            return f"{unit} was stopped by somebody; 'systemctl start {unit}' starts it again."
        words = await self._last_words(status)
        # If systemd restarted it and does so no longer, its limit was reached, whatever Result says.
        if how == "start-limit-hit" or (often and status.active == "failed"):
            return (
                f"{unit} ended too often in a short time, so systemd has given it up{words}. Mend the cause "
                f"('journalctl -u {unit}'), then 'ltspctl apply' starts it again."
            )
        if often:
            return (
                f"{unit} keeps ending ({how}){words}. systemd starts it again each time; "
                f"'journalctl -u {unit}' tells more."
            )
        if again:
            return f"{unit} ended ({how}){words}; systemd starts it again in a moment."
        return (
            f"{unit} does not run ({how}){words}; see 'journalctl -u {unit}'. "
            "'ltspctl apply' tries to start it again."
        )

    async def _last_words(self, status: UnitStatus) -> str:
        """Return the last line that a unit's last run printed, as part of a sentence, or nothing."""
        if status.active != "active" and status.invocation:
            words = [f"_SYSTEMD_UNIT={status.name}", f"_SYSTEMD_INVOCATION_ID={status.invocation}"]
            try:
                async with asyncio.timeout(JOURNAL_SECONDS):
                    said = await run(
                        ["journalctl", "-q", "--no-pager", "-o", "cat", "-n", "5", *words], check=False
                    )
            except (ToolFailed, TimeoutError):
                return ""
            lines = [line.strip() for line in said.stdout.decode(errors="replace").splitlines()]
            before = self._words.get(status.name, "")
            if (spoken := [line for line in lines if line]) and _same(spoken[-1]) != _same(before):
                self._words[status.name] = spoken[-1][-WORDS:]
        words_kept = self._words.get(status.name, "")
        return f'; its last words: "{words_kept}"' if words_kept else ""


def _same(words: str) -> str:
    """Return a line without its numbers: times and process IDs differ each time a program fails."""
    return re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", words[-WORDS:])
