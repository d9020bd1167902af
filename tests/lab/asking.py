"""Asks an NFS server for files all the time, many times a second: it sees one that is missing for a moment.

A client's kernel asks for a path once and then keeps what it was told, so it rarely sees such a moment; but a
client that asks in it loses its root for good. NFS 4.0 has questions that need no state. Each file is read in
two ways: by the names of its path, and by the handle that the first answer named.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tests.lab.dhcp import opened_in
from tests.patience import PATIENCE

_PORT, _PROGRAM, _VERSION, _COMPOUND = 2049, 100003, 4, 1
_GETFH, _LOOKUP, _PUTFH, _PUTROOTFH, _READ = 10, 15, 22, 24, 25
# The first bytes of a file that was not opened; this state (all ones) also counts right after a restart.
_FIRST_BYTES = struct.pack("!I16sQI", _READ, b"\xff" * 16, 0, 64)
_OK, _REFUSED = 0, 1 << 31
# The last one is no status of NFS: whoever has this address is not served at all.
_STATES = {
    _OK: "OK",
    2: "NOENT",
    13: "ACCESS",
    70: "STALE",
    10008: "DELAY",
    10013: "GRACE",
    _REFUSED: "REFUSED",
}
# The server asks to be asked again.
_WAITS = ("OK", "DELAY", "GRACE")
# Homes are only for those who have one of root's ports.
_OWN_PORTS = range(700, 1000)
# Seconds between two rounds: an emulated server has one or two slow processors for everything.
_PAUSE = 0.02
# Seconds after which a connection without an answer is made anew, as after the server lost its address.
_SILENCE = 10.0


class Asker:
    """A thread that asks; ``rounds`` counts those in which all was there, ``told`` says when what changed."""

    def __init__(self, connect: Callable[[int], socket.socket], files: Sequence[str], uid: int) -> None:
        """``connect`` returns a connection that comes from a port; ``uid`` is who asks."""
        self.rounds = 0
        self.told: list[str] = []
        self.wrong: list[str] = []
        self._connect, self._uid = connect, uid
        self._handles: dict[str, bytes] = dict.fromkeys(files, b"")
        self._states: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="asker")
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def goes_on(self, what: str, count: int = 50) -> None:
        """Wait for so many more rounds; fail if anything was missing so far."""
        deadline, wanted = time.monotonic() + PATIENCE, self.rounds + count
        while self.rounds < wanted:
            assert self._thread.is_alive(), f"{what}: the thread that asks has ended"
            assert time.monotonic() < deadline, f"{what}: files are not there: {self.told[-20:]}"
            time.sleep(0.1)
        assert self.wrong == [], f"{what}: {self.told[-40:]}"

    def forget(self) -> None:
        """Forget what was missing so far."""
        self._states.clear()
        self.told.clear()
        self.wrong.clear()

    def _ask(self) -> None:
        port = 0
        while not self._ended.is_set():
            # A port can't be used again at once after the server has closed the connection.
            port += 1
            try:
                with self._connect(_OWN_PORTS[port % len(_OWN_PORTS)]) as connection:
                    connection.settimeout(_SILENCE)
                    self._note("the connection", "there")
                    while not self._ended.wait(_PAUSE):
                        self._round(connection)
            except OSError as error:
                # Nobody answers, as while the service restarts: a client waits, too.
                self._note("the connection", str(error))
                self._ended.wait(0.05)

    def _round(self, connection: socket.socket) -> None:
        right = True
        for path, handle in self._handles.items():
            names = [_operation(_LOOKUP, each) for each in path.encode().split(b"/")[1:]]
            reply = self._answer(
                connection, path, _operation(_PUTROOTFH), *names, _operation(_GETFH), _FIRST_BYTES
            )
            if handle:
                right &= bool(
                    self._answer(connection, f"handle of {path}", _operation(_PUTFH, handle), _FIRST_BYTES)
                )
            elif reply:
                self._handles[path] = _handle(reply, 1 + len(names))
            right &= bool(reply)
        self.rounds += right

    def _answer(self, connection: socket.socket, what: str, *operations: bytes) -> bytes:
        """Ask, note what changed, and return a reply of success, or nothing."""
        reply = _call(connection, self._uid, operations)
        (status,) = struct.unpack_from("!I", reply)
        state = _STATES.get(status, str(status))
        if self._note(what, state) and state not in _WAITS:
            self.wrong.append(self.told[-1])
        return reply if status == _OK else b""

    def _note(self, what: str, state: str) -> bool:
        """Note a change with its time; return whether it is one."""
        changed = self._states.get(what) != state
        if changed:
            self._states[what] = state
            self.told.append(f"{datetime.now(UTC):%H:%M:%S.%f} {what}: {state}")
        return changed


def connected(netns: str, own: str, server: str) -> Callable[[int], socket.socket]:
    """Return what connects from an address of a network namespace to an NFS server."""

    def connect(port: int) -> socket.socket:
        connection = opened_in(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        try:
            connection.settimeout(_SILENCE)
            connection.bind((own, port))
            connection.connect((server, _PORT))
        except OSError:
            connection.close()
            raise
        return connection

    return connect


def _operation(number: int, argument: bytes = b"") -> bytes:
    told = struct.pack("!I", len(argument)) + argument + bytes(-len(argument) % 4) if argument else b""
    return struct.pack("!I", number) + told


def _call(connection: socket.socket, uid: int, operations: Sequence[bytes]) -> bytes:
    """Return the reply to a COMPOUND, from its status on. Raises OSError if the connection ends."""
    # Who asks: no name of a machine, a person, no more groups; and nothing that would prove it.
    who = struct.pack("!7I", 1, 20, 0, 0, uid, uid, 0) + bytes(8)
    call = struct.pack("!6I", 1, 0, 2, _PROGRAM, _VERSION, _COMPOUND) + who
    call += struct.pack("!III", 0, 0, len(operations)) + b"".join(operations)
    connection.sendall(struct.pack("!I", len(call) | 1 << 31) + call)
    (length,) = struct.unpack("!I", _received(connection, 4))
    reply = _received(connection, length & (1 << 31) - 1)
    # Whether the call was accepted, and whether it was understood.
    if reply[8:12] + reply[20:24] != bytes(8):
        return struct.pack("!I", _REFUSED)
    return reply[24:]


def _received(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionResetError("the server has closed the connection")
        data += more
    return data


def _handle(reply: bytes, before: int) -> bytes:
    """Return the handle that GETFH has told; the operations before it told nothing."""
    at = 12 + 8 * (before + 1)
    (length,) = struct.unpack_from("!I", reply, at)
    return reply[at + 4 : at + 4 + length]
