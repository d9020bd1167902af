"""All answers to DHCP that leave interfaces of a network namespace, and machines that ask anywhere in it."""

import contextlib
import secrets
import socket
from collections.abc import Set
from dataclasses import dataclass, field

from tests.lab.dhcp import DISCOVER, PATIENCE, REQUEST, Machine, frame, message, opened_in

BOOT_SERVER = 4011
# linux/if_ether.h; what goes out is shown only to who listens to all.
_ALL, _IP = 0x0003, 0x0800
# asm-generic/socket.h. A packet is seen at each interface that it passes; nobody reads while machines ask.
_SO_RCVBUFFORCE, _BUFFER = 33, 32 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What a machine asked at a card: for an address, or with one of its own the boot server at port 4011."""

    card: str
    machine: Machine
    address: str = ""
    server: str = ""


@dataclass(slots=True)
class Capture:
    """Sees each packet of the namespace at ``net``, a name or a path."""

    net: str
    _ear: socket.socket = field(init=False)
    _mouth: socket.socket = field(init=False)
    _asked: dict[int, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listen."""
        self._ear = opened_in(
            self.net, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        )
        self._ear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._mouth = opened_in(self.net, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))

    def close(self) -> None:
        """Listen no more."""
        self._ear.close()
        self._mouth.close()

    def ask(self, asked: Asked) -> None:
        """Have a machine ask."""
        transaction = secrets.randbits(32)
        self._asked[transaction] = asked
        machine = asked.machine
        if asked.server:
            data = message(REQUEST, machine, transaction, {}, asked.address)
            sent = frame(machine.mac, data, (asked.address, 68), (asked.server, BOOT_SERVER))
        else:
            sent = frame(machine.mac, message(DISCOVER, machine, transaction, {}))
        self._mouth.sendto(sent, (asked.card, _IP))

    def answered(self, wanted: Set[Asked]) -> dict[Asked, set[str]]:
        """Return what was answered, and by which interfaces.

        It waits until all that is ``wanted`` was answered; TimeoutError if some of that is not.
        """
        found: dict[Asked, set[str]] = {}
        while wanted - set(found):
            try:
                self._hear(found, PATIENCE)
            except TimeoutError:
                raise TimeoutError(f"nobody answers {wanted - set(found)}") from None
        with contextlib.suppress(BlockingIOError):
            while True:
                self._hear(found, 0)
        self._asked.clear()
        return found

    def _hear(self, found: dict[Asked, set[str]], patience: float) -> None:
        self._ear.settimeout(patience)
        packet, (interface, protocol, kind, *_) = self._ear.recvfrom(4096)
        if (protocol, kind) != (_IP, socket.PACKET_OUTGOING) or packet[9] != socket.IPPROTO_UDP:
            return
        udp = packet[(packet[0] & 15) * 4 :]
        # An answer of DHCP begins with a 2; the transaction's number is four bytes behind that.
        asked = self._asked.get(int.from_bytes(udp[12:16]))
        if asked is not None and udp[8] == 2:
            found.setdefault(asked, set()).add(interface)
