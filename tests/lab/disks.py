"""Disks of virtual machines as an installer lays them out, and live media: for servers to make images of."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

MIB = 1 << 20
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
_FSTAB = """\
/dev/mapper/lab--vg-root / ext4 errors=remount-ro 0 1
LABEL=boot /boot ext4 defaults 0 2
UUID=1234-5678 /boot/efi vfat umask=0077 0 1
/dev/mapper/lab--vg-swap_1 none swap sw 0 0
"""


def make_disk(tree: Path, place: Path, kind: str = "qcow2") -> Path:
    """Return a disk image of QEMU's ``kind`` with the system of a root tree on it; ``place`` is empty.

    GPT with an EFI system partition, ext4 for /boot, and LVM with swap and a root in two pieces.
    Some 6 s and 700 MB for 430 MB of tree; needs root, for one loop device that is gone afterwards.
    """
    root, boot = place / "root", place / "boot"
    size = int(_call("du", "-sm", tree).split()[0])
    _call("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", tree, root, f"{size + size // 4 + 64}m")
    _call("mke2fs", "-q", "-t", "ext4", "-L", "boot", "-d", tree / "boot", boot, "128m")
    # What an installer writes; and the kernel is on its own partition only.
    (place / "fstab").write_text(_FSTAB)
    commands = ["rm etc/fstab", f"write {place}/fstab etc/fstab"]
    commands += [f"rm boot/{each.name}" for each in (tree / "boot").iterdir() if each.is_file()]
    (place / "commands").write_text("\n".join(commands) + "\n")
    _call("debugfs", "-w", "-f", place / "commands", root)
    esp = place / "esp"
    with open(esp, "wb") as file:
        file.truncate(MIB)
    raw = _partitioned(place / "raw", [(esp, _ESP), (boot, _LINUX), (_volumes(place, root), _LVM)])
    if kind == "raw":
        return raw
    image = place / f"client.{kind}"
    _call("qemu-img", "convert", "-f", "raw", "-O", kind, raw, image)
    for each in (root, boot, esp, raw, place / "physical"):
        each.unlink()
    return image


def make_live(tree: Path, place: Path) -> Path:
    """Return an ISO with the system of a root tree in a squashfs, and its kernel beside that; 4 s."""
    live = place / "medium/live"
    live.mkdir(parents=True)
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, live / "vmlinuz")
    packing = ("-comp", "zstd", "-Xcompression-level", "1", "-quiet", "-no-progress")
    _call("mksquashfs", tree, live / "filesystem.squashfs", *packing, "-e", f"boot/{kernel.name}")
    image = place / "live.iso"
    _call("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", image, place / "medium")
    shutil.rmtree(place / "medium")
    return image


def _volumes(place: Path, root: Path) -> Path:
    """Return a physical volume whose logical volume "root" has the content of a file."""
    physical = place / "physical"
    extents = root.stat().st_size // MIB
    first = extents * 2 // 3
    with open(physical, "wb") as file:
        file.truncate((extents + 16) * MIB)
    device = _call("losetup", "--find", "--show", physical).strip()
    only = f'["a|^{device}$|","r|.*|"]'
    settings = f"devices{{use_devicesfile=0 filter={only} global_filter={only}}} backup{{backup=0 archive=0}}"
    before = ("--driverloaded", "n", "--config", settings)
    make = ("lvcreate", *before, "-an", "-Zn", "-Wn")
    try:
        _call("lvm", "pvcreate", *before, device)
        _call("lvm", "vgcreate", *before, "-s", "1m", "lab-vg", device)
        _call("lvm", *make, "-n", "root", "-l", str(first), "lab-vg")
        _call("lvm", *make, "-n", "swap_1", "-l", "4", "lab-vg")
        _call("lvm", "lvextend", *before, "-l", str(extents), "lab-vg/root")
    finally:
        _call("losetup", "--detach", device)
    # LVM's data begins at 1 MiB; the second piece lies behind the swap.
    _copy(root, physical, 0, 1, first)
    _copy(root, physical, first, 1 + first + 4, extents - first)
    return physical


def _copy(source: Path, target: Path, skip: int, seek: int, count: int) -> None:
    places = (f"skip={skip}", f"seek={seek}", f"count={count}", "bs=1M", "conv=sparse,notrunc")
    _call("dd", f"if={source}", f"of={target}", "status=none", *places)


def _partitioned(raw: Path, parts: Sequence[tuple[Path, str]]) -> Path:
    at, lines = 1, ["label: gpt", "unit: sectors"]
    places = []
    for content, kind in parts:
        size = content.stat().st_size // MIB
        lines.append(f"start={at * 2048}, size={size * 2048}, type={kind}")
        places.append(at)
        at += size
    with open(raw, "wb") as file:
        file.truncate((at + 1) * MIB)
    script = "\n".join(lines)
    _call("sfdisk", "-q", "--no-reread", "--no-tell-kernel", raw, stdin=script)
    for (content, _), place in zip(parts, places, strict=True):
        _copy(content, raw, 0, place, content.stat().st_size // MIB)
    return raw


def _call(*argv: str | Path, stdin: str = "") -> str:
    env = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    program = shutil.which(str(argv[0]), path=env["PATH"]) or str(argv[0])
    words = [program, *map(str, argv[1:])]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, env=env, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}{done.stdout}")
    return done.stdout
