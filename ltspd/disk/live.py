"""Live media: the system inside an ISO's nested file systems, as one directory."""

import os
import re
from dataclasses import replace
from pathlib import Path

from ltspd.disk import iso, tree
from ltspd.disk.filesystems import recognize
from ltspd.disk.iso import File
from ltspd.disk.reading import View, joined
from ltspd.disk.tree import Bench, Root
from ltspd.disk.volumes import Layout, Volume
from ltspd.errors import LtspError, UnsupportedDisk
from ltspd.foreign.inside import list_inside, open_inside
from ltspd.system.run import run

# What a live system's root is in.
_NESTED = frozenset(["squashfs", "erofs"])
# Fedora, where the squashfs only holds the root's own file system.
_INNER = ("LiveOS/rootfs.img", "LiveOS/ext3fs.img")
MIN_BYTES = 4096
# A kernel is some 15 MB; it is copied into memory.
MAX_KERNEL = 64 << 20
_KERNEL = re.compile(
    r"(?:casper|live|isolinux|boot|install)/(?:[^/]+/)*(?:vmlinuz|linux)[^/]*", re.IGNORECASE
)


def look(disk: View) -> tuple[Layout, tuple[File, ...]]:
    """Return an ISO's nested file systems as its volumes, and all of its files; raises BadDisk."""
    found, everything = [], iso.files(disk)
    for each in everything:
        if each.size >= MIN_BYTES:
            here = recognize(joined(disk, each.extents).part(0, MIN_BYTES))
            if here is not None and here.kind in _NESTED:
                found.append(Volume(each.path, each.extents, here))
    return Layout("iso", tuple(sorted(found, key=lambda each: each.title))), everything


async def find_root(bench: Bench, files: tuple[File, ...]) -> Root:
    """Return the live system, put together from its layers; raises BadDisk, UnsupportedDisk."""
    if not bench.volumes:
        raise UnsupportedDisk(
            f"{bench.name} is an ISO without a live system: no squashfs is in it. "
            "Installation media have none; use a live medium, or install the system in a virtual machine."
        )
    root = await _layered(bench) or await _inner(bench)
    if root is None:
        root = await tree.find_root(bench)
        root = replace(root, stack=(root.volume,))
    if any(each.kind != "squashfs" or len(each.extents) != 1 for each in root.stack):
        root = replace(root, stack=())
    return await _with_kernel(bench, root, files)


async def _layered(bench: Bench) -> Root | None:
    """Return the system that Ubuntu divides: ``a.squashfs``, ``a.b.squashfs``, ``a.b.live.squashfs``."""
    stems = {each.title.rsplit(".", 1)[0]: each for each in bench.volumes}
    tops = sorted(stem for stem in stems if stem.endswith(".live"))
    if not tops:
        return None
    parts = tops[0].split(".")
    chain = [stem for count in range(1, len(parts) + 1) if (stem := ".".join(parts[:count])) in stems]
    lower = []
    for stem in reversed(chain):
        lower.append(bench.directory())
        await tree.mount_volume(bench, stems[stem], lower[-1])
    stack = tuple(stems[stem] for stem in chain)
    return Root(stems[tops[0]], await _overlay(bench, lower), stack=stack)


async def _overlay(bench: Bench, lower: list[Path]) -> Path:
    """Mount directories one above the other, the uppermost first; there are always two."""
    path = bench.directory()
    layers = ":".join(str(each) for each in (*lower, *([bench.directory()] if len(lower) == 1 else [])))
    await run(["mount", "-i", "-t", "overlay", "-o", f"{tree.FLAGS},lowerdir={layers}", "live", str(path)])
    return path


async def _inner(bench: Bench) -> Root | None:
    """Return the system whose file system is a file in the squashfs."""
    for volume in bench.volumes:
        path = bench.directory()
        try:
            await tree.mount_volume(bench, volume, path)
        except LtspError:
            continue
        for name in _INNER:
            try:
                file = open_inside(path, name)
            except OSError:
                continue
            view = View(tree.reader(file), os.fstat(file).st_size)
            inner = Volume(f"{volume.title}, {name}", ((0, view.size),), recognize(view))
            nested = Bench(bench.name, file, view, bench.work, (inner,), bench.join, count=bench.count)
            root = await tree.find_root(nested)
            bench.loops.update({f"{volume.title} {key}": number for key, number in nested.loops.items()})
            bench.count = nested.count
            return root
        await run(["umount", str(path)])
        bench.loops.pop(tree.key(volume), None)
    return None


async def _with_kernel(bench: Bench, root: Root, files: tuple[File, ...]) -> Root:
    """Put the medium's kernel where an installed system has it, if the live system comes without."""
    modules = set(list_inside(root.path, "usr/lib/modules")) | set(list_inside(root.path, "lib/modules"))
    if any(each.startswith("vmlinuz-") for each in list_inside(root.path, "boot")) or len(modules) != 1:
        return root
    (release,) = modules
    kernels = [each for each in files if _KERNEL.fullmatch(each.path) and 0 < each.size <= MAX_KERNEL]
    if not kernels or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*", release):
        return root
    above = bench.directory()
    (above / "boot").mkdir()
    with open(above / "boot" / f"vmlinuz-{release}", "wb") as file:
        for offset, size in min(kernels, key=lambda each: (len(each.path), each.path)).extents:
            for at in range(0, size, MIN_BYTES * 64):
                file.write(bench.disk.at(offset + at, min(MIN_BYTES * 64, size - at)))
    return replace(root, path=await _overlay(bench, [above, root.path]))
