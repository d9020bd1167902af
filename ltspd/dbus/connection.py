"""The connection to the bus: connect, send, call with a timeout, end. Knows nothing of what ltspd offers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from dbus_next import Message, MessageFlag, MessageType

from ltspd.dbus import library, wire
from ltspd.dbus.reader import PIECE, Reader
from ltspd.errors import LtspError

log = logging.getLogger(__name__)

# Returns the bytes of a message for the serial number that it gets when it is sent.
Packed = Callable[[int], bytes]
# Bytes that are sent at once at most: many small messages then take fewer turns of the loop.
BATCH = 65536

# The D-Bus reference library's own default for a method call, in seconds.
CALL_TIMEOUT = 25.0
# Seconds that close() waits until the last messages are sent, and again until the connection has ended.
CLOSE_TIMEOUT = 2.0
DAEMON = "org.freedesktop.DBus"
DAEMON_PATH = "/org/freedesktop/DBus"
FAILED = f"{DAEMON}.Error.Failed"
NO_REPLY = f"{DAEMON}.Error.NoReply"
DISCONNECTED = f"{DAEMON}.Error.Disconnected"


class BusError(Exception):
    """An error reply, or no reply at all: ``name`` is the D-Bus error name, ``message`` its sentence."""

    def __init__(self, name: str, message: str) -> None:
        """Keep both parts, so that callers can tell errors apart by name."""
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class NoBus(LtspError):
    """The bus can't be reached, or its connection ended."""


class Connection:
    """A connection around dbus-next's, which lacks two things.

    It gets one piece of data to send at a time: with two in its queue and a full socket, dbus-next 0.2.3
    takes EAGAIN for a broken connection and drops it, so that any flood of calls would end the daemon.
    And a caller that waits for a reply gets an error when the connection ends.
    """

    def __init__(self, bus: library.Bus, reader: Reader) -> None:
        """Take over a connected bus, and what reads from it; nothing else may send on it."""
        self._bus = bus
        reader.refuse = self._refuse
        self._outbox: asyncio.Queue[Message | Packed] = asyncio.Queue()
        self._sending = False
        self._then: list[Callable[[], None]] = []
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        bus.add_message_handler(self._reply)
        self._sender = asyncio.create_task(self._deliver(), name="bus outbox")
        self._end = asyncio.create_task(self._watch(), name="bus connection")

    @property
    def unique_name(self) -> str:
        """The connection's own name on the bus."""
        return str(self._bus.unique_name)

    @property
    def connected(self) -> bool:
        """Whether messages can still be sent."""
        return not self._end.done()

    def add_message_handler(self, handler: Callable[[Message], Any]) -> None:
        """Have every incoming message shown to ``handler``; true keeps it from later handlers."""
        self._bus.add_message_handler(handler)

    def send(self, message: Message | Packed) -> None:
        """Put a message into the outbox; it is dropped if the connection has ended."""
        if self.connected:
            self._outbox.put_nowait(message)

    def when_sent(self, then: Callable[[], None]) -> None:
        """Call ``then`` soon after everything in the outbox is sent."""
        if self._sending or not self._outbox.empty():
            self._then.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)

    async def request(self, message: Message, timeout: float) -> Message:
        """Send a call and return its reply; raises TimeoutError, and BusError if the connection ends."""
        message.serial = serial = self._bus.next_serial()
        if not self.connected:
            raise BusError(DISCONNECTED, "the bus connection has ended")
        self._waiting[serial] = asyncio.get_running_loop().create_future()
        self.send(message)
        try:
            async with asyncio.timeout(timeout):
                return await self._waiting[serial]
        finally:
            del self._waiting[serial]

    async def wait(self) -> None:
        """Return when the connection has ended, for whatever reason."""
        await asyncio.wait([self._end])

    async def close(self) -> None:
        """Send what is in the outbox, and end the connection."""
        if self.connected:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._outbox.join()
            except TimeoutError:
                log.warning(
                    "The bus takes no more messages; ending without the last %d", self._outbox.qsize()
                )
        if self.connected:
            self._bus.disconnect()
            await asyncio.wait([self._end], timeout=CLOSE_TIMEOUT)
        for task in (self._end, self._sender):
            task.cancel()
        await asyncio.gather(self._end, self._sender, return_exceptions=True)
        self._bus.close()

    def _refuse(self, head: wire.Message, flags: int) -> None:
        """Answer a call that is too long."""
        if not flags & MessageFlag.NO_REPLY_EXPECTED.value:
            fields = {4: f"{DAEMON}.Error.LimitsExceeded", 5: head.serial, 6: head.sender, 8: "s"}
            body = wire.content("s", ["The call is too long; nothing here takes that much."])
            self.send(lambda serial: wire.assemble(wire.ERROR, serial, fields, body))

    async def _deliver(self) -> None:
        while True:
            self._sending = False
            if self._then and self._outbox.empty():
                then, self._then = self._then, []
                for each in then:
                    asyncio.get_running_loop().call_soon(each)
            batch = [await self._outbox.get()]
            self._sending = True
            data = self._bytes(batch[0])
            while len(data) < BATCH and not self._outbox.empty():
                batch.append(self._outbox.get_nowait())
                data += self._bytes(batch[-1])
            try:
                if data:
                    await self._bus.send(library.raw(data))
            except (EOFError, OSError):
                return  # _watch() logs it
            finally:
                for _ in batch:
                    self._outbox.task_done()

    def _bytes(self, message: Message | Packed) -> bytes:
        try:
            if not isinstance(message, Message):
                return message(self._bus.next_serial())
            message.serial = message.serial or self._bus.next_serial()
            return library.packed(message)
        except Exception:
            # A body that doesn't fit its signature is a mistake of ours; other messages are still sent.
            log.exception("Can't send %s", getattr(message, "member", None) or "a reply or signal")
            if isinstance(message, Message) and (future := self._waiting.get(message.serial)):
                future.set_exception(BusError(FAILED, f"{message.member}: the arguments can't be sent"))
            return b""

    def _reply(self, message: Message) -> bool:
        if message.message_type not in (MessageType.METHOD_RETURN, MessageType.ERROR):
            return False
        future = self._waiting.get(message.reply_serial)
        if future is not None and not future.done():
            future.set_result(message)
        return future is not None

    async def _watch(self) -> None:
        try:
            await self._bus.wait_for_disconnect()
        except Exception as error:  # dbus-next raises what broke the connection
            log.error("The connection to the bus broke: %s", str(error) or type(error).__name__)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(BusError(DISCONNECTED, "the bus connection ended"))


