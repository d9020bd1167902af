"""The phase that packs a layer of everything, and what got into it that is in no scan of the source."""

import os
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.context import Build
from ltspd.image.look.contents import Contents, Scan
from ltspd.image.look.entries import Changes, Table, compare, records
from ltspd.image.pack import squashfs
from ltspd.image.pack.ahead import read_ahead
from ltspd.image.pack.listing import undecided
from ltspd.model.image import Layer, SourceKind
from ltspd.system.run import run
from ltspd.system.threads import in_thread, together

_TOP = b"squashfs-root"


@dataclass(frozen=True, slots=True)
class NewBase:
    """A new layer of everything: what the layer above it is for, and for how many seconds it was packed."""

    layer: Layer
    above: Changes
    seconds: float


@dataclass(frozen=True, slots=True)
class Packed:
    """What the packing adds: all layers of the generation, base first, and the table of what is in them."""

    scan: Scan
    table: Table
    layers: tuple[Layer, ...]
    base: NewBase | None = None


async def pack_base(build: Build, scan: Scan) -> Path:
    """Pack a whole source and return the layer's file; raises ToolFailed, NoSpace, InconsistentSource.

    ``build.progress`` gets mksquashfs's share of blocks.
    """
    target = build.work.layers / "base"
    target.unlink(missing_ok=True)
    packing = squashfs.pack(
        build.root,
        target,
        build.work.scratch,
        (*scan.plan.excludes, *scan.contents.tree.patterns),
        scan.contents.replaced.values(),
        level=build.options.level,
        still=build.source.kind is SourceKind.DISK,
        progress=build.progress.done,
    )
    await together(packing, in_thread(read_ahead, build.root, scan.contents.table, build.work.stopped))
    return target


async def changes_since(base: Path, before: Contents, after: Contents) -> Changes | None:
    """Return what a layer above ``base`` needs, so that ``after`` is seen; None if the base must go.

    ``base`` was packed while the source was free to change from ``before`` to ``after``. A file that
    came and went in between is in it, and is hidden like one that is gone; but where secrets and logs
    are, and of what others may not read, a layer may hold only what the scan before has found.
    """
    changes = compare(before.table, after.table)
    if not changes:
        return changes
    if after.tree.was_public(before.table):
        return None
    if after.tree.strict and await undecided(base, before.table):
        return None
    moved = _moved(before.table, after.table)
    surplus = [path for path in await _listed(base, moved) if not _has(before.table, path)]
    if any(path.startswith((b"etc/", b"var/log/")) for path in surplus):
        return None
    unknown = {path for path in surplus if not _has(after.table, path)}
    return Changes(changes.put, tuple(sorted({*changes.gone, *unknown})), changes.opaque)


def _moved(before: Table, after: Table) -> set[bytes]:
    """Return the directories in which entries may have come and gone: their own times changed."""
    moved = set() if before.root == after.root else {b""}
    for path, listing in before.directories.items():
        now = after.directories.get(path)
        if now == listing:
            continue
        prefix = path + b"/" if path else b""
        new = records(now) if now else {}
        moved |= {prefix + name for name, record in records(listing).items() if new.get(name) != record}
    return moved & before.directories.keys()


async def _listed(base: Path, directories: Set[bytes]) -> list[bytes]:
    """Return the paths in some directories of a layer.

    One with a line break comes as two, which fit nothing that is there.
    """
    found: list[bytes] = []
    rest = b""

    def take(piece: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + piece).split(b"\n")
        paths = (line[len(_TOP) + 1 :] for line in lines if line.startswith(_TOP + b"/"))
        found.extend(path for path in paths if path.rpartition(b"/")[0] in directories)

    # Of 300,000 entries it is 30 MB.
    await run(["unsquashfs", "-l", os.fspath(base)], on_output=take)
    return found


def _has(table: Table, path: bytes) -> bool:
    """Return whether a table has a path, or one of which it is the first line."""
    parent, _, name = path.rpartition(b"/")
    names = table.directories.get(parent, (b"", b""))[0].split(b"\0")
    return name in names or any(each.startswith(name + b"\n") for each in names)
