"""Live media: the system in the file systems inside an ISO, as one directory."""

import os
import re
from dataclasses import replace
from pathlib import Path

from ltspd.disk import iso, tree
from ltspd.disk.filesystems import recognize
from ltspd.disk.iso import File
from ltspd.disk.reading import View, joined
from ltspd.disk.tree import OpenDisk, Root
from ltspd.disk.volumes import Layout, Volume
from ltspd.errors import LtspError, UnsupportedDisk
from ltspd.foreign.inside import list_inside, open_inside
from ltspd.system.run import run

# The file systems that hold a live system's root.
_NESTED = frozenset(["squashfs", "erofs"])
# Fedora: the squashfs only holds an image of the root's file system.
_INNER = ("LiveOS/rootfs.img", "LiveOS/ext3fs.img")
MIN_BYTES = 4096
# A kernel is some 15 MB; it is copied into memory.
MAX_KERNEL = 64 << 20
_KERNEL = re.compile(
    r"(?:casper|live|isolinux|boot|install)/(?:[^/]+/)*(?:vmlinuz|linux)[^/]*", re.IGNORECASE
)


def look(disk: View) -> tuple[Layout, tuple[File, ...]]:
    """Return the file systems inside an ISO as its volumes, and all of its files; raises BadDisk."""
    found, everything = [], iso.files(disk)
    for each in everything:
        if each.size >= MIN_BYTES:
            here = recognize(joined(disk, each.extents).part(0, MIN_BYTES))
            if here is not None and here.kind in _NESTED:
                found.append(Volume(each.path, each.extents, here))
    return Layout("iso", tuple(sorted(found, key=lambda each: each.title))), everything


async def find_root(disk: OpenDisk, files: tuple[File, ...]) -> Root:
    """Return the live system, with its layers mounted together; raises BadDisk, UnsupportedDisk."""
    if not disk.volumes:
        raise UnsupportedDisk(
            f"{disk.name} is an ISO without a live system: no squashfs is in it. "
            "Installation media have none; use a live medium, or install the system in a virtual machine."
        )
    root = await _layered(disk) or await _inner(disk)
    if root is None:
        root = await tree.find_root(disk)
        root = replace(root, stack=(root.volume,))
    if any(each.kind != "squashfs" or len(each.extents) != 1 for each in root.stack):
        root = replace(root, stack=())
    return await _with_kernel(disk, root, files)


async def _layered(disk: OpenDisk) -> Root | None:
    """Return Ubuntu's system of several layers: ``a.squashfs``, ``a.b.squashfs``, ``a.b.live.squashfs``."""
    stems = {each.title.rsplit(".", 1)[0]: each for each in disk.volumes}
    tops = sorted(stem for stem in stems if stem.endswith(".live"))
    if not tops:
        return None
    parts = tops[0].split(".")
    chain = [stem for count in range(1, len(parts) + 1) if (stem := ".".join(parts[:count])) in stems]
    lower = []
    for stem in reversed(chain):
        lower.append(disk.directory())
        await tree.mount_volume(disk, stems[stem], lower[-1])
    stack = tuple(stems[stem] for stem in chain)
    return Root(stems[tops[0]], await _overlay(disk, lower), stack=stack)


async def _overlay(disk: OpenDisk, lower: list[Path]) -> Path:
    """Mount directories as an overlay, the uppermost first; overlayfs wants two at least."""
    path = disk.directory()
    layers = ":".join(str(each) for each in (*lower, *([disk.directory()] if len(lower) == 1 else [])))
    await run(["mount", "-i", "-t", "overlay", "-o", f"{tree.FLAGS},lowerdir={layers}", "live", str(path)])
    return path


async def _inner(disk: OpenDisk) -> Root | None:
    """Return the system whose file system is a file in the squashfs."""
    for volume in disk.volumes:
        path = disk.directory()
        try:
            await tree.mount_volume(disk, volume, path)
        except LtspError:
            continue
        for name in _INNER:
            try:
                file = open_inside(path, name)
            except OSError:
                continue
            view = View(tree.reader(file), os.fstat(file).st_size)
            inner = Volume(f"{volume.title}, {name}", ((0, view.size),), recognize(view))
            nested = OpenDisk(disk.name, file, view, disk.work, (inner,), disk.join, count=disk.count)
            root = await tree.find_root(nested)
            disk.loops.update({f"{volume.title} {key}": number for key, number in nested.loops.items()})
            disk.count = nested.count
            return root
        await run(["umount", str(path)])
        disk.loops.pop(tree.key(volume), None)
    return None


async def _with_kernel(disk: OpenDisk, root: Root, files: tuple[File, ...]) -> Root:
    """Put the medium's kernel where an installed system has it, if the live system has none."""
    modules = set(list_inside(root.path, "usr/lib/modules")) | set(list_inside(root.path, "lib/modules"))
    if any(each.startswith("vmlinuz-") for each in list_inside(root.path, "boot")) or len(modules) != 1:
        return root
    (release,) = modules
    kernels = [each for each in files if _KERNEL.fullmatch(each.path) and 0 < each.size <= MAX_KERNEL]
    if not kernels or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*", release):
        return root
    above = disk.directory()
    (above / "boot").mkdir()
    with open(above / "boot" / f"vmlinuz-{release}", "wb") as file:
        for offset, size in min(kernels, key=lambda each: (len(each.path), each.path)).extents:
            for at in range(0, size, MIN_BYTES * 64):
                file.write(disk.view.at(offset + at, min(MIN_BYTES * 64, size - at)))
    return replace(root, path=await _overlay(disk, [above, root.path]))
