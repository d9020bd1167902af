"""What goes through a build: its source and options, where it works, and what it calls meanwhile."""

import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from ltspd.errors import InvalidOption, NoSpace
from ltspd.initrd.boot import build_boot_part
from ltspd.initrd.kernel import check_modules
from ltspd.model.image import Generation, Source, Want
from ltspd.model.job import Progress
from ltspd.paths import Paths

# Whose initrd clients boot with: ours, or that of the distribution with our client as a guest in it.
OWN, DISTRIBUTION = INITRDS = ("own", "distribution")
# A minimal Debian, 399 MB to pack, in CPU seconds: 1: 2.9 s, 128.8 MB; 2: 2.7 s, 125.4 MB;
# 3: 3.4 s, 123.4 MB; 4: 4.3 s, 121.9 MB; 6: 7.4 s, 115.9 MB; 9: 10.6 s, 114.5 MB. Blocks of 256 KiB
# would save 4 % but make clients read twice as much for each small file.
LEVEL = 2
# The daemon sees a client when that mounts its root, not when it fetches its kernel. Even on slow networks
# no more than this many seconds lie between the two.
GRACE_SECONDS = 600.0
# zstd at its fastest level leaves 40 % of a desktop's bytes. A source of incompressible data that does not
# fit ends the build with NoSpace all the same, only later.
SPACE_SHARE = 0.6
# Kernel, initrd, manifest, and what the file system itself needs.
SPACE_MARGIN = 96 << 20
# Names in an image's store that begin with this belong to work under way, or are left over from a killed one.
WORK_PREFIX = ".work-"
FOLD_PREFIX = f"{WORK_PREFIX}fold-"
# What the next build compares the source with; a generation without it is whole, but needs a full build.
ENTRIES = "entries"

# Tells which generations clients use. It is asked just before one is removed.
Used = Callable[[], frozenset[str]]
# Called with a name between two steps of work, so that a test can kill the process there.
Step = Callable[[str], None]
# Tries a generation out before it is published: it, the work directory that holds it, and how far that is.
Trial = Callable[[Generation, Path, Progress], Awaitable[None]]
# Makes the initrd of a root and a kernel's release, but for what names the generation.
MakeBootPart = Callable[[Path, str], Awaitable[bytes]]
# Returns which modules for booting from a network a root's kernel lacks.
MissingModules = Callable[[Path, str], tuple[str, ...]]
# Marks the options that the caller of a build may give; on the bus they have the names of their fields.
_CALLER = {"caller": True}


def nothing(_step: str) -> None:
    """Do nothing between two steps."""


class Silent(Progress):
    """A Progress that nobody watches."""

    def phase(self, name: str, share: float, size: int = 0) -> None:
        """Say nothing."""

    def done(self, fraction: float) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build; ``lock_timeout`` is in seconds.

    The newest ``keep`` generations stay, and those younger than ``keep_days``; for ``grace`` seconds
    also what was current before. ``full`` packs everything anew even where a layer with the changes would do.
    ``direct`` packs nothing: clients read the chroot itself.
    ``kernel`` is a shell pattern for the kernel to take (empty: the source's own), ``initrd`` one of INITRDS;
    None is what the current generation was built with. Where that chooses no kernel, ``usual_kernel`` does.
    What the source lacks of ``wants`` is told.
    """

    add_excludes: tuple[str, ...] = ()
    omit_excludes: tuple[str, ...] = ()
    usual_kernel: str = ""
    wants: tuple[Want, ...] = ()
    level: int = LEVEL
    keep: int = 3
    keep_days: float = 0.0
    grace: float = GRACE_SECONDS
    lock_timeout: float = 60.0
    background: bool = field(default=False, metadata=_CALLER)
    full: bool = field(default=False, metadata=_CALLER)
    direct: bool = field(default=False, metadata=_CALLER)
    kernel: str | None = field(default=None, metadata=_CALLER)
    initrd: str | None = field(default=None, metadata=_CALLER)

    def __post_init__(self) -> None:
        """Raise InvalidOption for an ``initrd`` that is none of INITRDS."""
        if self.initrd not in (None, *INITRDS):
            raise InvalidOption(
                f"Option 'initrd' must be one of {', '.join(INITRDS)}, not {self.initrd[:40]!r}."
            )


ASKED = tuple(each.name for each in fields(BuildOptions) if each.metadata)


@dataclass(frozen=True, slots=True)
class Workdir:
    """The names in a work directory of one build or fold; its threads stop soon after ``ended`` is set."""

    home: Path
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def layers(self) -> Path:
        """Where new layers are packed, and get their names when they are sealed."""
        return self.home / "layers"

    @property
    def generation(self) -> Path:
        """What will be the generation's directory."""
        return self.home / "generation"

    @property
    def kernel(self) -> Path:
        """The generation's kernel."""
        return self.generation / "vmlinuz"

    @property
    def entries(self) -> Path:
        """The table of all that is in the generation."""
        return self.generation / ENTRIES

    @property
    def scratch(self) -> Path:
        """What nobody needs afterwards."""
        return self.home / "scratch"

    @property
    def spool(self) -> Path:
        """What changed, as a tar file."""
        return self.scratch / "changes.tar"

    def stopped(self) -> bool:
        """Return whether the work has ended, also by a cancel."""
        return self.ended.is_set()


def name_workdir(paths: Paths, image: str, prefix: str = WORK_PREFIX) -> Workdir:
    """Return a work directory's names, which nobody else has; nothing is made yet."""
    return Workdir(paths.images / image / f"{prefix}{os.getpid()}-{time.time_ns():x}")


@dataclass(frozen=True, slots=True)
class Build:
    """One build; each phase gets this and returns what it adds. ``work`` is made and removed by the build.

    A phase runs in one thread, or is one program, or both at once. Long ones ask ``stopped``, or end with the
    program that they wait for, so that a cancelled build ends within 2 s.
    """

    paths: Paths
    source: Source
    options: BuildOptions = BuildOptions()
    progress: Progress = field(default_factory=Silent)
    in_use: Used = frozenset
    trial: Trial | None = None
    make_boot_part: MakeBootPart = build_boot_part
    missing_modules: MissingModules = check_modules
    step: Step = nothing
    work: Workdir = field(init=False)

    def __post_init__(self) -> None:
        """Choose the names of the work directory."""
        object.__setattr__(self, "work", name_workdir(self.paths, self.source.name))

    @property
    def root(self) -> Path:
        """The source's root directory."""
        return Path(self.source.path)

    @property
    def stopped(self) -> Callable[[], bool]:
        """What long work asks whether to end early."""
        return self.work.stopped

    def check_space(self, what: str, size: int, share: float = SPACE_SHARE) -> None:
        """Raise NoSpace if the store can't take ``share`` of ``size`` bytes; ``what`` is for the message."""
        check_space(self.paths, what, size, share)


def check_space(paths: Paths, what: str, size: int, share: float = SPACE_SHARE) -> None:
    """Raise NoSpace if the store can't take ``share`` of ``size`` bytes; ``what`` is for the message."""
    place = paths.images
    while not place.exists():
        place = place.parent
    figures = os.statvfs(place)
    free = figures.f_bavail * figures.f_frsize
    need = int(size * share) + SPACE_MARGIN
    if free < need:
        raise NoSpace(
            f"An image of {what} ({size >> 20} MiB to pack) may need {need >> 20} MiB "
            f"in {paths.images}, but only {free >> 20} MiB are free there. "
            "Remove old generations or exclude more."
        )
