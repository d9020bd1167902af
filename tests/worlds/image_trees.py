"""Small source trees for the image tests, and a look into a finished layer."""

import os
import struct
import subprocess
from pathlib import Path

from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths

RELEASE = "6.1.0-9-amd64"
HASH = "$y$j9T$secretsalt$secrethashsecrethash"
DPKG_STATUS = """Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9
"""


def elf(machine: int = 62) -> bytes:
    """Return the beginning of a 64-bit little-endian ELF program."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(44)


def write(root: Path, name: str, content: bytes | str = b"", mode: int = 0o644) -> Path:
    """Write a file with its parents."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def make_tree(root: Path) -> Path:
    """Make the least that passes for a system: init, kernel, modules, accounts, packages."""
    write(root, "usr/lib/systemd/systemd", elf(), 0o755)
    (root / "usr/sbin").mkdir()
    (root / "sbin").symlink_to("usr/sbin")
    (root / "usr/sbin/init").symlink_to("/usr/lib/systemd/systemd")
    write(root, f"boot/vmlinuz-{RELEASE}", b"kernel" * 1000, 0o600)
    write(root, f"usr/lib/modules/{RELEASE}/modules.dep")
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    write(root, "etc/group", "root:x:0:\naudio:x:29:ann\nann:x:1000:\n")
    write(root, "etc/shadow", f"root:{HASH}:1::::::\nann:{HASH}:1::::::\n", 0o640)
    write(root, "etc/fstab", "UUID=1234 / ext4 defaults 0 1\n")
    write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444)
    write(root, "var/lib/dpkg/status", DPKG_STATUS)
    for name in ("lock-frontend", "lock"):
        write(root, f"var/lib/dpkg/{name}", b"", 0o640)
    for name in ("proc", "sys", "dev", "run", "tmp", "home", "var/log"):
        (root / name).mkdir(exist_ok=True)
    return root


def make_source(paths: Paths, name: str = "tiny") -> Source:
    """Make a chroot source in the base directory."""
    return Source(name, SourceKind.DIRECTORY, str(make_tree(paths.base_dir / name)))


def unpack(layer: Path, target: Path) -> Path:
    """Extract a layer and return where it is."""
    command = ["unsquashfs", "-no-progress", "-quiet", "-dest", str(target), str(layer)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


def names(root: Path) -> set[bytes]:
    """Return the relative names of everything below a directory."""
    top = os.fsencode(root)
    found = set()
    for directory, directories, files in os.walk(top):
        found |= {os.path.relpath(os.path.join(directory, each), top) for each in (*directories, *files)}
    return found


def pack(root: Path, target: Path, *options: str) -> Path:
    """Pack a directory as it is."""
    command = ["mksquashfs", str(root), str(target), "-noappend", "-no-progress", "-quiet", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target
