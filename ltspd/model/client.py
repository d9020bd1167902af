"""Clients: a machine that booted from this server, as the bus shows it. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ltspd.model.menu import BootWay


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


class Stage(StrEnum):
    """How far a machine has come before it reports anything itself, as the listener heard it."""

    DISCOVER = "discover"
    OFFER = "offer"
    LEASE = "lease"
    TFTP = "tftp"


class Word(StrEnum):
    """What a machine, or the server that answered it, did: DHCP's messages, port 4011, a file by TFTP."""

    DISCOVER = "discover"
    OFFER = "offer"
    REQUEST = "request"
    LEASE = "lease"
    REFUSED = "refused"
    ASK = "ask"
    BOOT = "boot"
    FETCH = "fetch"


class Step(NamedTuple):
    """One step of a boot. Times are in microseconds since the epoch; it was done ``times`` times.

    ``server`` is the one that did it or was asked, ``address`` what it gave or what was wanted. ``text`` is
    the file; of DISCOVER, who asks and for which architecture: ``PXEClient:7``, ``iPXE:0``.
    """

    at: int
    word: Word
    server: str = ""
    address: str = ""
    text: str = ""
    times: int = 1
    last: int = 0

    def same(self, other: "Step") -> bool:
        """Whether both say the same, whenever."""
        return self[1:5] == other[1:5]


class Seen(NamedTuple):
    """What was heard of a machine on the network; what is unknown is empty or -1.

    ``architecture`` is DHCP's option 93. ``server`` gave it the ``file`` to boot. ``expires`` and ``at``,
    when it last did something, are in microseconds since the epoch.
    """

    mac: str = ""
    link: str = ""
    architecture: int = -1
    vendor: str = ""
    stage: str = ""
    server: str = ""
    file: str = ""
    lease: str = ""
    expires: int = 0
    at: int = 0
    steps: tuple[Step, ...] = ()


UNHEARD = Seen()


class Server(NamedTuple):
    """A DHCP server that answered on a link, or that a machine named as the one it chose.

    ``gives`` addresses; ``boots``: says what to boot. Without ``mac``, only machines have named it.
    """

    link: str
    address: str
    mac: str = ""
    gives: bool = False
    boots: bool = False
    file: str = ""
    heard: int = 0


@dataclass(frozen=True, slots=True)
class Attempts:
    """What came of a machine's boots by the ``way`` that was found for it.

    So many in a row ``failed``. Where it ``worked`` once, it stays.
    """

    way: BootWay = BootWay.AUTO
    failed: int = 0
    worked: bool = False


@dataclass(frozen=True, slots=True)
class ClientState:
    """A machine that booted from this server. ``last_seen`` is in microseconds since the epoch.

    ``stage`` is the last one that it reported; ``error`` says why it failed; ``key`` is the public half of
    its key, and ``kept`` is 1 if it keeps that; ``boot`` is the kernel's id of its boot, ``pending`` are
    settings that count at its next one. Unknown fields are empty. ``seen`` is what the listener heard of it.
    The machine reports all of this itself, but for the rest: ``identity`` is our judgement of its key,
    ``rooms`` are those that ltsp.conf puts it in, ``order`` is the id of the last order to it, and ``result``
    what came of that. ``card`` is what its kernel calls its network card, and ``initrd`` says which drivers
    it was given and why. ``way`` is the BootWay of its next boot, and so many boots ``failed`` in a row.
    ``reached`` are the stages that it reported of its last boot, each with the time of the first report.
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
    card: str = ""
    initrd: str = ""
    order: str = ""
    result: str = ""
    seen: Seen = UNHEARD
    way: str = ""
    failed: int = 0
    reached: tuple[tuple[str, int], ...] = ()
