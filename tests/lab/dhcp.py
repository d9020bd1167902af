"""DHCP as the machines of a network speak it, packet by packet: firmware of each kind, iPXE, a plain Linux.

A `Cable` is one end of a veth pair, in a network namespace that the test made.
"""

import ctypes
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

DISCOVER, OFFER, REQUEST, ACK, NAK, INFORM = 1, 2, 3, 5, 6, 8
# Numbers of options: RFC 2132, RFC 4578 (93, 94, 97); 175 is iPXE's own, with options inside.
ROUTER, DNS, DOMAIN, ADDRESS, LEASE, TYPE, SERVER, WANTED, CLASS = 3, 6, 15, 50, 51, 53, 54, 55, 60
VENDOR, TFTP_NAME, FILE, ARCHITECTURE, SEARCH = 43, 66, 67, 93, 119
IPXE = 175
NAME = 12
# The features of iPXE that say which formats and protocols it was built with.
FULL = (19, 24, 33, 36, 39)
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_CLONE_NEWNET = 0x40000000
# A server answers within milliseconds; after so many seconds it will not, however busy this machine is.
PATIENCE = 60.0
# Machines ask again after four seconds (RFC 2131, 4.1).
AGAIN = 4.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What asks, of the class ``vendor``.

    ``architecture`` is -1 if it is no firmware. ``features`` are iPXE's, None if it is none. ``broadcast``:
    it wants answers that all others hear, too, as some firmware does.
    """

    architecture: int = -1
    vendor: str = "PXEClient"
    features: tuple[int, ...] | None = None
    mac: str = "52:54:00:0d:00:01"
    broadcast: bool = False

    def options(self) -> dict[int, bytes]:
        """Return the options that every message of this machine has."""
        found = {WANTED: bytes((1, ROUTER, DNS, NAME, DOMAIN, VENDOR, CLASS, TFTP_NAME, FILE, SEARCH))}
        if self.architecture >= 0:
            name = f"{self.vendor}:Arch:{self.architecture:05d}:UNDI:003000"
            found |= {CLASS: name.encode(), ARCHITECTURE: struct.pack("!H", self.architecture)}
            found |= {94: b"\1\3\0", 97: b"\0" + bytes(16)}
        elif self.vendor != "PXEClient":
            found[CLASS] = self.vendor.encode()
        if self.features is not None:
            found[WANTED] += bytes((IPXE,))
            found[IPXE] = b"".join(bytes((each, 1, 1)) for each in self.features)
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a server. ``options`` are as they came, ``file`` is from the header or from option 67."""

    type: int
    address: str
    next_server: str
    file: str
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The server's own name for itself: its address."""
        return str(IPv4Address(self.options[SERVER]))

    def addresses(self, option: int) -> list[str]:
        """Return the addresses that an option holds, none without it."""
        data = self.options.get(option, b"")
        return [str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4)]


def message(
    kind: int,
    machine: Machine,
    transaction: int,
    options: Mapping[int, bytes],
    client: str = "0.0.0.0",
    relay: str = "0.0.0.0",
) -> bytes:
    """Return a client's message; ``relay`` is the relay that it comes by."""
    zero = bytes(4)
    mac = bytes.fromhex(machine.mac.replace(":", ""))
    fixed = _HEADER.pack(
        *(1, 1, 6, 0, transaction, 0, machine.broadcast << 15, IPv4Address(client).packed, zero, zero),
        *(IPv4Address(relay).packed, mac, b"", b""),
    )
    every = {TYPE: bytes((kind,)), **machine.options(), **options}
    return fixed + _COOKIE + b"".join(bytes((k, len(v))) + v for k, v in every.items()) + b"\xff"


def parse(data: bytes) -> tuple[int, Answer] | None:
    """Return a server's answer with the number of its transaction; None if it is something else."""
    if len(data) < _HEADER.size + 4 or data[0] != 2:
        return None
    *_, server_name, file = _HEADER.unpack_from(data)
    del server_name
    transaction, yours, following = struct.unpack_from("!I8x4s4s", data, 4)[0], data[16:20], data[20:24]
    options: dict[int, bytes] = {}
    rest = data[_HEADER.size + 4 :]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        options[rest[0]] = options.get(rest[0], b"") + rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    name = (file.rstrip(b"\0") or options.get(FILE, b"").rstrip(b"\0")).decode()
    kind = options.get(TYPE, b"\0")[0]
    return transaction, Answer(kind, str(IPv4Address(yours)), str(IPv4Address(following)), name, options)


