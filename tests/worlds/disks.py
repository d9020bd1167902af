"""Makes disk images for tests: small roots in file systems. Needs no mount.

How they are laid out on disks is in tests/lab/laying.py.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.lab import laying
from tests.lab.laying import MIB, call
from tests.worlds.image_trees import elf, write


def system(root: Path, fstab: str = "", **files: str) -> Path:
    """Make the least that is a system; ``files`` are further ones, with __ for each slash."""
    write(root, "etc/os-release", "ID=test\n")
    write(root, "etc/fstab", fstab)
    write(root, "usr/sbin/init", elf(), 0o755)
    write(root, "usr/bin/true", elf(), 0o755)
    for name in ("boot", "var", "opt", "proc", "home"):
        (root / name).mkdir(exist_ok=True)
    for name in ("bin", "sbin"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name, content in files.items():
        write(root, name.replace("__", "/"), content)
    return root


def ext4(place: Path, root: Path, size: int = 4 * MIB, *options: str, kind: str = "ext4") -> bytes:
    """Return a file system that holds a directory."""
    path = place / "file-system"
    path.unlink(missing_ok=True)
    call("mke2fs", "-q", "-t", kind, "-d", root, *options, path, f"{size >> 10}k")
    content = path.read_bytes()
    path.unlink()
    return content


def lvm(place: Path, group: str, volumes: Sequence[tuple[str, bytes]], size: int = 32 * MIB) -> bytes:
    """Return a physical volume with logical ones that hold these contents; each odd one is in two pieces."""
    path = laying.lvm(place / "physical", group, volumes, size)
    content = path.read_bytes()
    path.unlink()
    return content
