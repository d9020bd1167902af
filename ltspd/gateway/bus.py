"""The gateway's connection to the system bus: kept up, tells when a daemon appears, carries calls to it."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from ltspd.dbus import wire
from ltspd.dbus.caller import BUS, SYSTEM_BUS, CallError, Unreachable, places
from ltspd.names import ROOT_PATH, STEM, interface

log = logging.getLogger("ltspd.gateway")

# Seconds between attempts while the bus is away. They become rare, because without a bus there is no daemon.
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
# A call that hands clients over may wait for the daemon's first look at its images.
CALL_SECONDS = 60.0
# D-Bus specification, "Message Format".
MESSAGE_MOST = 128 << 20

PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


class BusConnection:
    """One connection after the other. ``came`` is called for each new daemon, ``finished`` for each job."""

    def __init__(self, came: Callable[[], None], finished: Callable[[str, str], None] | None = None) -> None:
        """Not connected yet; ``run`` does that. ``finished`` gets a job's path and result; None: unasked."""
        self._came, self._finished = came, finished
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[wire.Message]] = {}
        self._serial = 0
        self._owner = ""
        # Our own name on the bus; empty while there is no connection.
        self.name = ""

    @property
    def daemon(self) -> bool:
        """Whether the daemon is on the bus."""
        return bool(self._owner)

    async def run(self) -> None:
        """Keep a connection; this never ends by itself."""
        failed = 0
        while True:
            try:
                reader = await self._connect()
            except (OSError, EOFError) as error:
                log.debug("No system bus: %s", error)
                pause = PAUSES[min(failed, len(PAUSES) - 1)]
                failed += 1
            else:
                pause, failed = PAUSES[0], 0
                await self._serve(reader)
            await asyncio.sleep(pause)

    async def call(
        self, path: str, on: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> tuple[Any, ...]:
        """Call a method of the daemon, without starting it; raises CallError, Unreachable."""
        if not self._owner:
            raise Unreachable("ltspd is not on the bus.")
        return await self._call(STEM, path, on, member, signature, body)

    async def close(self) -> None:
        """End the connection, if there is one."""
        self._drop()

    async def _connect(self) -> asyncio.StreamReader:
        address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS
        error: OSError = ConnectionError("no Unix socket in its address")
        for place in places(address):
            try:
                reader, writer = await asyncio.open_unix_connection(place)
            except OSError as why:
                error = why
                continue
            try:
                # The EXTERNAL mechanism: the socket's credentials prove the user that is named here.
                writer.write(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
                if not (await reader.readuntil(b"\r\n")).startswith(b"OK "):
                    raise ConnectionError("it refuses us")
                writer.write(b"BEGIN\r\n")
            except (OSError, EOFError):
                writer.close()
                raise
            self._writer = writer
            return reader
        raise error

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        """Read until the connection ends."""
        hello = asyncio.create_task(self._hello(), name="bus hello")
        try:
            while True:
                head = await reader.readexactly(wire.PREFIX)
                rest = wire.size(head) - wire.PREFIX
                if rest > MESSAGE_MOST:
                    raise ConnectionError("a message is longer than messages can be")
                data = head + await reader.readexactly(rest)
                try:
                    message = wire.parse(data)
                except Exception:
                    # Anyone on the bus can send us a signal; a malformed one must not end this connection.
                    log.debug("A message on the bus made no sense", exc_info=True)
                    continue
                self._take(message)
        except (OSError, EOFError) as error:
            log.info("The connection to the system bus ended (%s).", error)
        finally:
            hello.cancel()
            await asyncio.gather(hello, return_exceptions=True)
            self._drop()

    async def _hello(self) -> None:
        owner = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{STEM}'"
        manager = interface("Manager")
        jobs = f"type='signal',sender='{STEM}',path='{ROOT_PATH}',interface='{manager}',member='JobFinished'"
        try:
            (self.name,) = await self._bus("Hello")
            for rule in (owner, *((jobs,) if self._finished is not None else ())):
                await self._bus("AddMatch", "s", [rule])
            try:
                (name,) = await self._bus("GetNameOwner", "s", [STEM])
            except CallError:
                return  # The daemon is away; a signal tells when it comes.
            self._owned(str(name))
        except (CallError, Unreachable) as error:
            log.warning("The system bus won't talk to us: %s", error)

    async def _bus(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> tuple[Any, ...]:
        return await self._call(BUS, "/org/freedesktop/DBus", BUS, member, signature, body)

    async def _call(
        self, destination: str, path: str, on: str, member: str, signature: str, body: Sequence[Any]
    ) -> tuple[Any, ...]:
        if self._writer is None:
            raise Unreachable("The system bus is away.")
        self._serial += 1
        serial = self._serial
        future: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._waiting[serial] = future
        try:
            self._writer.write(
                wire.call(serial, destination, path, on, member, signature, body, wire.NO_AUTO_START)
            )
            async with asyncio.timeout(CALL_SECONDS):
                reply = await future
        except TimeoutError:
            raise Unreachable(f"{member} was not answered within {CALL_SECONDS:g} s.") from None
        finally:
            self._waiting.pop(serial, None)
        if reply.kind == wire.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else reply.error
            raise CallError(reply.error, text)
        return reply.body

    def _take(self, message: wire.Message) -> None:
        if message.kind in (wire.RETURN, wire.ERROR):
            future = self._waiting.get(message.reply_to)
            if future is not None and not future.done():
                future.set_result(message)
        elif message.kind != wire.SIGNAL:
            return
        # Anyone on the bus can send us a signal, so the sender is checked.
        elif message.sender == BUS and message.member == "NameOwnerChanged" and len(message.body) == 3:
            if message.body[0] == STEM:
                self._owned(str(message.body[2]))
        elif message.sender != self._owner or self._finished is None:
            return
        elif message.member == "JobFinished" and len(message.body) == 2:
            self._finished(str(message.body[0]), str(message.body[1]))

    def _owned(self, owner: str) -> None:
        before, self._owner = self._owner, owner
        if owner and owner != before:
            self._came()

    def _drop(self) -> None:
        writer, self._writer, self._owner, self.name = self._writer, None, "", ""
        if writer is not None:
            writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unreachable("The connection to the system bus ended."))
