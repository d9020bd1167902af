"""Every noun of the product, frozen. No behaviour beyond what follows from the fields alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface
from typing import Protocol


class ServerState(StrEnum):
    """What the manager says of itself on the bus."""

    STARTING = "starting"
    IN_SYNC = "in-sync"
    APPLYING = "applying"
    ATTENTION = "attention"


class DhcpRole(StrEnum):
    """What we answer on a link: nothing, boot options only, or addresses too."""

    OFF = "off"
    PROXY = "proxy"
    REAL = "real"


class RootTransport(StrEnum):
    """How a client reaches its root: the value of ``ltsp.root=``."""

    NBD = "nbd"
    NFS = "nfs"
    HTTP = "http"


class OutputState(StrEnum):
    """How an output on disk relates to what it should be."""

    IN_SYNC = "in-sync"
    PENDING = "pending"
    EDITED = "edited"
    FAILED = "failed"
    DISABLED = "disabled"


class JobState(StrEnum):
    """Life of a job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job will never change again."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class SourceKind(StrEnum):
    """What an image is made from."""

    ROOT = "root"
    DIRECTORY = "directory"
    DISK = "disk"


class LinkKind(StrEnum):
    """What sort of interface a link is, as far as serving on it matters."""

    ETHERNET = "ethernet"
    BRIDGE = "bridge"
    BOND = "bond"
    VLAN = "vlan"
    VETH = "veth"
    WIRELESS = "wireless"
    LOOPBACK = "loopback"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should know: one sentence with thing, reason and next step."""

    subject: str
    message: str

    def __str__(self) -> str:
        """Return the line that ``Problems`` shows."""
        return f"{self.subject}: {self.message}"


# ---- facts: what a pass observed ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface as the kernel shows it. ``forwards``: what comes in there is routed on."""

    name: str
    index: int
    mac: str
    kind: LinkKind
    up: bool
    enslaved: bool = False
    addresses: tuple[IPv4Interface, ...] = ()
    default_route: bool = False
    gateway: IPv4Address | None = None
    forwards: bool = False
    global_ipv6: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A line of passwd without its password field."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Group:
    """A line of group without its password field."""

    name: str
    gid: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Something on disk that an image can be built from; ``path`` is absolute on this machine.

    ``partition`` says where on a disk image the system is (0: it is found). An open one has the system's root
    for its path, never to be resolved; the disk's file is the ``origin`` then, ``stamp`` is what ``disk.use``
    said of it, and ``pieces`` are where in it the squashfs of a medium are, the base first.
    """

    name: str
    kind: SourceKind
    path: str
    partition: int = 0
    origin: str = ""
    stamp: str = ""
    pieces: tuple[tuple[int, int], ...] = ()

    @property
    def shown(self) -> str:
        """What people know the source by, also for as long as it is open."""
        where = self.origin or self.path
        return f"{where},partition={self.partition}" if self.partition else where


@dataclass(frozen=True, slots=True)
class Layer:
    """One squashfs of a generation. ``digest`` is hex, ``size`` in bytes."""

    digest: str
    size: int

    @property
    def file_name(self) -> str:
        """Name below ``layers/``."""
        return f"{self.digest}.squashfs"


@dataclass(frozen=True, slots=True)
class Generation:
    """One published, never modified build of an image. ``created`` is in seconds since the epoch.

    One without layers is only a kernel and an initrd; its clients read ``directory``, a chroot, by NFS.
    The source of a ``direct`` one was not looked into: its ``source_files`` are 0. ``notes`` are sentences
    about its content that a person should read. An ``outdated`` one was built when less was left out.
    """

    id: str
    image: str
    created: float
    source: str
    architecture: str
    kernel: str
    layers: tuple[Layer, ...]
    source_bytes: int
    source_files: int
    kernel_bytes: int
    initrd_bytes: int
    packages_digest: str
    summary: str = ""
    directory: str = ""
    notes: tuple[str, ...] = ()
    outdated: bool = False

    @property
    def direct(self) -> bool:
        """Whether clients get the source as it is."""
        return not self.source_files

    @property
    def size(self) -> int:
        """Bytes of all layers, kernel and initrd."""
        return sum(layer.size for layer in self.layers) + self.kernel_bytes + self.initrd_bytes


@dataclass(frozen=True, slots=True)
class Image:
    """An image's generations, oldest first, and which of them new clients boot (empty: none).

    ``kept`` are the ids that a person wants to stay. ``replaced`` is when (seconds since the epoch) new
    clients were last given each of those that are not current any more, as far as it is known.
    """

    name: str
    generations: tuple[Generation, ...]
    current: str = ""
    kept: frozenset[str] = frozenset()
    replaced: Mapping[str, float] = field(default_factory=dict)

    @property
    def current_generation(self) -> Generation | None:
        """The generation that new clients boot."""
        return next((each for each in self.generations if each.id == self.current), None)


@dataclass(frozen=True, slots=True)
class Remain:
    """Something of an earlier LTSP: what it does to us, the next step, and whether taking over moves it."""

    path: str
    effect: str
    step: str
    harms: bool
    moves: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one pass looked at: ``connected`` machines read a root, ``unsent`` people can't be sent."""

    hostname: str = ""
    links: tuple[Link, ...] = ()
    nameservers: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
    accounts: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    unsent: tuple[str, ...] = ()
    packages_digest: str = ""
    source_packages: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    images: tuple[Image, ...] = ()
    programs: frozenset[str] = frozenset()
    boot_programs: Mapping[str, str] = field(default_factory=dict)
    kernel_nfsd: bool = False
    container: bool = False
    remains: tuple[Remain, ...] = ()
    set_aside: tuple[str, ...] = ()
    connected: frozenset[str] = frozenset()


