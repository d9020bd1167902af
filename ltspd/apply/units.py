"""Units that run with their output's files: started, reloaded or stopped only when there is a reason."""

import logging
import time

from ltspd.apply.record import Record
from ltspd.apply.trouble import Troubles
from ltspd.dbus.systemd import Systemd
from ltspd.errors import Unanswered
from ltspd.model.output import Finding, Output, OutputState, Unit
from ltspd.names import UNIT_PREFIX
from ltspd.paths import Paths
from ltspd.system.files import digest, digest_of

log = logging.getLogger(__name__)


class Units:
    """Brings units in line with outputs whose files are on the disk already."""

    def __init__(self, paths: Paths, systemd: Systemd, record: Record) -> None:
        """Keep in ``record`` with what each unit runs."""
        self._paths = paths
        self._systemd = systemd
        self._record = record
        # The digest that a unit was last asked to run with. If it failed with that, only systemd retries.
        self._asked: dict[str, str] = {}
        self._troubles = Troubles(paths)
        # Whether systemd did not answer since this was last set to False.
        self.unanswered = False

    @property
    def over_in(self) -> float | None:
        """Seconds after which to look at them again though nothing may wake us; None: there is no need."""
        return self._troubles.over_in

    def forgive(self) -> None:
        """Let units that failed with their present files be started with them once more."""
        self._asked.clear()

    async def follow(self, output: Output, unit: Unit) -> Finding:
        """Let an output's unit run with its files; a unit that systemd says nothing of is left as it is."""
        try:
            return await self._follow(output, unit)
        except Unanswered as error:
            self.unanswered = True
            return OutputState.PENDING, error.message

    async def _follow(self, output: Output, how: Unit) -> Finding:
        unit = how.name
        if not self._systemd.present:
            return OutputState.FAILED, f"{unit} can't be started: systemd is not reachable."
        await self._systemd.watch([unit])
        status = await self._systemd.status(unit)
        wanted = digest(b"".join(file.data for file in output.files))
        asked = self._asked.get(unit) == wanted
        ailing = self._troubles.keeps_ending(status)
        if ailing and asked:
            return OutputState.FAILED, await self._troubles.why(output, status)
        # Whoever has asked for a reload that goes on: it is up.
        up = status.active in ("active", "reloading")
        if up and (how.follows or asked or self._record.units.get(unit) == wanted):
            self._record.units[unit] = self._asked[unit] = wanted
            return OutputState.IN_SYNC, ""
        starting = status.active == "activating" and status.sub != "auto-restart"
        # Between two runs it is inactive for a moment, while systemd's job to start it waits. Whoever can
        # reload takes our files when it is up: if a start or a reload of nfs-server is interrupted, systemd
        # leaves out ExecStop=, so the kernel's server goes on, and ExecStopPost= takes all exports from it.
        if (starting and (asked or how.reload)) or (asked and status.active == "inactive" and status.job):
            return OutputState.PENDING, f"{unit} is starting."
        if not up and asked:
            # It was started with these files before. If it failed, systemd restarts it (Restart=); otherwise
            # somebody stopped it. Starting it in each pass would do so again and again.
            return OutputState.FAILED, await self._troubles.why(output, status)
        self._asked[unit] = wanted
        reload = how.reload and up
        try:
            result = await self._systemd.act("ReloadUnit" if reload else "RestartUnit", unit)
        except Unanswered:
            # Nobody knows whether it has the new files, so it is asked again to take them.
            del self._asked[unit]
            self._record.units[unit] = ""
            raise
        if result != "done":
            self._record.units[unit] = ""
            if reload:
                self._asked.pop(unit)
            status = await self._systemd.status(unit)
            return OutputState.FAILED, await self._troubles.why(output, status, result)
        log.info("%s %s (%s)", "Reloaded" if reload else "Started", unit, output.name)
        self._record.units[unit] = wanted
        self._record.applied[output.name] = time.time_ns() // 1000
        return OutputState.IN_SYNC, ""

    async def leave(self, unit: str) -> Finding:
        """Stop a unit that no output needs any more; one of the distribution is told to read its files again.

        Returns DISABLED once that is done, else why not.
        """
        ours = unit.startswith(UNIT_PREFIX)
        if not self._systemd.present:
            return OutputState.DISABLED, ""
        try:
            status = await self._systemd.status(unit)
            # One of ours that failed is stopped, too, so that systemd no longer lists it as failed.
            if status.active != "inactive" if ours else status.active == "active":
                result = await self._systemd.act("StopUnit" if ours else "ReloadUnit", unit)
                if result != "done":
                    step = f"systemctl {'stop' if ours else 'reload'} {unit}"
                    return OutputState.FAILED, f"nothing needs it now, but '{step}' ended with {result!r}."
                log.info("%s %s, which nothing needs now", "Stopped" if ours else "Reloaded", unit)
        except Unanswered as error:
            self.unanswered = True
            return OutputState.PENDING, error.message
        self._asked.pop(unit, None)
        self._record.forget(unit)
        return OutputState.DISABLED, ""

    async def keep_running(self, output: Output) -> None:
        """Start a unit once with the files as they are, when those could not be brought up to date."""
        unit = output.unit
        if not (unit and self._systemd.present):
            return
        if unit in self._asked or not all(digest_of(self._paths.at(each.path)) for each in output.files):
            return
        # A unit that the output had before goes on; both may need the same port.
        if any(each != unit and self._record.owners.get(each) == output.name for each in self._record.units):
            return
        try:
            await self._systemd.watch([unit])
            if (await self._systemd.status(unit)).active == "inactive":
                await self._systemd.act("StartUnit", unit)
                self._asked[unit] = ""
        except Unanswered:
            self.unanswered = True
