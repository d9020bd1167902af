"""The machines that are connected to their root, by the kernel's TCP tables. Reads /proc only."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ltspd.paths import Paths

# NFS and NBD. A root by HTTP lies in the client's memory and needs no connection.
ROOT_PORTS = frozenset({2049, 10809})
# include/net/tcp_states.h
_ESTABLISHED = "01"


def connected(paths: Paths) -> frozenset[str]:
    """Return the IPv4 addresses of machines connected to a port of ROOT_PORTS. Blocks for 1 ms."""
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = paths.at(f"/proc/net/{name}").read_text().splitlines()
        except OSError:
            continue
        found.update(_peers(lines[1:]))
    return frozenset(found)


def _peers(lines: list[str]) -> Iterator[str]:
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != _ESTABLISHED:
            continue
        if int(fields[1].rpartition(":")[2], 16) not in ROOT_PORTS:
            continue
        if address := _address(fields[2].rpartition(":")[0]):
            yield str(address)


def _address(words: str) -> IPv4Address | None:
    """Return the address written as hexadecimal 32-bit words, as a little-endian machine shows them."""
    data = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    return IPv4Address(data) if len(data) == 4 else IPv6Address(data).ipv4_mapped
