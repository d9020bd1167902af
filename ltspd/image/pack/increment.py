"""A layer of what changed since the current generation, and when such a layer is not the right thing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.look import entries
from ltspd.image.look.contents import BuildPlan, Contents, check_space
from ltspd.image.look.entries import Changes, Table
from ltspd.image.pack import spool, squashfs
from ltspd.image.store import store
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.workdir import Workshop
from ltspd.image.verify import packed
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.system.threads import in_thread

# Above this share of a source's bytes a layer would take as long as a full build, and space besides.
MOST_CHANGED = 0.5
# Clients mount each layer: far more than the fold allows only come together when it never gets to run.
MOST_LAYERS = 24


@dataclass(frozen=True, slots=True)
class Previous:
    """The generation that a new one is compared with."""

    manifest: Manifest
    table: Table


@dataclass(frozen=True, slots=True)
class Copied:
    """What of a source lies in the spool: so many bytes of files, in so many of mksquashfs's blocks.

    ``table`` is that of all the source, with what the copy met.
    """

    table: Table
    size: int = 0
    blocks: int = 0


def find_previous(paths: Paths, image: str) -> Manifest | None:
    """Return the manifest of the current generation, or None if there is no usable one. Blocks."""
    current = store.current_id(paths, image)
    try:
        return store.read_manifest(paths, image, current) if current else None
    except (OSError, ValueError):
        return None


def comparable(
    paths: Paths, previous: Manifest | None, plan: BuildPlan, tools: Mapping[str, str]
) -> Previous | None:
    """Return what a layer could be made against, or None if only a full build will do. Blocks."""
    if (
        previous is None
        or previous.generation.direct
        or previous.generation.outdated
        or plan.options.full
        or len(previous.generation.layers) >= MOST_LAYERS
    ):
        return None
    same = (
        previous.excludes == plan.excludes
        and dict(previous.tools) == dict(tools)
        and previous.level == plan.options.level
        and previous.generation.source == plan.source.shown
        and previous.generation.architecture == plan.architecture
    )
    if not same:
        return None
    facts = previous.generation
    file = paths.images / facts.image / "generations" / facts.id / store.ENTRIES
    try:
        return Previous(previous, entries.from_bytes(file.read_bytes()))
    except (OSError, ValueError):
        return None


def too_much(changes: Changes, contents: Contents) -> bool:
    """Return whether so much changed that packing everything is as quick."""
    changed = entries.size_of(contents.table, changes.put)
    return changed > MOST_CHANGED * max(1, contents.tree.size)


async def copy(
    paths: Paths,
    plan: BuildPlan,
    work: Workshop,
    old: Table,
    contents: Contents,
    changes: Changes,
    progress: Progress,
    share: float,
) -> Copied:
    """Copy what changed out of the source, if anything did.

    That is a phase of ``share`` of the job's time. Raises NoSpace, InconsistentSource, OSError. The source's
    packages should be locked meanwhile.
    """
    if not changes:
        progress.phase("copy", share)
        return Copied(contents.table)
    size, blocks = await in_thread(spool.measure, contents.table, contents.tree.links, changes)
    progress.phase("copy", share, size)
    # Once as it is, and once packed.
    check_space(paths, f"the changes in {plan.source.shown}", size, 2.0)
    spooled = await in_thread(
        lambda: spool.spool(
            Path(plan.source.path),
            old,
            contents.table,
            contents.tree.links,
            changes,
            contents.replaced,
            work.spool,
            stop=work.ended.is_set,
            progress=lambda copied: progress.done(copied / size if size else 1.0),
        )
    )
    return Copied(entries.with_records(contents.table, spooled.corrections), size, blocks)


async def pack(
    plan: BuildPlan,
    work: Workshop,
    copied: Copied,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> Path:
    """Pack what was copied, see that it is what was packed, and return the layer's file.

    Raises ToolFailed, NoSpace.
    """
    target = work.layers / "increment"
    await squashfs.pack_spooled(
        work.spool,
        target,
        Path(plan.source.path).lstat(),
        level=plan.options.level,
        background=plan.options.background,
        blocks=copied.blocks,
        progress=progress,
    )
    await packed.check_spooled(target, work.spool, work.scratch)
    work.spool.unlink()
    return target