async def connect(address: str | None = None) -> Connection:
    """Connect to the system bus, or to the bus at ``address``; raises NoBus, Unsuitable.

    ``DBUS_SYSTEM_BUS_ADDRESS`` is honoured, as every D-Bus library does.
    """
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            bus = library.Bus(address)
            reader = Reader(bus.take)
            bus.readable = lambda: reader.feed(bus.receive(PIECE))
            return Connection(await bus.connect(), reader)
    except LtspError:
        raise
    except Exception as error:  # dbus-next documents plain Exception here
        where = address or "the system bus"
        raise NoBus(
            f"Can't connect to {where} ({str(error) or type(error).__name__}); is it running?"
        ) from error


async def call(
    bus: Connection,
    destination: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    *,
    timeout: float = CALL_TIMEOUT,
    flags: int = 0,
) -> list[Any]:
    """Call a method and return its out-arguments; with NO_REPLY_EXPECTED, return at once.

    ``timeout`` is in seconds. Raises BusError for an error reply, for a timeout (``…Error.NoReply``)
    and for a lost connection (``…Error.Disconnected``). Structs in ``body`` are lists, variants
    dbus-next's Variant.
    """
    message = Message(
        destination=destination,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
        flags=MessageFlag(flags),
    )
    if message.flags & MessageFlag.NO_REPLY_EXPECTED:
        bus.send(message)
        return []
    try:
        reply = await bus.request(message, timeout)
    except TimeoutError:
        what = f"{interface}.{member} of {destination}"
        raise BusError(NO_REPLY, f"{what} did not answer within {timeout:g} s") from None
    if reply.message_type is MessageType.ERROR:
        text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else "no reason given"
        raise BusError(reply.error_name, text)
    return list(reply.body)


async def daemon_call(
    bus: Connection, member: str, signature: str = "", body: Sequence[Any] = (), timeout: float = CALL_TIMEOUT
) -> list[Any]:
    """Call a method of the message bus daemon itself; raises BusError."""
    return await call(bus, DAEMON, DAEMON_PATH, DAEMON, member, signature, body, timeout=timeout)
