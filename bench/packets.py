"""A file of tcpdump, taken apart: packets, and what went each way of each connection, and when. Pure."""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple

# The file's header, and each packet's (pcap-savefile(5)). Times are in microseconds, or in nanoseconds.
_MAGIC = {0xA1B2C3D4: 1e6, 0xA1B23C4D: 1e9}
_IPV4 = 0x0800
TCP, UDP = 6, 17
FIN, SYN, RST = 1, 2, 4
_WORD = 1 << 32


class End(NamedTuple):
    """One end of a conversation."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of UDP or TCP. ``time`` is in seconds since 1970; ``number`` and ``flags`` are TCP's."""

    time: float
    protocol: int
    source: End
    target: End
    data: bytes
    number: int = 0
    flags: int = 0


def packets(file: bytes) -> Iterator[Packet]:
    """Yield the packets of UDP and TCP over IPv4; ValueError if one is cut, or a fragment."""
    order = "<" if struct.unpack_from("<I", file)[0] in _MAGIC else ">"
    ticks = _MAGIC[struct.unpack_from(f"{order}I", file)[0]]
    at, head = 24, struct.Struct(f"{order}IIII")
    while at < len(file):
        seconds, fraction, held, length = head.unpack_from(file, at)
        at += head.size
        if held < length:
            raise ValueError("the file has only the beginnings of packets")
        found = _packet(seconds + fraction / ticks, file[at : at + held])
        at += held
        if found is not None:
            yield found


def _packet(time: float, frame: bytes) -> Packet | None:
    if struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return None
    first, length, fragment, protocol = struct.unpack_from("!BxHxxHxB", frame, 14)
    if protocol not in (TCP, UDP):
        return None
    if fragment & 0x3FFF:
        raise ValueError("a packet came in fragments, which can't be replayed")
    source, target = (str(IPv4Address(frame[at : at + 4])) for at in (26, 30))
    # A short frame is filled up; the card may have left the length of a large one to its driver.
    body = frame[14 + (first & 15) * 4 : 14 + length if length else None]
    ports = struct.unpack_from("!HH", body)
    ends = End(source, ports[0]), End(target, ports[1])
    if protocol == UDP:
        return Packet(time, UDP, *ends, body[8:])
    number, offset, flags = struct.unpack_from("!IxxxxBB", body, 4)
    return Packet(time, TCP, *ends, body[(offset >> 4) * 4 :], number, flags)


@dataclass(slots=True)
class Flow:
    """What went one way: its bytes in their order, and when each was there."""

    data: bytearray = field(default_factory=bytearray)
    _next: int | None = None
    _early: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    _ends: list[int] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)

    def begin(self, number: int) -> None:
        """Expect this number of TCP first."""
        self._next = (number + 1) % _WORD

    def take(self, packet: Packet) -> None:
        """Add a packet, in whatever order packets come, and however often."""
        if not packet.data:
            return
        if self._next is None:
            raise ValueError(f"the beginning of what {packet.source} said is missing")
        ahead = (packet.number - self._next) % _WORD
        if ahead < _WORD // 2:
            self._early.setdefault(ahead + len(self.data), (packet.time, packet.data))
        elif (skipped := _WORD - ahead) < len(packet.data):
            self._early.setdefault(len(self.data), (packet.time, packet.data[skipped:]))
        while self._early and (at := min(self._early)) <= len(self.data):
            time, data = self._early.pop(at)
            new = data[len(self.data) - at :]
            if new:
                self.data += new
                self._next = (self._next + len(new)) % _WORD
                self._ends.append(len(self.data))
                # What waited for an earlier packet is there when that one is.
                self._times.append(max(packet.time, time))

    def first(self, at: int) -> float:
        """Return when the byte at this place was there."""
        return self._times[bisect_left(self._ends, at + 1)]


@dataclass(slots=True)
class Connection:
    """A connection of TCP: when the client asked for it, got it and ended it (None: it did not)."""

    client: End
    server: End
    asked: float
    opened: float | None = None
    closed: float | None = None
    up: Flow = field(default_factory=Flow)
    down: Flow = field(default_factory=Flow)


def connections(found: Iterable[Packet], client: str) -> list[Connection]:
    """Return the connections that a client of this address has opened, in their order."""
    known: dict[tuple[End, End], Connection] = {}
    every: list[Connection] = []
    for packet in found:
        if packet.protocol != TCP:
            continue
        up = packet.source.address == client
        key = (packet.source, packet.target) if up else (packet.target, packet.source)
        one = known.get(key)
        if up and packet.flags & SYN and (one is None or one.closed is not None):
            one = known[key] = Connection(*key, packet.time)
            one.up.begin(packet.number)
            every.append(one)
        if one is None:
            continue
        if not up and packet.flags & SYN and one.opened is None:
            one.opened = packet.time
            one.down.begin(packet.number)
        (one.up if up else one.down).take(packet)
        if up and packet.flags & (FIN | RST) and one.closed is None:
            one.closed = packet.time
    return every
