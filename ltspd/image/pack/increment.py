"""The phases that make a layer of what changed: the copy out of the source, then its packing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.context import Build
from ltspd.image.look import entries
from ltspd.image.look.contents import Scan
from ltspd.image.look.entries import Changes, Table
from ltspd.image.pack import spool, squashfs


@dataclass(frozen=True, slots=True)
class Copied:
    """What lies in the spool: the bytes of its files, and the blocks in which mksquashfs packs them.

    ``table`` is that of the whole source, corrected by what the copy found.
    """

    table: Table
    size: int = 0
    blocks: int = 0


def copy(build: Build, old: Table, scan: Scan, changes: Changes, share: float) -> Copied:
    """Copy what changed since ``old`` out of the source, if anything did. Blocks.

    That is a phase of ``share`` of the job's time. Raises NoSpace, InconsistentSource, OSError. The source's
    packages should be locked meanwhile.
    """
    table, links = scan.contents.table, scan.contents.tree.links
    if not changes:
        build.progress.phase("copy", share)
        return Copied(table)
    size, blocks = spool.measure(table, links, changes)
    build.progress.phase("copy", share, size)
    # Once as it is, and once packed.
    build.check_space(f"the changes in {build.source.shown}", size, 2.0)
    spooled = spool.spool(
        build.root,
        old,
        table,
        links,
        changes,
        scan.contents.replaced,
        build.work.spool,
        stop=build.stopped,
        progress=lambda copied: build.progress.done(copied / size if size else 1.0),
    )
    return Copied(entries.with_records(table, spooled.corrections), size, blocks)


async def pack_increment(
    build: Build, copied: Copied, progress: Callable[[float], None] = lambda _fraction: None
) -> Path:
    """Pack what was copied and return the layer's file; raises ToolFailed, NoSpace."""
    target = build.work.layers / "increment"
    await squashfs.pack_spooled(
        build.work.spool,
        target,
        build.root.lstat(),
        level=build.options.level,
        blocks=copied.blocks,
        progress=progress,
    )
    return target
