"""The kernel and the boot initrd of a new generation: made from the source, or taken from the one before."""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ltspd import __version__
from ltspd.image.inside import copy_inside, stat_inside
from ltspd.image.kernels import Kernel
from ltspd.image.manifest import BootPart, Manifest
from ltspd.image.threads import in_thread, together
from ltspd.initrd.boot import installed_files
from ltspd.paths import Paths

MakeBootPart = Callable[[Path, str], Awaitable[bytes]]
# What of a source gets into its boot part: modules, firmware, and a busybox if the server has none for it.
_INGREDIENTS = (b"usr/lib/modules", b"lib/modules", b"usr/lib/firmware", b"lib/firmware")
_BUSYBOX = (b"usr/bin/busybox", b"bin/busybox")


@dataclass(frozen=True, slots=True)
class BootFiles:
    """The kernel's size in bytes (the file is in place already), and the initrd without its identity."""

    kernel_bytes: int
    part: bytes
    key: str


def key(root: Path, kernel: Kernel) -> str:
    """Return a digest of what boot files are made from, but for modules and firmware. Blocks."""
    digest = hashlib.sha256(f"{__version__}\n{kernel.release}\n{kernel.path}\n".encode())
    status = stat_inside(root, kernel.path)
    if status is not None:
        digest.update(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
    for file in installed_files():
        try:
            facts = os.stat(file)
        except OSError:
            continue
        digest.update(f"{file} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def concerned(changed: Iterable[bytes]) -> bool:
    """Return whether any of the changed paths could be part of a boot initrd."""
    below = tuple(each + b"/" for each in _INGREDIENTS)
    return any(path in _INGREDIENTS or path in _BUSYBOX or path.startswith(below) for path in changed)


async def make(root: Path, kernel: Kernel, target: Path, make_boot_part: MakeBootPart) -> BootFiles:
    """Copy the kernel to ``target`` and make the boot part; raises what ``build_boot_part`` does, OSError."""
    now = await in_thread(key, root, kernel)
    part, kernel_bytes = await together(
        make_boot_part(root, kernel.release), in_thread(copy_inside, root, kernel.path, target)
    )
    return BootFiles(kernel_bytes, part, now)


def reuse(paths: Paths, previous: Manifest, target: Path) -> BootFiles:
    """Take kernel and boot part of an existing generation; raises OSError, ValueError. Blocks."""
    facts = previous.generation
    home = paths.images / facts.image / "generations" / facts.id
    with open(home / "initrd.img", "rb") as file:
        part = file.read(previous.boot.size)
    if len(part) != previous.boot.size:
        raise ValueError(f"{home / 'initrd.img'} is shorter than its manifest says")
    # A generation's files are never modified, so two may share one.
    os.link(home / "vmlinuz", target)
    return BootFiles(facts.kernel_bytes, part, previous.boot.key)


def as_manifest(files: BootFiles) -> BootPart:
    """Return what a manifest says of the boot files."""
    return BootPart(files.key, len(files.part))
