"""A small blocking D-Bus client on a Unix socket: connect, call, wait for signals."""

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from ltspd.dbus import wire
from ltspd.names import STEM

SYSTEM_BUS = "unix:path=/var/run/dbus/system_bus_socket"
BUS = "org.freedesktop.DBus"
# How long a call that only reads may take, in seconds; libdbus has the same default.
READ_TIMEOUT = 25.0


class CallError(Exception):
    """An error reply: ``name`` is the D-Bus error name, ``message`` its sentence."""

    def __init__(self, name: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(message)
        self.name = name
        self.message = message


class Unreachable(Exception):
    """The bus can't be reached, or its connection ended; the text is for people."""


class Client:
    """One connection. Signals that come while a call waits for its reply are kept for ``signal``."""

    def __init__(self, address: str = "") -> None:
        """Connect to the system bus, or the bus at an address, and say hello; raises Unreachable."""
        address = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS
        self._socket = _connect(address)
        self._buffer = bytearray()
        self._serial = 0
        self._signals: deque[wire.Message] = deque()
        try:
            self._authenticate()
            self.bus("Hello")
        except OSError as error:
            raise Unreachable(f"The bus at {address} refused us ({error}).") from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        destination: str = STEM,
        flags: int = 0,
        timeout: float | None = READ_TIMEOUT,
    ) -> tuple[Any, ...]:
        """Call a method and return its out-arguments; raises CallError, Unreachable.

        Without a ``timeout`` (seconds) it waits as long as the daemon lives: the bus itself answers
        for one that ends.
        """
        self._serial += 1
        serial = self._serial
        message = wire.call(serial, destination, path, interface, member, signature, body, flags)
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(message)
        except OSError as error:
            raise Unreachable(f"The connection to the system bus broke ({error}).") from error
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            reply = self._receive(deadline)
            if reply is None:
                raise CallError(f"{BUS}.Error.NoReply", f"{member} was not answered within {timeout:g} s.")
            if reply.kind == wire.SIGNAL:
                self._signals.append(reply)
            elif reply.reply_to == serial:
                break
        if reply.kind == wire.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else reply.error
            raise CallError(reply.error, text)
        return reply.body

    def bus(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Call a method of the message bus itself."""
        return self.call("/org/freedesktop/DBus", BUS, member, signature, body, destination=BUS)

    def subscribe(self, rule: str) -> None:
        """Ask for the signals that a match rule names."""
        self.bus("AddMatch", "s", [rule])

    def signal(self) -> wire.Message:
        """Wait for the next signal; raises Unreachable when the connection ends."""
        while not self._signals:
            message = self._receive(None)
            if message is not None and message.kind == wire.SIGNAL:
                return message
        return self._signals.popleft()

    def fileno(self) -> int:
        """Return the socket's descriptor, for a program that waits for several connections at once."""
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Whether something is received already; then the descriptor need not become readable."""
        return bool(self._signals or self._buffer)

    def _receive(self, deadline: float | None) -> wire.Message | None:
        """Return the next message, or None after the deadline; raises Unreachable."""
        head = self._peek(wire.PREFIX, deadline)
        if head is None or (whole := self._peek(wire.size(head), deadline)) is None:
            return None
        del self._buffer[: len(whole)]
        return wire.parse(whole)

    def _peek(self, length: int, deadline: float | None) -> bytes | None:
        while len(self._buffer) < length:
            try:
                self._socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
                piece = self._socket.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise Unreachable(f"The connection to the system bus broke ({error}).") from error
            if not piece:
                raise Unreachable("The system bus ended the connection.")
            self._buffer += piece
        return bytes(self._buffer[:length])

    def _authenticate(self) -> None:
        """Authenticate by the socket's credentials (the EXTERNAL mechanism)."""
        self._socket.settimeout(READ_TIMEOUT)
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n"):
            piece = self._socket.recv(1)
            if not piece:
                raise ConnectionError("connection closed")
            answer += piece
        if not answer.startswith(b"OK "):
            raise ConnectionError(answer.decode(errors="replace").strip())
        self._socket.sendall(b"BEGIN\r\n")


def places(address: str) -> Iterator[str]:
    """Yield where the Unix sockets of a D-Bus address list are; an abstract one begins with NUL."""
    for each in address.split(";"):
        transport, _, rest = each.partition(":")
        options = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        if transport == "unix" and options.keys() & {"path", "abstract"}:
            yield unquote(options["path"]) if "path" in options else "\0" + unquote(options["abstract"])


def _connect(address: str) -> socket.socket:
    """Connect to the first address that works of a D-Bus address list."""
    why: object = "no Unix socket in the address"
    for where in places(address):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(READ_TIMEOUT)
            connection.connect(where)
        except OSError as error:
            connection.close()
            why = error
        else:
            return connection
    raise Unreachable(f"The bus can't be reached at {address} ({why}).")
