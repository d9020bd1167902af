"""Whose word is taken: clients of served networks, not too often, and each only about itself."""

import time
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path
from typing import NamedTuple

from ltspd.gateway.limits import Limits

# Of our own process: the unit's ProcSubset=pid shows no other.
TABLE = Path("/proc/self/net/arp")
# A school that boots asks for hundreds of addresses; the table is read at most this often, in seconds.
FRESH = 1.0
# linux/if_arp.h: ATF_COM, the entry is complete.
_COMPLETE = 0x2


class Refusal(NamedTuple):
    """Why a sender is not listened to: the word for the metrics, and the status of HTTP."""

    reason: str
    status: int


class Admission:
    """Which senders are listened to."""

    def __init__(self, neighbours: "Neighbours") -> None:
        """Serve no network yet; ``follow`` tells which."""
        self._networks: tuple[IPv4Network, ...] = ()
        self._neighbours = neighbours

    def follow(self, networks: Iterable[str]) -> None:
        """Listen to senders of these networks and to no others."""
        self._networks = tuple(IPv4Network(each) for each in networks)

    def refusal(self, address: str, limits: Limits) -> Refusal | None:
        """Return why a sender is not listened to now; None if it is."""
        if not self._served(address):
            return Refusal("foreign", 403)
        return None if limits.allow(address, time.monotonic()) else Refusal("limited", 429)

    def may_be(self, address: str, mac: str) -> bool:
        """Whether the sender may be this machine, as far as the kernel knows."""
        return self._neighbours.agrees(address, mac)

    def _served(self, address: str) -> bool:
        try:
            sender = IPv4Address(address)
        except AddressValueError:
            return False
        return any(sender in network for network in self._networks)


class Neighbours:
    """The kernel's table of MAC addresses by IPv4 address, read when it is asked for."""

    def __init__(self, table: Path | None = None) -> None:
        """Read from a file like /proc/net/arp; None: from that of the kernel."""
        self._table = table or TABLE
        self._known: dict[str, str] = {}
        self._read_at = -FRESH

    def agrees(self, address: str, mac: str) -> bool:
        """Whether an address may be this machine's: it is, or the kernel doesn't know whose it is."""
        if self._known.get(address) != mac and time.monotonic() - self._read_at >= FRESH:
            self._known, self._read_at = self._read(), time.monotonic()
        return self._known.get(address, mac) == mac

    def _read(self) -> dict[str, str]:
        try:
            lines = self._table.read_text().splitlines()[1:]
        except OSError:
            return {}
        rows = (line.split() for line in lines)
        return {row[0]: row[3].lower() for row in rows if len(row) >= 6 and int(row[2], 16) & _COMPLETE}
