"""The gateway's table of what it may serve: written by the daemon, read here, never guessed. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Addresses and port to listen on, and for each URL path the one file that answers it."""

    addresses: tuple[str, ...]
    port: int
    files: Mapping[str, str]


def dump(table: Table) -> bytes:
    """Return a table as JSON, the same bytes for the same table."""
    whole = {"addresses": list(table.addresses), "port": table.port, "files": dict(table.files)}
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def load(data: bytes) -> Table:
    """Return the table from JSON; raises ValueError if it isn't one."""
    try:
        whole = json.loads(data)
        files = {str(url): str(path) for url, path in whole["files"].items()}
        return Table(tuple(map(str, whole["addresses"])), int(whole["port"]), files)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a gateway table: {error!r}") from error