class Cable:
    """A network card without an operating system: every machine of the test speaks through it."""

    def __init__(self, netns: str, device: str) -> None:
        """Open the card ``device`` of a network namespace made by `ip netns`."""
        self._device = device
        self._netns = netns
        self._raw = opened_in(
            netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        )
        self._raw.bind((device, 0x0800))
        self._raw.settimeout(PATIENCE)

    def close(self) -> None:
        """Unplug it."""
        self._raw.close()

    def patient(self, seconds: float = PATIENCE) -> None:
        """Wait for answers as long as this from now on."""
        self._raw.settimeout(seconds)

    def raw(self, payload: bytes) -> None:
        """Send these bytes where a DHCP message would be."""
        self._raw.send(frame("02:00:00:00:00:01", payload))

    def fetch(self, mac: str, address: str, server: str, file: str) -> None:
        """Ask for a file by TFTP, and wait for nothing."""
        payload = b"\0\1" + file.encode() + b"\0octet\0"
        self._raw.send(frame(mac, payload, (address, 2070), (server, 69)))

    def discover(self, machine: Machine, after: Machine) -> list[Answer]:
        """Return the offers to a machine.

        They are all there once ``after``, which the server answers, has got its own: it takes one after
        the other. TimeoutError if that one gets none.
        """
        ours, marker = self.send(DISCOVER, machine), self.send(DISCOVER, after)
        return [answer for of, answer in self.heard(marker) if of == ours]

    def first(self, kind: int, machine: Machine, options: Mapping[int, bytes]) -> Answer:
        """Send a message and return the first answer; TimeoutError without one."""
        return self.heard(self.send(kind, machine, options))[-1][1]

    def lease(self, machine: Machine) -> Answer:
        """Get a machine an address, as any machine would, and return the server's last word."""
        offer = self.first(DISCOVER, machine, {})
        wanted = {ADDRESS: IPv4Address(offer.address).packed, SERVER: offer.options[SERVER]}
        return self.first(REQUEST, machine, wanted)

    def lease_at_last(self, machine: Machine) -> Answer:
        """Do the same after a cut: what is sent before the cable is in use again is lost, so ask again."""
        deadline = time.monotonic() + PATIENCE
        self.patient(AGAIN)
        try:
            while True:
                try:
                    return self.lease(machine)
                except TimeoutError:
                    if time.monotonic() > deadline:
                        raise
        finally:
            self.patient()

    def renew(self, machine: Machine, address: str) -> Answer:
        """Ask for more time for an address, as the system of a machine does that has it."""
        transaction = secrets.randbits(32)
        self._raw.send(frame(machine.mac, message(REQUEST, machine, transaction, {}, address)))
        return self.heard(transaction)[-1][1]

    def send(self, kind: int, machine: Machine, options: Mapping[int, bytes] | None = None) -> int:
        """Broadcast a message to the servers' port and return the number of its transaction."""
        transaction = secrets.randbits(32)
        self._raw.send(frame(machine.mac, message(kind, machine, transaction, options or {})))
        return transaction

    def heard(self, last: int) -> list[tuple[int, Answer]]:
        """Return all answers up to the first one to the transaction ``last``, each with its transaction."""
        found = [self.next()]
        while found[-1][0] != last:
            found.append(self.next())
        return found

    def next(self) -> tuple[int, Answer]:
        """Wait for the next answer to anybody and return it, after its transaction."""
        while (answer := parse(_payload(self._raw.recv(4096)))) is None:
            pass
        return answer

    def boot_server(self, machine: Machine, after: Machine, address: str, server: str) -> list[Answer]:
        """Ask port 4011, as firmware behind another DHCP server does that has got ``address``.

        ``after`` is as in `discover`.
        """
        sock = opened_in(self._netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with sock:
            sock.bind((address, 0))
            sock.settimeout(PATIENCE)
            for transaction, each in enumerate((machine, after), 1):
                sock.sendto(message(REQUEST, each, transaction, {}, address), (server, 4011))
            found = []
            while (answer := parse(sock.recv(4096))) is not None and answer[0] == 1:
                found.append(answer[1])
        return found


class Relay:
    """A DHCP relay: it asks a server for the machines of its subnet, and hears what they are told."""

    def __init__(self, netns: str, address: str, server: str) -> None:
        """Ask ``server`` with the address that the relay has in its subnet."""
        self._address, self._server = address, server
        self._socket = opened_in(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind((address, 67))
        self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        """Close its socket."""
        self._socket.close()

    def ask(
        self, kind: int, machine: Machine, after: Machine, options: Mapping[int, bytes] | None = None
    ) -> list[Answer]:
        """Return the answers to a machine, until ``after``, which the server answers, has got its own."""
        ours, marker = secrets.randbits(32), secrets.randbits(32)
        for each, asked, transaction in ((machine, kind, ours), (after, DISCOVER, marker)):
            wanted = (options or {}) if each is machine else {}
            data = message(asked, each, transaction, wanted, relay=self._address)
            self._socket.sendto(data, (self._server, 67))
        found = []
        while (answer := parse(self._socket.recv(4096))) is None or answer[0] != marker:
            if answer is not None and answer[0] == ours:
                found.append(answer[1])
        return found


def opened_in(netns: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Return a socket made in a network namespace; only a thread of its own goes there."""
    made: list[socket.socket] = []

    def enter() -> None:
        descriptor = os.open(Path("/run/netns") / netns, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"can't enter the network namespace {netns}")
        finally:
            os.close(descriptor)
        made.append(make())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]


def frame(
    mac: str,
    payload: bytes,
    sender: tuple[str, int] = ("0.0.0.0", 68),
    receiver: tuple[str, int] = ("255.255.255.255", 67),
) -> bytes:
    """Return the payload as a broadcast of a machine; by default of one without an address, to servers."""
    length = 28 + len(payload)
    hosts = IPv4Address(sender[0]).packed + IPv4Address(receiver[0]).packed
    head = struct.pack("!BBHHHBBH8s", 0x45, 0, length, 0, 0, 64, 17, 0, hosts)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    # A checksum of 0 says that there is none.
    udp = struct.pack("!HHHH", sender[1], receiver[1], length - 20, 0)
    ends = bytes.fromhex((_BROADCAST + mac).replace(":", ""))
    return ends + b"\x08\x00" + head + udp + payload


def _payload(frame: bytes) -> bytes:
    """Return what is in an UDP packet to port 68, and nothing of any other."""
    ip = frame[14:]
    size = (ip[0] & 15) * 4 if ip else 0
    if len(ip) < size + 8 or ip[9] != 17 or struct.unpack_from("!H", ip, size + 2)[0] != 68:
        return b""
    return ip[size + 8 :]
