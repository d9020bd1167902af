"""The kernel and the boot initrd of a new generation: made from the source, or taken from the one before."""

import hashlib
import os
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ltspd import __version__
from ltspd.foreign.inside import stat_inside
from ltspd.foreign.read import copy_inside
from ltspd.image.context import Build
from ltspd.image.source.excludes import SENSITIVE, compile_patterns
from ltspd.image.source.kernels import Kernel
from ltspd.image.store.manifest import Manifest
from ltspd.initrd import guest
from ltspd.initrd.boot import installed_files
from ltspd.paths import Paths
from ltspd.system.threads import in_thread, together

# What of a source gets into its boot part: modules, firmware, and a busybox if the server has none for it.
_INGREDIENTS = (b"usr/lib/modules", b"lib/modules", b"usr/lib/firmware", b"lib/firmware")
_BUSYBOX = (b"usr/bin/busybox", b"bin/busybox")


# Keys of disks, and of the ssh server that asks for them, are in initrds only. Backups of account databases
# are judged by what is in them, for systemd makes some, and udev's rules name what every machine has.
_NOWHERE = compile_patterns(
    (
        *(each for each in SENSITIVE if "[-+~.]" not in each and "/udev/" not in each),
        *("cryptroot/keyfiles/*", "etc/dropbear/*", "etc/tinyssh/*", "... authorized_keys", "... *.luks"),
    )
)


@dataclass(frozen=True, slots=True)
class BootFiles:
    """The kernel's size in bytes (the file is in place already), and the initrd without its identity."""

    kernel_bytes: int
    part: bytes
    key: str


def key(root: Path, kernel: Kernel) -> str:
    """Return a digest of what boot files are made from, but for modules and firmware. Blocks."""
    digest = hashlib.sha256(f"{__version__}\n{kernel.release}\n{kernel.path}\n".encode())
    for path in (kernel.path, kernel.initrd):
        status = stat_inside(root, path) if path else None
        if status is not None:
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
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


async def check(root: Path, kernel: Kernel) -> None:
    """Raise UnsuitableInitrd if the distribution's initrd is to be used and can't be."""
    if kernel.initrd:
        await guest.check(root, kernel.initrd, is_sensitive)


async def make(build: Build, kernel: Kernel) -> BootFiles:
    """Copy the kernel and make the boot part; raises what ``build.make_boot_part`` does, OSError."""
    target = build.work.kernel
    target.unlink(missing_ok=True)
    # Before anything is read: what changes from now on makes the key another one.
    now = await in_thread(key, build.root, kernel)
    making: Awaitable[bytes]
    if kernel.initrd:
        making = guest.build(build.root, kernel.release, kernel.initrd, is_sensitive)
    else:
        making = build.make_boot_part(build.root, kernel.release)
    part, kernel_bytes = await together(making, in_thread(copy_inside, build.root, kernel.path, target))
    return BootFiles(kernel_bytes, part, now)


def is_sensitive(path: str) -> bool:
    """Return whether no image may have a file there, nor may an initrd."""
    matcher = _NOWHERE
    for part in path.split("/"):
        if (below := matcher.enter(part.encode("utf-8", "surrogateescape"))) is None:
            return True
        matcher = below
    return False


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
