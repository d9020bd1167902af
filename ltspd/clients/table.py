"""The gateway's table of what it may serve: written by the daemon, read here, never guessed. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True)
class Table:
    """Addresses and port to listen on, and for each URL path the one file that answers it.

    ``networks`` are those whose clients may report, ``metrics_port`` is one of the loopback address; 0: none.
    ``connections`` are how many one address may have at once.
    """

    addresses: tuple[str, ...]
    port: int
    files: Mapping[str, str]
    networks: tuple[str, ...] = ()
    metrics_port: int = 0
    connections: int = 256


def dump(table: Table) -> bytes:
    """Return a table as JSON, the same bytes for the same table."""
    whole = {
        "addresses": list(table.addresses),
        "port": table.port,
        "files": dict(table.files),
        "networks": list(table.networks),
        "metrics_port": table.metrics_port,
        "connections": table.connections,
    }
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def load(data: bytes) -> Table:
    """Return the table from JSON; raises ValueError if it isn't one."""
    try:
        whole = json.loads(data)
        files = {str(url): str(path) for url, path in whole["files"].items()}
        # What has a default came later: after an upgrade, the table may still be of an older daemon.
        networks = tuple(str(IPv4Network(each)) for each in whole.get("networks", ()))
        addresses = tuple(map(str, whole["addresses"]))
        metrics_port, connections = int(whole.get("metrics_port", 0)), int(whole.get("connections", 256))
        return Table(addresses, int(whole["port"]), files, networks, metrics_port, max(1, connections))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a gateway table: {error!r}") from error
