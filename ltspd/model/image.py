"""Images: their sources, generations and layers, and their state on the bus. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SourceKind(StrEnum):
    """What an image is made from."""

    ROOT = "root"
    DIRECTORY = "directory"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Source:
    """Something on disk that an image can be built from; ``path`` is absolute on this machine.

    ``partition`` is the system's on a disk image (0: find it). While a disk image is open, ``path`` is the
    system's root, which must not be resolved, ``origin`` is the disk's file, ``stamp`` is of ``disk.use``,
    and ``pieces`` are offset and size of each squashfs of a live medium, the base first.
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
        """The source as people know it, also while it is open."""
        where = self.origin or self.path
        return f"{where},partition={self.partition}" if self.partition else where


@dataclass(frozen=True, slots=True)
class Want:
    """What a setting of ltsp.conf needs of an image, so that it has its effect there.

    ``setting`` is for people; ``login``: it is no setting, but that people log in. Of ``files``, absolute
    paths, one is needed, in which a ``*`` is a name; ``@NAME`` stands for a display manager, ``@locale:NAME``
    for a language. ``packages`` have it: that of Debian and Ubuntu, of Fedora, of Arch, as far as there are
    such. ``what`` it is, in words.
    """

    setting: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    what: str


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

    A generation without layers is only a kernel and an initrd; its clients read ``directory``, a chroot, by
    NFS. The source of a ``direct`` generation was not read, so its ``source_files`` are 0. ``notes`` are
    sentences about its content for people. ``order`` names the order of its base's files, as booting
    clients read them (empty: none). An ``outdated`` one was built when less was left out of images.
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
    order: str = ""
    outdated: bool = False

    @property
    def direct(self) -> bool:
        """Whether clients get the source unchanged."""
        return not self.source_files

    @property
    def size(self) -> int:
        """Bytes of all layers, kernel and initrd."""
        return sum(layer.size for layer in self.layers) + self.kernel_bytes + self.initrd_bytes


@dataclass(frozen=True, slots=True)
class Image:
    """An image's generations, oldest first, and which of them new clients boot (empty: none).

    ``kept`` are the ids of generations that a person protects from pruning. ``replaced`` is the time (seconds
    since the epoch) at which each former current one stopped being that, if it is known. ``channels`` are the
    ids to which links beside ``current`` lead, by the links' names.
    """

    name: str
    generations: tuple[Generation, ...]
    current: str = ""
    kept: frozenset[str] = frozenset()
    replaced: Mapping[str, float] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)

    @property
    def current_generation(self) -> Generation | None:
        """The generation that new clients boot."""
        return next((each for each in self.generations if each.id == self.current), None)


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image as published; a source that was never built has no generations and no current one."""

    name: str
    source: str
    current: str
    generations: tuple[Generation, ...] = ()
    kernel: str = ""
    size: int = 0
    stale_because: str = ""
    job: str = ""
    kept: frozenset[str] = frozenset()
