"""Whether a source has an init that some client can run. Reads only inside the source."""

import stat
from pathlib import Path

from ltspd.errors import NoInit, WrongArchitecture
from ltspd.foreign.inside import read_inside, stat_inside

# What clients may be. A build packs a source as data, so the server may be any other machine.
KNOWN = ("x86_64", "i686", "aarch64")
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


def check_init(root: Path) -> str:
    """Return the source's machine as ``uname -m`` names it; raises NoInit, WrongArchitecture."""
    found = next((name for name in INITS if _is_program(root, name)), None)
    if found is None:
        raise NoInit(
            f"{root} has no init: none of {', '.join(INITS)} is a program. "
            "Install systemd-sysv or another init in it."
        )
    # If init is a script, only its interpreter tells the machine.
    for name in (found, "bin/sh", "usr/bin/env"):
        theirs = elf_machine(read_inside(root, name, 64) or b"")
        if theirs:
            break
    else:
        raise NoInit(f"{root}/{found} and its bin/sh are no ELF programs, so nothing in it could start.")
    if theirs not in KNOWN:
        raise WrongArchitecture(
            f"{root} is a {theirs} system, but clients can only be {', '.join(KNOWN[:-1])} or {KNOWN[-1]}."
        )
    return theirs


def elf_machine(head: bytes) -> str:
    """Return the machine of an ELF program from its first 20 bytes, or an empty string."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(number, f"machine-{number}")


def _is_program(root: Path, name: str) -> bool:
    status = stat_inside(root, name)
    return status is not None and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)
