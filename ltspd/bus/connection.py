"""The connection to the bus: connect, call with a timeout, end. Knows nothing of what ltspd offers there."""

import asyncio
from collections.abc import Sequence
from typing import Any

from dbus_next import BusType, Message, MessageFlag, MessageType, SignatureTree
from dbus_next.aio import MessageBus

from ltspd.errors import LtspError

# The D-Bus reference library's own default for a method call, in seconds.
CALL_TIMEOUT = 25.0
# The contract needs fewer than 50 distinct signatures.
SIGNATURES_KEPT = 1000
DAEMON = "org.freedesktop.DBus"
DAEMON_PATH = "/org/freedesktop/DBus"


class BusError(Exception):
    """An error reply, or no reply at all: ``name`` is the D-Bus error name, ``message`` its sentence."""

    def __init__(self, name: str, message: str) -> None:
        """Keep both parts, so that callers can tell errors apart by name."""
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class NoBus(LtspError):
    """The bus can't be reached, or its connection ended."""

    name = "Failed"


async def connect(address: str | None = None) -> MessageBus:
    """Connect to the system bus, or to the bus at ``address``; raises NoBus.

    ``DBUS_SYSTEM_BUS_ADDRESS`` is honoured, as every D-Bus library does.
    """
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            return await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
    except Exception as error:  # dbus-next documents plain Exception here
        where = address or "the system bus"
        raise NoBus(f"Can't connect to {where} ({error or type(error).__name__}); is it running?") from error


async def call(
    bus: MessageBus,
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
    """Call a method and return its out-arguments; with NO_REPLY_EXPECTED, return once it is sent.

    ``timeout`` is in seconds: dbus-next never answers a call whose connection ended after it was
    queued. Raises BusError for an error reply, for a timeout (``…Error.NoReply``) and for a lost
    connection (``…Error.Disconnected``). Structs in ``body`` are lists, variants dbus-next's Variant.
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
    what = f"{interface}.{member} of {destination}"
    try:
        async with asyncio.timeout(timeout):
            reply = await bus.call(message)
    except TimeoutError:
        raise BusError(f"{DAEMON}.Error.NoReply", f"{what} did not answer within {timeout:g} s") from None
    except (EOFError, OSError) as error:
        raise BusError(f"{DAEMON}.Error.Disconnected", f"{what}: the bus connection ended") from error
    if reply is None:
        return []
    if reply.message_type is MessageType.ERROR:
        text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else "no reason given"
        raise BusError(reply.error_name, text)
    return list(reply.body)


async def daemon_call(
    bus: MessageBus, member: str, signature: str = "", body: Sequence[Any] = (), timeout: float = CALL_TIMEOUT
) -> list[Any]:
    """Call a method of the message bus daemon itself; raises BusError."""
    return await call(bus, DAEMON, DAEMON_PATH, DAEMON, member, signature, body, timeout=timeout)


def bound_signature_cache() -> None:
    """Keep dbus-next from remembering every signature that any local user ever sent us, for ever."""
    seen = getattr(SignatureTree, "_cache", None)
    if isinstance(seen, dict) and len(seen) > SIGNATURES_KEPT:
        seen.clear()


async def disconnect(bus: MessageBus) -> None:
    """End the connection and wait until it has ended; what was sent and awaited before has left."""
    if bus.connected:
        bus.disconnect()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await bus.wait_for_disconnect()
        except (EOFError, OSError, TimeoutError):
            pass  # it is ending; how it ended no longer matters to anyone
    # dbus-next shuts its socket down but leaves the descriptor to the garbage collector.
    for part in ("_stream", "_sock"):
        try:
            getattr(bus, part).close()
        except (AttributeError, OSError):
            pass
