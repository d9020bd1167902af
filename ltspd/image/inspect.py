"""Whether a source can boot at all: kernel, init, architecture. Reads only, and only inside the source."""

import platform
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import NoInit, NoKernel, WrongArchitecture
from ltspd.image import debversion
from ltspd.image.inside import list_inside, read_inside, stat_inside

INITS = ("sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd", "etc/init", "bin/init")
# e_machine of elf(5) -> what uname -m calls it.
_MACHINES = {
    3: "i686",
    62: "x86_64",
    183: "aarch64",
    40: "armv7l",
    243: "riscv64",
    21: "ppc64le",
    22: "s390x",
}
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel with its modules: ``release`` as uname -r would say, ``path`` relative to the source."""

    release: str
    path: str


def find_kernel(root: Path) -> Kernel:
    """Return the newest kernel whose modules are there too; raises NoKernel that says what is there."""
    candidates = [
        Kernel(name.removeprefix("vmlinuz-"), f"boot/{name}")
        for name in list_inside(root, "boot")
        if name.startswith("vmlinuz-")
    ]
    modules = set(list_inside(root, "usr/lib/modules")) | set(list_inside(root, "lib/modules"))
    inside = (Kernel(release, f"usr/lib/modules/{release}/vmlinuz") for release in sorted(modules))
    candidates += [each for each in inside if _is_file(root, each.path)]
    usable = [
        each
        for each in candidates
        if each.release in modules and _RELEASE.fullmatch(each.release) and _is_file(root, each.path)
    ]
    if usable:
        return max(usable, key=lambda each: (debversion.key(each.release), each.path.startswith("boot/")))
    kernels = ", ".join(each.path for each in candidates) or "none"
    raise NoKernel(
        f"{root} has no kernel with its modules. Kernels: {kernels}. "
        f"Modules: {', '.join(sorted(modules)) or 'none'}. "
        "Install a kernel package in it, for example linux-image-amd64."
    )


def check_init(root: Path, machine: str = "") -> str:
    """Return the source's machine as ``uname -m`` names it; raises NoInit, WrongArchitecture.

    ``machine`` is what this server is; a 32-bit x86 source is accepted on a 64-bit one.
    """
    machine = machine or platform.machine()
    found = next((name for name in INITS if _is_program(root, name)), None)
    if found is None:
        raise NoInit(
            f"{root} has no init: none of {', '.join(INITS)} is a program. "
            "Install systemd-sysv or another init in it."
        )
    # A script as init says nothing about the machine, its interpreter does.
    for name in (found, "bin/sh", "usr/bin/env"):
        theirs = elf_machine(read_inside(root, name, 64) or b"")
        if theirs:
            break
    else:
        raise NoInit(f"{root}/{found} and its bin/sh are no ELF programs, so nothing in it could start.")
    if theirs != machine and not (theirs == "i686" and machine == "x86_64"):
        raise WrongArchitecture(
            f"{root} is a {theirs} system, but this server is {machine} and builds boot files for that only. "
            f"Build it on a {theirs} server."
        )
    return theirs


def elf_machine(head: bytes) -> str:
    """Return the machine of an ELF program from its first 20 bytes, or an empty string."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(number, f"machine-{number}")


def _is_file(root: Path, name: str) -> bool:
    status = stat_inside(root, name)
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size > 0


def _is_program(root: Path, name: str) -> bool:
    status = stat_inside(root, name)
    return status is not None and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)
