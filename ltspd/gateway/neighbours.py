"""Which MAC address the kernel knows for an IPv4 address on our networks. Reads /proc only."""

import time
from pathlib import Path

# Of our own process: the unit's ProcSubset=pid shows no other.
TABLE = Path("/proc/self/net/arp")
# A school that boots asks for hundreds of addresses; the table is read at most this often, in seconds.
FRESH = 1.0
# linux/if_arp.h: ATF_COM, the entry is complete.
_COMPLETE = 0x2


class Neighbours:
    """The kernel's table of neighbours, read when it is asked for."""

    def __init__(self, table: Path = TABLE) -> None:
        """Read from a file like /proc/net/arp."""
        self._table = table
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
