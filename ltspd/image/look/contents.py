"""Looking at a source before and during a build: what it is, what of it an image has, whether it fits."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ltspd.disk import use
from ltspd.errors import InconsistentSource, NoSpace
from ltspd.foreign import inspect
from ltspd.foreign.inside import read_inside
from ltspd.image.look.entries import Table
from ltspd.image.look.scan import TICK_NS, Tree, scan
from ltspd.image.pack import squashfs
from ltspd.image.pack.spool import with_replaced
from ltspd.image.pack.squashfs import Replacement
from ltspd.image.source import clean, dpkg, excludes, homes, kernels
from ltspd.image.store.keeping import GRACE_SECONDS
from ltspd.image.store.manifest import Manifest
from ltspd.initrd import guest
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths
from ltspd.system.threads import in_thread

# Whose initrd clients boot with: ours, or that of the distribution with our client as a guest in it.
OWN, DISTRIBUTION = INITRDS = ("own", "distribution")
# zstd at its fastest level leaves 40 % of a desktop's bytes; a source of incompressible data that
# does not fit ends the build with NoSpace all the same, only later.
SPACE_SHARE = 0.6
# A job may have waited for others for minutes since its preflight walked the source.
SEEN_SECONDS = 30.0
# Kernel, initrd, manifest, and what the file system itself needs.
SPACE_MARGIN = 96 << 20


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build; ``lock_timeout`` is in seconds.

    The newest ``keep`` generations stay, and those younger than ``keep_days``; for ``grace`` seconds
    also what was current before. ``full`` packs everything anew even where a layer with the changes would do.
    ``direct`` packs nothing: clients read the chroot itself.
    ``kernel`` is a shell pattern for the kernel to take (empty: the source's own), ``initrd`` one of INITRDS;
    None is what the current generation was built with.
    """

    add_excludes: tuple[str, ...] = ()
    omit_excludes: tuple[str, ...] = ()
    level: int = squashfs.LEVEL
    keep: int = 3
    keep_days: float = 0.0
    grace: float = GRACE_SECONDS
    lock_timeout: float = 60.0
    background: bool = False
    full: bool = False
    direct: bool = False
    kernel: str | None = None
    initrd: str | None = None


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a look at a source found. A plan with nothing ``seen`` did not walk it, or not to the end.

    ``own_excludes`` are those of ``excludes`` that the administrator wrote. Lines of OMIT_IMAGE_EXCLUDES that
    are in no list are ``wanted`` in the image although others may not read them, those of the list of secrets
    ``never`` get in. ``reasons`` say of excludes what they leave out.
    """

    source: Source
    options: BuildOptions
    kernel: kernels.Kernel
    architecture: str
    packages: dpkg.Packages
    excludes: tuple[str, ...]
    own_excludes: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    seen: "Seen | None" = None

    @property
    def digest(self) -> str:
        """What differs once the source has something newer: of a disk image its stamp, else of packages."""
        return self.source.stamp or self.packages.digest


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image of a source has: the walk, the files in another form, and the table of both."""

    tree: Tree
    replaced: Mapping[bytes, Replacement]
    table: Table


@dataclass(frozen=True, slots=True)
class Seen:
    """What a walk found, and when by the monotonic clock, in seconds."""

    contents: Contents
    moment: float


def chosen(options: BuildOptions, previous: Manifest | None) -> BuildOptions:
    """Return the options with what nobody chose now as it was chosen for the current generation."""
    if options.kernel is None:
        options = replace(options, kernel=previous.kernel_pattern if previous else "")
    if options.initrd is None:
        options = replace(options, initrd=previous.initrd if previous else OWN)
    return options


def look(paths: Paths, source: Source, options: BuildOptions, *, owned: bool = False) -> BuildPlan:
    """Look at everything but the tree.

    Raises NoKernel, NoInit, WrongArchitecture, InconsistentSource, UnsuitableInitrd.
    ``owned`` says that we hold its package lock, so what we see is at rest. Blocks.
    """
    root = Path(source.path)
    architecture = inspect.check_init(root)
    kernel = kernels.find_kernel(root, options.kernel or "")
    kernels.check_whole(root, kernel)
    if options.initrd == DISTRIBUTION:
        kernel = replace(kernel, initrd=guest.find(root, kernel.release))
    packages = dpkg.read_packages(root)
    # While somebody installs packages they are half done by nature; the build waits for that.
    if owned or not dpkg.lock_holder(root):
        dpkg.check_consistent(root, packages)
    file = paths.etc / "image.excludes"
    listed = file.read_text("utf-8", "surrogateescape") if file.is_file() else None
    add, omit = options.add_excludes, options.omit_excludes
    reasons = {**excludes.COPIES, **homes.patterns(root)}
    patterns = excludes.effective(listed, add, omit, tuple(reasons))
    own, wanted = excludes.own(patterns, reasons), excludes.unknown(listed, omit, tuple(reasons))
    patterns = _with_store(paths, source, patterns)
    never = excludes.never(omit)
    return BuildPlan(source, options, kernel, architecture, packages, patterns, own, wanted, never, reasons)


