"""The socket that sees DHCP and TFTP requests of all links, also those that this machine sends.

The kernel looks at each packet with a small program, so nothing else wakes this process. The socket belongs
to no link: so links may come, go and be renamed, and nothing has to be opened anew.
"""

import asyncio
import socket
import struct
from array import array
from collections.abc import Callable

from ltspd.gateway.limits import Bucket
from ltspd.listener.packets import BOOT_SERVER, CLIENT, SERVER, TFTP

# linux/if_ether.h, linux/if_packet.h, asm-generic/socket.h; Python's socket has no name for the first and
# last.
_ALL_PROTOCOLS, _IPV4, _OUTGOING, _ATTACH_FILTER = 3, 0x0800, 4, 26
# linux/filter.h: where a filter finds what is not in the packet, and there its protocol and whether it has a
# VLAN.
_BESIDE = 0xFFFFF000
_PROTOCOL, _HAS_VLAN = _BESIDE, _BESIDE + 48
# Longer than any Ethernet frame.
PACKET_MOST = 2048
# Packets that are read at once, before anything else gets its turn.
AT_ONCE = 64
# Beyond this many packets, and so many a second, they are left to the kernel, which drops what it has no room
# for. A school of 500 machines that is switched on at one moment sends some 5,000.
BURST, RATE = 10_000.0, 1_000.0
# Seconds until packets are read again after a flood.
PAUSE = 0.5

# Gets a packet, its link, the MAC address of its sender, and whether this machine sent it.
Take = Callable[[bytes, str, str, bool], None]


def _filter() -> bytes:
    """Return the kernel's program: an IPv4 packet without VLAN, UDP, its first fragment, one of our ports."""
    load, load_half, load_byte, at_header, half_behind, equal, has_bits, give = (
        0x20, 0x28, 0x30, 0xB1, 0x48, 0x15, 0x45, 0x06,
    )  # fmt: skip
    checks = [(load_half, _PROTOCOL, equal, _IPV4), (load, _HAS_VLAN, equal, 0), (load_byte, 9, equal, 17)]
    lines: list[tuple[int, int | None, int | None, int]] = []
    for code, where, test, value in checks:
        lines += [(code, 0, 0, where), (test, 0, None, value)]
    # Not a later fragment; the header's length.
    lines += [(load_half, 0, 0, 6), (has_bits, None, 0, 0x1FFF), (at_header, 0, 0, 0)]
    ports = ((2, (SERVER, CLIENT, TFTP, BOOT_SERVER)), (0, (BOOT_SERVER,)))
    end = len(lines) + sum(1 + len(each) for _, each in ports)
    for offset, wanted in ports:
        lines.append((half_behind, 0, 0, offset))
        for port in wanted:
            lines.append((equal, end - len(lines), 0, port))
    lines += [(give, 0, 0, 0), (give, 0, 0, PACKET_MOST)]
    # None: to the line that takes nothing. A jump counts from the line behind it.
    program = (
        (code, *((end - at - 1 if each is None else each) for each in (yes, no)), value)
        for at, (code, yes, no, value) in enumerate(lines)
    )
    return b"".join(struct.pack("HBBI", *each) for each in program)


def opened() -> socket.socket:
    """Return the socket; raises OSError without CAP_NET_RAW."""
    # All protocols, because a socket for one does not see what this machine sends. What comes before the
    # filter is there is read like the rest, and is no DHCP.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
    try:
        # Not by ctypes, which may want memory that is both written and run; the unit forbids that.
        program = array("B", _filter())
        described = struct.pack("HP", len(program) // 8, program.buffer_info()[0])
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class Capture:
    """Hands each packet to ``take`` while it runs."""

    def __init__(self, sock: socket.socket, take: Take) -> None:
        """Begin to read."""
        self._sock, self._take = sock, take
        self._loop = asyncio.get_running_loop()
        self._bucket = Bucket(BURST, RATE, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """End, and close the socket."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _begin(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock, self._read)

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            if not self._bucket.take(self._loop.time()):
                self._loop.remove_reader(self._sock)
                self._timer = self._loop.call_later(PAUSE, self._begin)
                return
            try:
                data, (link, _, direction, _, mac) = self._sock.recvfrom(PACKET_MOST)
            except BlockingIOError:
                return
            except OSError:
                # A link that goes down tells so here, once; the others are heard as before.
                continue
            self._take(data, link, bytes(mac).hex(":"), direction == _OUTGOING)
