"""Disks of virtual machines as an installer lays them out, and live media: for servers to make images of."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.laying import ESP, FORMATS, LVM, MIB, Part, call, convert, disk, fat, lvm, swap

_ROOT = "12345678-0000-4000-8000-000000000001"
_ENDINGS = {"raw": "img"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How a disk is made: a format and a table of laying.py's, and whether its system is on LVM.

    With LVM it has /boot on a partition of its own, if it has partitions.
    """

    format: str = "qcow2"
    table: str = "gpt"
    lvm: bool = True

    def __str__(self) -> str:
        """Return a name that an image may have: ``vmdk-flat-gpt-esp-second-lvm``."""
        return f"{self.format}-{self.table}-{'lvm' if self.lvm else 'plain'}"


def make_root(tree: Path, path: Path) -> Path:
    """Write a file system with a root tree, for several disks to be made of; 3 s for 430 MB."""
    size = int(call("du", "-sm", tree).split()[0])
    call(
        *("mke2fs", "-q", "-t", "ext4", "-L", "root", "-U", _ROOT, "-d", tree, path),
        f"{size + size // 4 + 64}m",
    )
    return path


def make_disk(
    tree: Path, place: Path, kind: Kind | None = None, *, name: str = "client", root: Path | None = None
) -> Path:
    """Return a disk image with the system of a root tree on it; ``place`` is empty, and gets nothing else.

    ``root`` is what ``make_root`` wrote of the tree. Some 3 s, with the root 6 s, and 1 GB meanwhile for
    430 MB of tree; needs root, for one loop device that is gone afterwards.
    """
    kind = kind or Kind()
    work = place / "work"
    work.mkdir()
    own = work / "root"
    if root is None:
        make_root(tree, own)
    else:
        call("cp", "--sparse=always", root, own)
    apart = kind.lvm and kind.table != "none"
    # What an installer writes; and a kernel on its own partition is there only.
    (work / "fstab").write_text(_fstab(kind, apart))
    commands = ["rm etc/fstab", f"write {work}/fstab etc/fstab"]
    if apart:
        commands += [f"rm boot/{each.name}" for each in (tree / "boot").iterdir() if each.is_file()]
    (work / "commands").write_text("\n".join(commands) + "\n")
    call("debugfs", "-w", "-f", work / "commands", own)
    parts = [Part(own)]
    if kind.lvm:
        physical = lvm(work / "physical", "lab-vg", [("swap_1", swap(4 * MIB)), ("root", own)])
        parts = [Part(physical, LVM if kind.table.startswith("gpt") else "8e")]
    if apart:
        boot = work / "boot"
        call("mke2fs", "-q", "-t", "ext4", "-L", "boot", "-d", tree / "boot", boot, "128m")
        parts.insert(0, Part(boot))
    raw = disk(work / "raw", kind.table.partition("-")[0], _around(kind, parts))
    driver, options = FORMATS[kind.format]
    image = place / f"{name}.{_ENDINGS.get(driver, driver)}"
    if driver == "raw":
        raw.rename(image)
    else:
        convert(raw, image, driver, *options)
    shutil.rmtree(work)
    return image


def _fstab(kind: Kind, apart: bool) -> str:
    lines = [
        f"{'/dev/mapper/lab--vg-root' if kind.lvm else f'UUID={_ROOT}'} / ext4 errors=remount-ro 0 1",
        *(["LABEL=boot /boot ext4 defaults 0 2"] if apart else []),
        *(["UUID=1234-5678 /boot/efi vfat umask=0077 0 1"] if kind.table.startswith("gpt") else []),
        *(["/dev/mapper/lab--vg-swap_1 none swap sw 0 0"] if kind.lvm else []),
        "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0",
    ]
    return "\n".join(lines) + "\n"


def _around(kind: Kind, parts: list[Part]) -> list[Part]:
    """Return the partitions of a table: those of the system, and what lies before and between them."""
    esp, paging, spare = Part(fat(), ESP), Part(swap(), "82"), Part(bytes(MIB))
    match kind.table:
        case "dos":
            return [paging, *parts]
        case "dos-logical":
            primary = [*parts[:-1], spare, spare, spare][:3]
            return [*primary, paging, parts[-1]]
        case "gpt":
            return [esp, *parts]
        case "gpt-esp-second":
            return [parts[0], esp, *parts[1:]]
        case _:
            return parts


def make_live(tree: Path, place: Path) -> Path:
    """Return an ISO with the system of a root tree in a squashfs, and its kernel beside that; 4 s."""
    live = place / "medium/live"
    live.mkdir(parents=True)
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, live / "vmlinuz")
    packing = ("-comp", "zstd", "-Xcompression-level", "1", "-quiet", "-no-progress")
    call("mksquashfs", tree, live / "filesystem.squashfs", *packing, "-e", f"boot/{kernel.name}")
    image = place / "live.iso"
    call("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", image, place / "medium")
    shutil.rmtree(place / "medium")
    return image