# ---- answers: what a caller may ask about the configuration --------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter as it counts for one host. ``file`` is empty and ``line`` 0 where a default holds.

    A ``withheld`` one is a secret: its value is empty here whatever the file says.
    """

    name: str
    value: str
    file: str
    line: int
    withheld: bool


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One thing wrong with ltsp.conf. ``severity`` is error or warning; line and column from 1, 0 = none."""

    severity: str
    file: str
    line: int
    column: int
    message: str


# ---- state: what the bus shows -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link as published."""

    name: str
    index: int
    state: str
    addresses: tuple[str, ...]
    dhcp: DhcpRole


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image as published: also sources that were never built (no generations, empty current)."""

    name: str
    source: str
    current: str
    generations: tuple[Generation, ...] = ()
    kernel: str = ""
    size: int = 0
    stale_because: str = ""
    job: str = ""
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClientState:
    """A machine that booted from this server. ``last_seen`` is in microseconds since the epoch.

    ``stage`` is the last one that it reported; ``error`` says why it failed. What is not
    known is empty. All of it is what the machine itself says.
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


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as published. ``applied_at`` is in microseconds since the epoch, 0 = never."""

    name: str
    paths: tuple[str, ...]
    unit: str
    state: OutputState
    message: str = ""
    applied_at: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of long work. ``progress`` is 0.0 … 1.0 over the whole job; times in µs, 0 = not yet.

    ``bytes_done`` of ``bytes_total`` are those of the phase; both are 0 if it is not about bytes.
    """

    id: str
    kind: str
    subject: str
    started_by: int
    state: JobState
    phase: str = ""
    progress: float = 0.0
    bytes_done: int = 0
    bytes_total: int = 0
    error_name: str = ""
    error: str = ""
    result: str = ""
    started_at: int = 0
    finished_at: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """All that the daemon publishes; replaced as a whole, never changed in place."""

    version: str
    state: ServerState = ServerState.STARTING
    revision: int = 0
    problems: tuple[str, ...] = ()
    base_directory: str = ""
    tftp_directory: str = ""
    images: tuple[ImageState, ...] = ()
    links: tuple[LinkState, ...] = ()
    clients: tuple[ClientState, ...] = ()
    outputs: tuple[OutputStatus, ...] = ()
    jobs: tuple[Job, ...] = ()
    remains: tuple[Remain, ...] = ()
    set_aside: tuple[str, ...] = ()


class Progress(Protocol):
    """What long work calls to say how far it is; a job implements it, tests may too."""

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Begin a phase that takes about ``share`` (0 … 1) of the job's time, over ``size`` bytes if any."""

    def done(self, fraction: float) -> None:
        """Say how much of the current phase is done, 0.0 … 1.0."""
