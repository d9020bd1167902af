"""Systemd's units over its D-Bus API: reading their states; starting, reloading and stopping them."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dbus_next import Message, MessageType

from ltspd.dbus.connection import NO_REPLY, BusError, Connection, call, daemon_call
from ltspd.errors import Unanswered

log = logging.getLogger(__name__)

SYSTEMD = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
UNIT = f"{SYSTEMD}.Unit"
BUS = "org.freedesktop.DBus"
NO_OWNER = f"{BUS}.Error.NameHasNoOwner"
# How long a unit may take to start or stop before that counts as failed.
JOB_SECONDS = 30.0
# How long systemd may take for an answer. It needs milliseconds, or seconds while it reads its units again.
ANSWER_SECONDS = 10.0
# If systemd did not answer, it is not asked again for this long; else a pass would wait at each unit.
SILENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One systemd unit: ``active`` is systemd's ActiveState, ``result`` its Result.

    ``restarts`` counts those by systemd itself, ``invocation`` is the last run's id; ``job``: a job waits.
    """

    name: str
    active: str
    sub: str
    result: str
    restarts: int = 0
    invocation: str = ""
    job: bool = False


class Systemd:
    """The service manager, or its absence (then ``present`` is False and nothing can be started)."""

    def __init__(self, bus: Connection, wake: Callable[[], None]) -> None:
        """Call ``wake`` when a watched unit changes."""
        self._bus = bus
        self._wake = wake
        self._watched: dict[str, str] = {}
        self._results: dict[str, asyncio.Future[str]] = {}
        # Results that come before the reply that names their job; kept only while a result is waited for.
        self._done: dict[str, str] = {}
        self._acting = 0
        self._owner = ""
        self._subscribed = ""
        # The time until which systemd is not asked again, and the error to raise meanwhile.
        self._silent: tuple[float, BusError | None] = (0.0, None)
        self.present = False

    async def start(self) -> None:
        """Subscribe to job results; without systemd on the bus, ``present`` is False and nothing is done.

        A bus or a systemd that doesn't answer now counts as present and is asked again when it is needed.
        """
        self._bus.add_message_handler(self._message)
        try:
            await self._match(f"sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'")
            await self._match(f"sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'")
            await self._reach()
        except BusError as error:
            self.present = error.name != NO_OWNER
            if self.present:
                log.warning("systemd does not answer yet: %s", error.message)

    async def _reach(self) -> None:
        """Subscribe, once for each connection that systemd has had. Raises BusError."""
        if not self._owner:
            (self._owner,) = await daemon_call(self._bus, "GetNameOwner", "s", [SYSTEMD])
            self.present = True
        if self._subscribed != (owner := self._owner):
            try:
                await self._ask(ROOT, MANAGER, "Subscribe")
            except BusError as error:
                if not _of_systemd(error):  # which says that we are subscribed already
                    raise
            self._subscribed = owner

    async def watch(self, units: Iterable[str]) -> None:
        """Wake on changes of these units' state from now on."""
        for unit in units:
            path = unit_path(unit)
            if path not in self._watched:
                rule = f"sender='{SYSTEMD}',interface='org.freedesktop.DBus.Properties',path='{path}'"
                try:
                    await self._match(rule)
                    self._watched[path] = unit
                except BusError as error:
                    # If the bus is gone, the daemon ends anyway with a better message.
                    log.warning("Changes of %s will go unnoticed: %s", unit, error.message)

    async def status(self, unit: str) -> UnitStatus:
        """Return a unit's state; one that systemd doesn't know is inactive. Raises Unanswered."""
        if not self.present:
            return UnitStatus(unit, "inactive", "dead", "no systemd")
        try:
            await self._reach()
            (path,) = await self._ask(ROOT, MANAGER, "LoadUnit", "s", [unit])
            properties = "org.freedesktop.DBus.Properties"
            (of_unit,) = await self._ask(path, properties, "GetAll", "s", [UNIT])
            result, restarts = "", 0
            if unit.endswith(".service"):
                result = str(await self._of(path, "Service", "Result"))
                restarts = int(await self._of(path, "Service", "NRestarts"))
            elif unit.endswith(".socket"):
                result = str(await self._of(path, "Socket", "Result"))
        except BusError as error:
            raise _unanswered(unit, error) from error
        # A unit whose file is gone, as after an upgrade, may still run.
        if of_unit["LoadState"].value == "not-found":
            result = "not-found"
        active, sub = of_unit["ActiveState"].value, of_unit["SubState"].value
        invocation, job = of_unit["InvocationID"].value.hex(), bool(of_unit["Job"].value[0])
        return UnitStatus(unit, active, sub, result, restarts, invocation, job)

    async def _of(self, path: str, kind: str, name: str) -> Any:
        body = [f"{SYSTEMD}.{kind}", name]
        properties = "org.freedesktop.DBus.Properties"
        (value,) = await self._ask(path, properties, "Get", "ss", body)
        return value.value

    async def going_down(self) -> bool:
        """Return whether the whole machine is being shut down or rebooted, and not our service alone."""
        if not self.present:
            return False
        properties = "org.freedesktop.DBus.Properties"
        try:
            (state,) = await self._ask(ROOT, properties, "Get", "ss", [MANAGER, "SystemState"])
        except BusError as error:
            log.warning("systemd does not say whether this machine goes down: %s", error.message)
            return False
        return bool(state.value == "stopping")

    async def hang_up(self, unit: str) -> None:
        """Send SIGHUP to a unit's main process; a job could not be had while the machine goes down."""
        try:
            await self._ask(ROOT, MANAGER, "KillUnit", "ssi", [unit, "main", int(signal.SIGHUP)])
        except BusError as error:
            log.warning("%s can't be told of news: %s", unit, error.message)

    async def act(self, method: str, unit: str, patience: float = 0.0) -> str:
        """Call StartUnit, StopUnit, RestartUnit or ReloadOrRestartUnit and return the job's result.

        ``done`` is success (systemd(1), "JobRemoved"); anything else is a reason in a word, also after
        ``patience`` seconds if that is more than other units have. Raises Unanswered if it is not known
        whether that happened.
        """
        if not self.present:
            return "no systemd"
        try:
            await self._reach()
            await self._ask(ROOT, MANAGER, "ResetFailedUnit", "s", [unit])
        except BusError as error:
            if not _of_systemd(error):
                raise _unanswered(unit, error) from error
            # There was nothing to reset.
        self._acting += 1
        try:
            (job,) = await self._ask(ROOT, MANAGER, method, "ss", [unit, "replace"])
            return await self._result(job, max(JOB_SECONDS, patience))
        except BusError as error:
            if not _of_systemd(error):
                raise _unanswered(unit, error) from error
            return error.message
        finally:
            self._acting -= 1
            if not self._acting:
                self._done.clear()

    async def _result(self, job: str, seconds: float) -> str:
        if job in self._done:
            return self._done.pop(job)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._results[job] = future
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return f"still not there after {seconds:.0f} s"
        finally:
            del self._results[job]

    async def _ask(self, path: str, interface: str, member: str, signature: str = "", body: Any = ()) -> Any:
        """Call a method of systemd and return its answers; raises BusError."""
        until, before = self._silent
        if before is not None and time.monotonic() < until:
            raise before
        try:
            return await call(
                self._bus, SYSTEMD, path, interface, member, signature, body, timeout=ANSWER_SECONDS
            )
        except BusError as error:
            if error.name == NO_REPLY:
                self._silent = (time.monotonic() + SILENT_SECONDS, error)
            raise

    async def _match(self, rule: str) -> None:
        await daemon_call(self._bus, "AddMatch", "s", [f"type='signal',{rule}"])

    def _message(self, message: Message) -> Any:
        if message.message_type is not MessageType.SIGNAL:
            return None
        if message.sender == BUS and message.member == "NameOwnerChanged" and message.body[0] == SYSTEMD:
            # After an upgrade systemd executes itself anew and has another unique name.
            self._owner = message.body[2]
            self.present |= bool(self._owner)
            self._wake()
        # Anybody on the bus can send us signals; only those of systemd count.
        if message.sender != self._owner:
            return None
        if message.member == "JobRemoved" and message.interface == MANAGER:
            _, job, _, result = message.body
            if future := self._results.get(job):
                if not future.done():
                    future.set_result(result)
            elif self._acting:
                self._done[job] = result
        elif message.member == "PropertiesChanged" and message.path in self._watched:
            self._wake()
        return None


def _of_systemd(error: BusError) -> bool:
    """Return whether the error is systemd's own: no such unit, masked, bad setting and the like."""
    return error.name.startswith(f"{SYSTEMD}.")


def _unanswered(unit: str, error: BusError) -> Unanswered:
    """Return the error for a call that systemd did not answer."""
    return Unanswered(
        f"systemd does not say how {unit} is ({error.message}), so it is left as it is and asked again soon. "
        "If that stays so, see 'systemctl status'."
    )


def unit_path(unit: str) -> str:
    """Return systemd's object path of a unit name (its documented bus label escaping)."""
    escaped = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in unit)
    return f"{ROOT}/unit/{escaped}"
