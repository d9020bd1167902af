"""Makes disk images for tests: small roots in file systems, partitions, formats. Needs no mount."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.unit.image_trees import elf, write

MIB = 1 << 20
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"


@dataclass(frozen=True, slots=True)
class Part:
    """A partition to be: its content, and its type as sfdisk says it (None: by the table's own word)."""

    content: bytes
    type: str = ""
    name: str = ""


def call(*argv: str | Path, stdin: bytes | None = None) -> bytes:
    """Run a program and return what it printed."""
    env = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1"}
    done = subprocess.run(
        [str(each) for each in argv], input=stdin, capture_output=True, check=False, env=env
    )
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}{done.stdout.decode()}"
    return done.stdout


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


def fat(size: int = MIB) -> bytes:
    """Return the first sector of a FAT file system, as an EFI system partition has, and nothing more."""
    sector = bytearray(512)
    sector[0:11] = b"\xeb\x58\x90mkfs.fat"
    sector[39:43], sector[43:54], sector[54:62] = b"\x78\x56\x34\x12", b"EFI        ", b"FAT16   "
    sector[510:512] = b"\x55\xaa"
    return bytes(sector).ljust(size, b"\0")


def swap(size: int = MIB) -> bytes:
    """Return an empty swap area."""
    return bytes(4086) + b"SWAPSPACE2" + bytes(size - 4096)


def disk(path: Path, label: str, parts: Sequence[Part]) -> Path:
    """Write a raw disk with a table (``gpt``, ``dos``) or, with ``none``, one file system."""
    if label == "none":
        path.write_bytes(parts[0].content)
        return path
    start, lines, places = MIB, [f"label: {label}", "unit: sectors"], []
    for number, part in enumerate(parts, 1):
        if label == "dos" and number == 4 and len(parts) > 4:
            lines.append(f"start={start // 512}, type=f")
        if label == "dos" and number >= 4 and len(parts) > 4:
            start += MIB
        kind = part.type or (LINUX if label == "gpt" else "83")
        name = f', name="{part.name}"' if part.name else ""
        lines.append(f"start={start // 512}, size={len(part.content) // 512}, type={kind}{name}")
        places.append(start)
        start += len(part.content)
    with open(path, "wb") as file:
        file.truncate(start + MIB)
    call("sfdisk", "-q", "--no-reread", "--no-tell-kernel", path, stdin="\n".join(lines).encode())
    with open(path, "r+b") as file:
        for place, part in zip(places, parts, strict=True):
            file.seek(place)
            file.write(part.content)
    return path


def lvm(place: Path, group: str, volumes: Sequence[tuple[str, bytes]], size: int = 32 * MIB) -> bytes:
    """Return a physical volume with logical ones that hold these contents; each odd one is in two pieces."""
    path = place / "physical"
    with open(path, "wb") as file:
        file.truncate(size)
    device = call("losetup", "--find", "--show", path).decode().strip()
    only = f'["a|^{device}$|","r|.*|"]'
    settings = f"devices{{use_devicesfile=0 filter={only} global_filter={only}}} backup{{backup=0 archive=0}}"
    before = ("--driverloaded", "n", "--config", settings)
    taken, pieces = 0, []

    def make(what: str, *words: str) -> None:
        call("lvm", what, *before, *words)

    try:
        make("pvcreate", device)
        make("vgcreate", "-s", "1m", group, device)
        for index, (name, content) in enumerate(volumes):
            extents = len(content) // MIB
            first = extents // 2 if index % 2 else extents
            make("lvcreate", "-an", "-Zn", "-Wn", "-n", name, "-l", str(first), group)
            pieces.append((taken, content[: first * MIB]))
            taken += first
            if first < extents:
                make("lvcreate", "-an", "-Zn", "-Wn", "-n", f"between-{index}", "-l", "1", group)
                make("lvextend", "-l", str(extents), f"{group}/{name}")
                pieces.append((taken + 1, content[first * MIB :]))
                taken += 1 + extents - first
    finally:
        call("losetup", "--detach", device)
    with open(path, "r+b") as filled:
        for extent, piece in pieces:
            # LVM's data begins at 1 MiB.
            filled.seek((1 + extent) * MIB)
            filled.write(piece)
    content = path.read_bytes()
    path.unlink()
    return content


def convert(raw: Path, target: Path, kind: str, *options: str) -> Path:
    """Write a raw disk in another format."""
    call("qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw, target)
    return target
