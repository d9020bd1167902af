"""dbus-next beyond its documented interface: each private member that we use, with the reason, and only here.

``check`` refuses a version that lacks one, before anything depends on it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

import dbus_next
from dbus_next import BusType, Message, SignatureTree
from dbus_next.aio import MessageBus

from ltspd.errors import LtspError

# Where a private member is, below the library or (``bus.``) in a bus that was made -> what for.
PRIVATE: Mapping[str, str] = {
    "aio.MessageBus._message_reader": "one message that makes no sense must not end the connection",
    "aio.MessageBus._on_message": "messages that were read have to reach their handlers",
    "aio.MessageBus._finalize": "the end of the connection has to be told",
    "_private.unmarshaller.Unmarshaller": "messages are cut out of the stream first, to bound their length",
    "Message._marshall": "many small messages are sent as one piece of data",
    "bus._sock": "the socket has to be read, and closed",
    "bus._stream": "the socket has to be closed",
}
# The version that Debian 12 and 13 have, with which all of this was tried.
TRIED = "0.2.3"
# The interface needs fewer than 50 distinct signatures.
SIGNATURES_KEPT = 1000


class Unsuitable(LtspError):
    """A version of the D-Bus library that lacks something that we need."""


def check(library: ModuleType = dbus_next, bus: object = None) -> None:
    """Raise Unsuitable if the library, or a ``bus`` that it made, lacks a private member of PRIVATE."""
    for name, reason in PRIVATE.items():
        of_bus = name.startswith("bus.")
        if of_bus != (bus is not None):
            continue
        found: Any = bus if of_bus else library
        for part in name.removeprefix("bus.").split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise Unsuitable(
                    f"The installed dbus-next ({_version()}) has no {name.rpartition('.')[2]}, which ltspd "
                    f"needs because {reason}. Install version {TRIED}, as in Debian's python3-dbus-next."
                ) from None


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("dbus-next")
    except metadata.PackageNotFoundError:
        return "of an unknown version"


class Bus(MessageBus):  # type: ignore[misc]
    """The library's connection; what can be read from its socket goes to ``readable`` instead."""

    def __init__(self, address: str | None) -> None:
        """Prepare to connect to the system bus, or to the bus at ``address``; raises Unsuitable."""
        check()
        super().__init__(bus_address=address, bus_type=BusType.SYSTEM)
        check(bus=self)
        self.readable: Callable[[], None] = lambda: None

    def receive(self, most: int) -> bytes:
        """Return what has come, at most ``most`` bytes; empty: nothing yet, or the connection has ended."""
        try:
            data = bytes(self._sock.recv(most))
        except BlockingIOError:
            return b""
        except OSError as error:
            self._finalize(error)
            return b""
        if not data:
            self._finalize(EOFError("the bus closed it"))
        return data

    def take(self, message: Message) -> None:
        """Show a message to the handlers."""
        self._on_message(message)

    def close(self) -> None:
        """Close the socket, which the library only shuts down and leaves to the garbage collector."""
        for part in (self._stream, self._sock):
            with suppress(OSError):
                part.close()

    def _message_reader(self) -> None:
        self.readable()


def parsed(source: Any) -> Message | None:
    """Return the message in a file of exactly its bytes; None if it ends too early. Raises what it likes."""
    # Not at the top: a version without it is to be refused by check(), with a sentence.
    from dbus_next._private.unmarshaller import Unmarshaller

    _bound_signature_cache()
    return Unmarshaller(source).unmarshall()


def packed(message: Message) -> bytes:
    """Return a message's bytes; raises if its body does not fit its signature."""
    return bytes(message._marshall())


def raw(data: bytes) -> Message:
    """Return a message that the library sends as these bytes, which are whole messages."""
    message = Message.new_signal("/", "org.freedesktop.DBus", "Raw")
    message.serial = 1  # it is not sent: the messages in ``data`` have their own
    message._marshall = lambda negotiate_unix_fd=False: data
    return message


def _bound_signature_cache() -> None:
    """Keep the library from remembering every signature that any local user ever sent us, for ever."""
    seen = getattr(SignatureTree, "_cache", None)  # none, nothing to bound
    if isinstance(seen, dict) and len(seen) > SIGNATURES_KEPT:
        seen.clear()
