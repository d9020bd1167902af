"""A source's kernels under every name that distributions give them, and the choice of one. Reads only."""

import fnmatch
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import NoKernel
from ltspd.foreign.inside import list_inside, path_inside, read_inside, stat_inside

# What the file is called, before a dash and the version or a flavour: Debian, Fedora, Arch, Alpine and
# openSUSE say vmlinuz, Gentoo kernel, Arm machines Image, Buildroot and Yocto bzImage, systemd-boot linux.
_NAME = re.compile(r"(?:vmlinuz|vmlinux|kernel|bzImage|Image|linux)(?:-(.+))?")
# Where such files are; the last two are those of live media.
_PLACES = ("boot", "", "casper", "live")
# What the system boots by itself: Debian and Ubuntu keep the first, openSUSE and older Ubuntu the second.
_LINKS = ("vmlinuz", "boot/vmlinuz")
# Kernels for virtual machines have no drivers of real ones; others are for machines or ends of their own.
_SPECIAL = re.compile(
    r"[-.+_](?:cloud|kvm|virt|virtual|azure|aws|gcp|gke|gkeop|oracle|ibm|nvidia|kvmsmall|minimal|rt|realtime"
    r"|debug|dbg|xen)(?![a-z])"
)
# Names inside a directory of modules, where the version is that of the directory (Fedora, openSUSE, Arch).
_BESIDE_MODULES = ("vmlinuz", "bzImage", "Image")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")
# Linux, Documentation/arch/x86/boot.rst: the magic number, the place of the version's text less 0x200, the
# sectors before the kernel proper less one (0 means 4), and its size in 16 bytes.
_X86_MAGIC, _X86_VERSION, _X86_SETUP, _X86_SIZE = 0x202, 0x20E, 0x1F1, 0x1F4
_HEADER_BYTES = 64 << 10
_DIGITS = re.compile(r"([^0-9]*)([0-9]*)")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel with its modules: ``release`` as uname -r would say, ``path`` relative to the source.

    ``initrd`` is the path of the distribution's own initrd, if clients are to boot with that.
    """

    release: str
    path: str
    initrd: str = ""


def find_kernel(root: Path, pattern: str = "") -> Kernel:
    """Return the kernel that the system itself boots, or the best one that a shell pattern fits.

    Only those whose modules are there, too. The system's own choice is where ``/vmlinuz`` leads; without one,
    and with a pattern, kernels for all machines come before special ones, and newer before older. The
    pattern is compared with the version, the file's name and its path. Raises NoKernel, which says what
    is there.
    """
    modules = {*list_inside(root, "usr/lib/modules"), *list_inside(root, "lib/modules")}
    modules = {each for each in modules if _RELEASE.fullmatch(each)}
    candidates = _candidates(root, modules)
    usable = [each for each in candidates if each.release in modules]
    chosen = [each for each in usable if not pattern or fits(each, pattern)]
    if chosen:
        own = set() if pattern else {release for each in _LINKS if (release := _linked(root, each, chosen))}
        return max(
            [each for each in chosen if each.release in own] or chosen,
            key=lambda each: (
                not _SPECIAL.search(each.release),
                version_key(each.release),
                each.path.startswith("boot/"),
            ),
        )
    if usable:
        raise NoKernel(
            f"No kernel of {root} fits {pattern!r}, which was chosen for its image. "
            f"There is: {', '.join(sorted({each.release for each in usable}))}. "
            "Choose another with --kernel, or with KERNEL_INITRD in ltsp.conf; without both, "
            "the system's own choice is taken."
        )
    kernels = ", ".join(each.path for each in candidates) or "none"
    raise NoKernel(
        f"{root} has no kernel with its modules. Kernels: {kernels}. "
        f"Modules: {', '.join(sorted(modules)) or 'none'}. "
        "Install a kernel package in it, for example linux-image-amd64."
    )


def _linked(root: Path, link: str, kernels: list[Kernel]) -> str:
    """Return the version of the kernel that a link leads to, or an empty string."""
    target = path_inside(root, link) if os.path.islink(root / link) else None
    found = (each for each in kernels if each.path != link and path_inside(root, each.path) == target)
    return next((each.release for each in found), "") if target is not None else ""


def fits(kernel: Kernel, pattern: str) -> bool:
    """Return whether a shell pattern fits a kernel's version, its file's name or its path."""
    names = (kernel.release, kernel.path.rpartition("/")[2], kernel.path)
    return any(fnmatch.fnmatchcase(name, pattern.removeprefix("/")) for name in names)


def _candidates(root: Path, modules: set[str]) -> list[Kernel]:
    """Return every kernel; one whose version is not known has an empty release."""
    found = []
    for place in _PLACES:
        for name in list_inside(root, place):
            path = f"{place}/{name}".lstrip("/")
            if (parts := _NAME.fullmatch(name)) and _is_file(root, path):
                found.append(Kernel(_release(root, path, parts[1] or "", modules), path))
    for release in sorted(modules):
        for name in _BESIDE_MODULES:
            path = f"usr/lib/modules/{release}/{name}"
            if _is_file(root, path):
                found.append(Kernel(release, path))
    return found


def _release(root: Path, path: str, rest: str, modules: set[str]) -> str:
    """Return the version of a kernel by its name, by what the file says, or by its modules' names."""
    # Gentoo puts the maker and the machine before it: kernel-genkernel-x86_64-6.6.30-gentoo.
    named = [each for each in modules if rest == each or rest.endswith(f"-{each}")]
    if named:
        return max(named, key=len)
    said = header_release(read_inside(root, path, _HEADER_BYTES) or b"")
    if said in modules:
        return said
    # Alpine's vmlinuz-lts is of 6.6.30-0-lts; Arch says in a file what vmlinuz-linux is of.
    flavour = [each for each in modules if each.endswith(f"-{rest}") or _package(root, each) == rest]
    if rest and len(flavour) == 1:
        return flavour[0]
    if not rest and not said and len(modules) == 1:
        return next(iter(modules))
    return said if _RELEASE.fullmatch(said) else rest


