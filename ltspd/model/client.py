"""Clients: a machine that booted from this server, as the bus shows it. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Enrol(StrEnum):
    """Whose key counts: the first of each machine, one that an administrator approves, or nobody's."""

    AUTO = "auto"
    ASK = "ask"
    OFF = "off"


class Identity(StrEnum):
    """What a machine's key counts for: nothing, this boot, always; it waits, or another one is known."""

    NONE = "none"
    BOOT = "boot"
    KEPT = "kept"
    PENDING = "pending"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A machine whose key counts: until its boot ends, or always if it is ``kept``.

    ``address`` and ``hostname`` are those at which the key was seen last. ``since`` is in microseconds since
    the epoch. ``approved``: by an administrator, not by being the first.
    """

    mac: str
    key: str
    kept: bool
    since: int
    address: str = ""
    hostname: str = ""
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as ltsp.conf or its reports name it; what is unknown is empty."""

    mac: str
    hostname: str = ""
    rooms: tuple[str, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class ClientState:
    """A machine that booted from this server. ``last_seen`` is in microseconds since the epoch.

    ``stage`` is the last one that it reported; ``error`` says why it failed; ``key`` is the public half of
    its key, and ``kept`` is 1 if it keeps that; ``boot`` is the kernel's id of its boot, ``pending``
    are settings that count at its next one. Unknown fields are
    empty. The machine reports all of this itself, but for the rest: ``identity`` is our judgement of its key,
    ``rooms`` are those that ltsp.conf puts it in, ``order`` is the id of the last order to it, and ``result``
    what came of that.
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
    key: str = ""
    kept: str = ""
    identity: Identity = Identity.NONE
    boot: str = ""
    rooms: tuple[str, ...] = ()
    pending: str = ""
    order: str = ""
    result: str = ""