def contents(
    source: Source, patterns: tuple[str, ...], stop: Callable[[], bool], wanted: tuple[str, ...] = ()
) -> Contents:
    """Walk a source and return what an image of it has; raises OSError. Blocks.

    A server's own root has what its programs keep to themselves. A chroot or a disk was made for clients, so
    what only root may read there is meant for them, and is told.
    """
    root = Path(source.path)
    # What is mounted below a disk's root is the disk's own, and not in our namespace.
    mounts = b"" if source.kind is SourceKind.DISK else None
    strict = source.kind is SourceKind.ROOT
    tree = scan(root, patterns, mounts, stop, strict=strict, wanted=wanted)
    new = clean.replacements({name: read_inside(root, name) for name in clean.READ})
    changed = [
        squashfs.like(root, name, content, 0o444 if name == "etc/machine-id" else 0o644)
        for name, content in new.items()
    ]
    # Log files exist for their owners and modes; content and times are this machine's history.
    plain = [each.decode() for each in tree.logs if squashfs.PLAIN_NAME.fullmatch(each)]
    changed += [replace(squashfs.like(root, each, b""), mtime=0) for each in plain]
    known = tree.table.directories
    replaced = {os.fsencode(each.name): each for each in changed}
    replaced = {path: each for path, each in replaced.items() if path.rpartition(b"/")[0] in known}
    return Contents(tree, replaced, with_replaced(tree.table, replaced))


def settle() -> None:
    """Wait before a walk: files that changed in this very tick could change again and have the same time."""
    time.sleep(TICK_NS / 1e9)


async def look_locked(paths: Paths, plan: BuildPlan, stop: Callable[[], bool]) -> tuple[BuildPlan, Contents]:
    """Look at a source whose package lock we hold; raises what ``look`` does, OSError."""
    await in_thread(settle)
    fresh = await in_thread(lambda: look(paths, plan.source, plan.options, owned=True))
    return fresh, await in_thread(contents, plan.source, fresh.excludes, stop, fresh.wanted)


async def look_first(paths: Paths, plan: BuildPlan, stop: Callable[[], bool]) -> tuple[BuildPlan, Contents]:
    """Look at a source before all of it is packed; what preflight has just seen need not be walked again.

    Whatever changed since comes into the layer above, as what changes later does: the last look counts.
    """
    seen = plan.seen
    if seen is None or time.monotonic() - seen.moment > SEEN_SECONDS:
        return await look_locked(paths, plan, stop)
    fresh = await in_thread(lambda: look(paths, plan.source, plan.options, owned=True))
    if (fresh.excludes, fresh.wanted) != (plan.excludes, plan.wanted):
        return await look_locked(paths, fresh, stop)
    return fresh, seen.contents


def excludes_setting(paths: Paths, value: str) -> tuple[str, ...]:
    """Return the patterns of ADD_IMAGE_EXCLUDES or OMIT_IMAGE_EXCLUDES: as in LTSP one a line, or a file.

    Blocks for the file's reading. A pattern may contain spaces, so the value is not split at them.
    """
    name = value.strip()
    if name.startswith("/") and "\n" not in name and paths.at(name).is_file():
        value = paths.at(name).read_text("utf-8", "surrogateescape")
    return tuple(line.strip() for line in value.split("\n") if line.strip())


def _with_store(paths: Paths, source: Source, patterns: tuple[str, ...]) -> tuple[str, ...]:
    if source.kind is SourceKind.DISK:
        return patterns
    # Never an image inside an image, wherever the base directory is.
    store_path = os.path.realpath(paths.images)
    own = os.path.realpath(source.path).rstrip("/") + "/"
    if store_path.startswith(own):
        inside = excludes.literal(os.fsencode(store_path[len(own) :]))
        patterns = (*patterns, f"{inside}/*", f"{inside}/.*")
    return patterns


def check_steady(source: Source) -> None:
    """Raise InconsistentSource if a disk image went away or was written to while it was read. Blocks."""
    if source.kind is not SourceKind.DISK:
        return
    file = Path(source.origin)
    # The directory is gone with the process that held the disk, and whatever was read then looks deleted.
    if not Path(source.path).is_dir() or use.stamp(file) != source.stamp:
        raise InconsistentSource(
            f"{file} was changed while it was read. Shut down the virtual machine that uses it, and build "
            "again."
        )


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
