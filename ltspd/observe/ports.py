"""The processes that listen on a port, so that "address already in use" can name one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import ToolFailed
from ltspd.paths import Paths
from ltspd.system.run import run

# linux/tcp.h TCP_LISTEN; an unconnected UDP socket shows TCP_CLOSE.
_STATES = {"tcp": "0A", "udp": "07"}
# Bytes of the list of all sockets; one has some 150.
_LISTED_MOST = 4 << 20


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that listens on a port that we want. ``unit`` is empty outside systemd.

    ``inode`` is the number of its socket.
    """

    protocol: str
    address: str
    port: int
    pid: int
    process: str
    unit: str
    inode: str = ""


async def bound() -> Mapping[str, str]:
    """Return the links that listening sockets are bound to, by their inodes; only the kernel's netlink tells.

    So several DHCP servers have port 67 of all addresses, each on a link of its own.
    """
    try:
        listed = await run(["ss", "-Hltune"], whole=_LISTED_MOST)
    except ToolFailed:
        return {}
    found = re.finditer(r"%(\S+?):\d+ .*? ino:(\d+) ", listed.stdout.decode(errors="replace"))
    return {each[2]: each[1] for each in found}


def holders(paths: Paths, wanted: Iterable[tuple[str, int]]) -> tuple[PortHolder, ...]:
    """Return the processes that listen on any of the ``(protocol, port)`` pairs."""
    ports = set(wanted)
    sockets: dict[str, tuple[str, str, int]] = {}
    for protocol in {protocol for protocol, _ in ports}:
        for table in (protocol, f"{protocol}6"):
            for line in _rows(paths.at(f"/proc/net/{table}")):
                fields = line.split()
                address, _, port = fields[1].rpartition(":")
                if fields[3] == _STATES[protocol] and (protocol, int(port, 16)) in ports:
                    sockets[fields[9]] = (protocol, _address(address), int(port, 16))
    return tuple(_owners(paths, sockets)) if sockets else ()


def _rows(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except OSError:
        return []


def _address(text: str) -> str:
    """Return the address of a /proc/net table: IPv4 in the machine's byte order, IPv6 as ``::``."""
    if len(text) != 8:
        return "::"
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(text)))


def _owners(paths: Paths, sockets: dict[str, tuple[str, str, int]]) -> Iterable[PortHolder]:
    for process in paths.at("/proc").glob("[0-9]*"):
        for inode in sorted(_sockets(process) & sockets.keys()):
            protocol, address, port = sockets[inode]
            yield PortHolder(protocol, address, port, int(process.name), *_names(process), inode)


def _sockets(process: Path) -> set[str]:
    """Return the inodes of a process's sockets; none if it ended meanwhile or may not be read."""
    found: set[str] = set()
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
        except OSError:
            continue  # closed meanwhile
        if match:
            found.add(match[1])
    return found


def _names(process: Path) -> tuple[str, str]:
    try:
        name = (process / "comm").read_text().strip()
        group = (process / "cgroup").read_text()
    except OSError:
        return "?", ""
    unit = re.search(r"/([^/\n]+\.(?:service|scope))(?:/|$)", group, re.MULTILINE)
    return name, unit[1] if unit else ""
