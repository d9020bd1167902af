"""Clients: a machine that booted from this server, as the bus shows it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientState:
    """A machine that booted from this server. ``last_seen`` is in microseconds since the epoch.

    ``stage`` is the last one that it reported; ``error`` says why it failed. Unknown fields are empty. The
    machine reports all of this itself.
    """

    mac: str
    hostname: str = ""
    address: str = ""
    image: str = ""
    generation: str = ""
    stage: str = ""
    last_seen: int = 0
    transport: str = ""
    error: str = ""
