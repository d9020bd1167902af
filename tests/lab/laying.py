"""Laying out disks of virtual machines without mounting anything: tables, LVM, QEMU's formats.

Not here: what systems are on them.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.patience import PATIENCE

MIB = 1 << 20
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"

# A format's name, QEMU's word for it, and the options that qemu-img takes.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "raw": ("raw", ()),
    "qcow2": ("qcow2", ()),
    "qcow2-compressed": ("qcow2", ("-c",)),
    "vdi": ("vdi", ()),
    "vmdk": ("vmdk", ()),
    "vmdk-flat": ("vmdk", ("-o", "subformat=monolithicFlat")),
    "vmdk-split": ("vmdk", ("-o", "subformat=twoGbMaxExtentSparse")),
    "vmdk-split-flat": ("vmdk", ("-o", "subformat=twoGbMaxExtentFlat")),
    "vmdk-stream": ("vmdk", ("-o", "subformat=streamOptimized")),
}
TABLES = ("none", "dos", "dos-logical", "gpt", "gpt-esp-second")


@dataclass(frozen=True, slots=True)
class Part:
    """A partition to be: its content, or the file with it, and its type as sfdisk says it.

    Without a type it gets its table's own word for Linux. A file's size is a multiple of 1 MiB.
    """

    content: bytes | Path
    type: str = ""
    name: str = ""


def call(*argv: str | Path, stdin: bytes | None = None) -> bytes:
    """Run a program and return what it printed; raises RuntimeError with its words if it fails."""
    env = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    program = shutil.which(str(argv[0]), path=env["PATH"]) or str(argv[0])
    words = [program, *map(str, argv[1:])]
    done = subprocess.run(words, input=stdin, capture_output=True, check=False, env=env, timeout=PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.decode()}{done.stdout.decode()}")
    return done.stdout


def fat(size: int = MIB) -> bytes:
    """Return the first sector of a FAT file system, as an EFI system partition has, and nothing more.

    Its UUID is 1234-5678.
    """
    sector = bytearray(512)
    sector[0:11] = b"\xeb\x58\x90mkfs.fat"
    sector[39:43], sector[43:54], sector[54:62] = b"\x78\x56\x34\x12", b"EFI        ", b"FAT16   "
    sector[510:512] = b"\x55\xaa"
    return bytes(sector).ljust(size, b"\0")


def swap(size: int = MIB) -> bytes:
    """Return an empty swap area."""
    return bytes(4086) + b"SWAPSPACE2" + bytes(size - 4096)


def disk(path: Path, label: str, parts: Sequence[Part]) -> Path:
    """Write a raw disk with a table (``gpt``, ``dos``) or, with ``none``, the content of one part.

    In a ``dos`` table of more than four parts, those from the fourth on are logical ones, from 5.
    """
    if label == "none":
        _put(parts[0].content, path, 0, 0, _size(parts[0].content))
        return path
    start, lines, places = MIB, [f"label: {label}", "unit: sectors"], []
    for number, part in enumerate(parts, 1):
        if label == "dos" and number == 4 and len(parts) > 4:
            lines.append(f"start={start // 512}, type=f")
        if label == "dos" and number >= 4 and len(parts) > 4:
            start += MIB
        kind = part.type or (LINUX if label == "gpt" else "83")
        name = f', name="{part.name}"' if part.name else ""
        lines.append(f"start={start // 512}, size={_size(part.content) // 512}, type={kind}{name}")
        places.append(start)
        start += _size(part.content)
    with open(path, "wb") as file:
        file.truncate(start + MIB)
    call("sfdisk", "-q", "--no-reread", "--no-tell-kernel", path, stdin="\n".join(lines).encode())
    for place, part in zip(places, parts, strict=True):
        _put(part.content, path, place, 0, _size(part.content))
    return path


def lvm(path: Path, group: str, volumes: Sequence[tuple[str, bytes | Path]], size: int = 0) -> Path:
    """Write a physical volume with logical ones that hold these contents; each odd one is in two pieces.

    Needs root, for a loop device that is gone afterwards.
    """
    size = size or sum(_size(content) for _, content in volumes) + 16 * MIB
    with open(path, "wb") as file:
        file.truncate(size)
    device = call("losetup", "--find", "--show", path).decode().strip()
    only = f'["a|^{device}$|","r|.*|"]'
    settings = f"devices{{use_devicesfile=0 filter={only} global_filter={only}}} backup{{backup=0 archive=0}}"
    before = ("--driverloaded", "n", "--config", settings)
    # Contents, and of each the extents to leave out, the place in the group, the number.
    pieces: list[tuple[bytes | Path, int, int, int]] = []
    taken = 0

    def make(what: str, *words: str) -> None:
        call("lvm", what, *before, *words)

    try:
        make("pvcreate", device)
        make("vgcreate", "-s", "1m", group, device)
        for index, (name, content) in enumerate(volumes):
            extents = _size(content) // MIB
            first = extents // 2 if index % 2 else extents
            make("lvcreate", "-an", "-Zn", "-Wn", "-n", name, "-l", str(first), group)
            pieces.append((content, 0, taken, first))
            taken += first
            if first < extents:
                make("lvcreate", "-an", "-Zn", "-Wn", "-n", f"between-{index}", "-l", "1", group)
                make("lvextend", "-l", str(extents), f"{group}/{name}")
                pieces.append((content, first, taken + 1, extents - first))
                taken += 1 + extents - first
    finally:
        call("losetup", "--detach", device)
    for content, skip, extent, count in pieces:
        # LVM's data begins at 1 MiB.
        _put(content, path, (1 + extent) * MIB, skip * MIB, count * MIB)
    return path


def convert(raw: Path, target: Path, kind: str, *options: str) -> Path:
    """Write a raw disk in another format."""
    call("qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw, target)
    return target


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _put(content: bytes | Path, target: Path, at: int, skip: int, count: int) -> None:
    """Write a piece of a content into a file, which may be longer already; zeros of files stay holes."""
    if isinstance(content, Path):
        places = (f"skip={skip // MIB}", f"seek={at // MIB}", f"count={count // MIB}", "bs=1M")
        call("dd", f"if={content}", f"of={target}", *places, "status=none", "conv=sparse,notrunc")
        if target.stat().st_size < at + count:
            os.truncate(target, at + count)
        return
    with open(target, "r+b" if target.exists() else "wb") as file:
        file.seek(at)
        file.write(content[skip : skip + count])
