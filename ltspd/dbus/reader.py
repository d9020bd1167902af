"""Bytes from the bus → messages, in pieces of bounded size. A message that can't be decoded is skipped.

Every local user can send us messages. The bus checks their form, but it forwards some that the D-Bus library
can't decode (message types of the future); the library itself would then end the connection.
"""

import io
import logging
from collections.abc import Callable

from dbus_next import Message

from ltspd.dbus import library, wire

log = logging.getLogger(__name__)

# Bytes that are read in one turn of the loop: some ten milliseconds of work.
PIECE = 16384
# The longest call: the gateway's about 500 clients have some 100 kB, all others a few hundred bytes.
LONGEST_CALL = 1 << 20
# The longest message of another kind: systemd's answers about a unit have some 30 kB.
LONGEST = 4 << 20
# Header fields are paths and names of at most 255 bytes each.
LONGEST_HEADER = 16384


class Reader:
    """Cuts a stream of bytes into messages.

    ``take`` gets each, with its ``size`` in bytes, ``refuse`` the header and the flags of calls too long.
    """

    def __init__(
        self,
        take: Callable[[Message], None],
        refuse: Callable[[wire.Message, int], None] = lambda head, flags: None,
    ) -> None:
        """Begin at the start of a message."""
        self._take = take
        self.refuse = refuse
        self._buffer = bytearray()
        self._skip = 0
        self._complained = False

    def feed(self, data: bytes) -> None:
        """Take more bytes of the stream."""
        self._buffer += data
        while self._next():
            pass

    def _next(self) -> bool:
        """Deal with what the buffer begins with; return False when more bytes are needed for that."""
        buffer = self._buffer
        if self._skip:
            gone = min(self._skip, len(buffer))
            del buffer[:gone]
            self._skip -= gone
            return not self._skip
        if len(buffer) < wire.PREFIX:
            return False
        prefix = bytes(buffer[: wire.PREFIX])
        size, head = wire.size(prefix), wire.head_size(prefix)
        call = buffer[1] == wire.CALL
        if size <= (LONGEST_CALL if call else LONGEST) and head <= LONGEST_HEADER:
            if len(buffer) < size:
                return False
            whole = bytes(buffer[:size])
            del buffer[:size]
            self._decode(whole)
            return True
        if head <= LONGEST_HEADER and call:
            if len(buffer) < head:
                return False
            self.refuse(wire.parse_head(bytes(buffer[:head])), buffer[2])
        else:
            self._complain("it is too long")
        self._skip = size
        return True

    def _decode(self, whole: bytes) -> None:
        try:
            message = library.parsed(io.BytesIO(whole))
        except Exception as error:  # the library's own, ValueError, and more: strangers choose the bytes
            self._complain(str(error) or type(error).__name__)
        else:
            if message is None:
                self._complain("it ends too early")
            else:
                message.size = len(whole)
                self._take(message)

    def _complain(self, why: str) -> None:
        """Log only the first one: a sender can send thousands."""
        if not self._complained:
            self._complained = True
            log.warning("A message from the bus is ignored, as others like it will be: %s", why[:200])
