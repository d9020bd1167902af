"""What a build takes of its source, as far as that is known without a walk: kernel, packages, excludes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ltspd.disk import use
from ltspd.errors import InconsistentSource
from ltspd.foreign import inspect
from ltspd.image.context import DISTRIBUTION, Build
from ltspd.image.source import dpkg, excludes, homes, kernels
from ltspd.initrd import guest
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build takes of its source.

    ``digest`` differs once the source has something newer: of a disk image it is its stamp, else one of its
    packages. ``own_excludes`` are those of ``excludes`` that the administrator wrote. Lines of
    OMIT_IMAGE_EXCLUDES that are in no list are ``wanted`` in the image although others may not read them,
    those of the list of secrets ``never`` get in. ``reasons`` say of excludes what they leave out.
    """

    kernel: kernels.Kernel
    architecture: str
    packages: dpkg.Packages
    digest: str
    excludes: tuple[str, ...]
    own_excludes: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


def make_plan(build: Build, *, owned: bool = False) -> Plan:
    """Find out all but what is in the tree.

    ``owned`` says that we hold the source's package lock, so that its packages are at rest. Raises NoKernel,
    NoInit, WrongArchitecture, InconsistentSource, UnsuitableInitrd. Blocks.
    """
    source, options, root = build.source, build.options, build.root
    architecture = inspect.check_init(root)
    kernel = kernels.find_kernel(root, options.kernel or options.usual_kernel)
    kernels.check_whole(root, kernel)
    if options.initrd == DISTRIBUTION:
        kernel = replace(kernel, initrd=guest.find(root, kernel.release))
    packages = dpkg.read_packages(root)
    # While somebody installs packages they are half done by nature; the build waits for that.
    if owned or not dpkg.lock_holder(root):
        dpkg.check_consistent(root, packages)
    file = build.paths.etc / "image.excludes"
    listed = file.read_text("utf-8", "surrogateescape") if file.is_file() else None
    add, omit = options.add_excludes, options.omit_excludes
    reasons = {**excludes.COPIES, **homes.patterns(root)}
    patterns = excludes.effective(listed, add, omit, tuple(reasons))
    return Plan(
        kernel,
        architecture,
        packages,
        source.stamp or packages.digest,
        (*patterns, *_without_store(build.paths, source)),
        excludes.own(patterns, reasons),
        excludes.unknown(listed, omit, tuple(reasons)),
        excludes.never(omit),
        reasons,
    )


def _without_store(paths: Paths, source: Source) -> tuple[str, ...]:
    """Return patterns that keep images out of an image, wherever the base directory is."""
    store, root = os.path.realpath(paths.images), os.path.realpath(source.path).rstrip("/") + "/"
    if source.kind is SourceKind.DISK or not store.startswith(root):
        return ()
    inside = excludes.literal(os.fsencode(store[len(root) :]))
    return (f"{inside}/*", f"{inside}/.*")


def excludes_setting(paths: Paths, value: str) -> tuple[str, ...]:
    """Return the patterns of ADD_IMAGE_EXCLUDES or OMIT_IMAGE_EXCLUDES: as in LTSP one a line, or a file.

    Blocks for the file's reading. A pattern may contain spaces, so the value is not split at them.
    """
    name = value.strip()
    if name.startswith("/") and "\n" not in name and paths.at(name).is_file():
        value = paths.at(name).read_text("utf-8", "surrogateescape")
    return tuple(line.strip() for line in value.split("\n") if line.strip())


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