def _package(root: Path, release: str) -> str:
    return (
        (read_inside(root, f"usr/lib/modules/{release}/pkgbase", 256) or b"")
        .decode("ascii", "replace")
        .strip()
    )


def header_release(head: bytes) -> str:
    """Return the version that an x86 kernel has in its header, or an empty string."""
    if head[_X86_MAGIC : _X86_MAGIC + 4] != b"HdrS" or len(head) < _X86_VERSION + 2:
        return ""
    (place,) = struct.unpack_from("<H", head, _X86_VERSION)
    text = head[place + 0x200 : place + 0x200 + 256] if place else b""
    return text.split(b"\0")[0].split(b" ")[0].decode("ascii", "replace")


def check_whole(root: Path, kernel: Kernel) -> None:
    """Raise NoKernel if a kernel's file is shorter than its header says, as after a copy that ended early."""
    head = read_inside(root, kernel.path, 1024) or b""
    status = stat_inside(root, kernel.path)
    if head[_X86_MAGIC : _X86_MAGIC + 4] != b"HdrS" or status is None:
        return
    (size,) = struct.unpack_from("<I", head, _X86_SIZE)
    if status.st_size < (need := ((head[_X86_SETUP] or 4) + 1) * 512 + size * 16):
        raise NoKernel(
            f"{root}/{kernel.path} is cut short: it has {status.st_size} bytes and says that it has {need}. "
            "Install its package again."
        )


def _is_file(root: Path, name: str) -> bool:
    status = stat_inside(root, name)
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size > 0


def _letters(text: str) -> tuple[int, ...]:
    """Return a sort key: ``~`` before the end, the end before letters, letters before the rest."""
    weights = [-1 if each == "~" else ord(each) + (0 if each.isalpha() else 256) for each in text]
    return (*weights, 0)


def _part(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    pieces = [(_letters(a), int(b or 0)) for a, b in _DIGITS.findall(text) if a or b]
    # The end marker sorts as an empty piece, so that "1.0~rc1" < "1.0" < "1.0a".
    return (*pieces, ((0,), 0))


VersionKey = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]


def version_key(version: str) -> VersionKey:
    """Return a key that sorts version strings, kernel releases too, as dpkg would (deb-version(7))."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _part(upstream), _part(revision)
