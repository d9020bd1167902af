"""Images: what one is built from, its generations and layers, and how the bus shows them. Pure."""

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
