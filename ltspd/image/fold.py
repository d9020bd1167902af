"""Folding a generation's layers into one denser base, beside everything else that goes on with the image."""

import asyncio
import errno
import time
from dataclasses import replace

from ltspd.errors import Busy, LtspError, NoSpace, NoSuchGeneration
from ltspd.image import bootfiles, reads
from ltspd.image.context import ENTRIES, FOLD_PREFIX, Step, Workdir, check_space, name_workdir, nothing
from ltspd.image.generation import identify, write
from ltspd.image.pack import squashfs
from ltspd.image.store import publish
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.store import current_manifest, folding, locked
from ltspd.image.store.workdir import made, seal
from ltspd.image.verify import packed
from ltspd.model.image import Generation, Layer
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.system import priority
from ltspd.system.threads import in_thread, to_the_end

# A minimal Debian, 399 MB: level 2 makes 125.4 MB in 2.7 s of CPU, 9 makes 114.5 MB in 10.6 s; 15 would save
# another 2 % for four times the time. Clients unpack all of them equally fast.
LEVEL = 9
# The same where it is known what booting clients read. Of a minimal Debian that is 46 MB: level 9 makes 16.2
# MB in 3.4 s of CPU, 12 the same, 15 makes 15.2 MB in 8.3 s, 19 another 1 % less for 20 s. Each client saves
# that at each boot, and the fold has time.
ORDERED = 15
# A build holds the image's lock for its whole time; the fold waits for it with this pause, in seconds.
PAUSE = 0.25
# The share of bytes above the base. They cost clients nothing, but the server keeps also what they hide.
MOST_SHARE = 0.3
# Clients mount each layer, and search all of them for a name that does not exist.
MOST_ABOVE = 8


async def fold(
    paths: Paths,
    image: str,
    progress: Progress,
    *,
    level: int | None = None,
    background: bool = True,
    step: Step = nothing,
) -> Generation:
    """Make one base of the current generation's layers, publish it with the same kernel, and return it.

    ``level`` is that of zstd (None: LEVEL, or ORDERED where it is known what booting clients read). What
    clients see stays the same; running ones keep what they have. Builds may run meanwhile: their
    layers go above the new base. If the current generation is made of others at the end, it is returned
    and nothing was changed. Raises NoSuchGeneration, Busy (a fold is under way), NoSpace, ToolFailed.
    Needs root: the layers are mounted, in a namespace of their own.
    """
    work = name_workdir(paths, image, FOLD_PREFIX)
    with folding(paths, image), made(work), priority.low(background):
        try:
            return await _fold(paths, image, progress, work, level, step)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(f"{paths.images} ran full during the fold. Make room there.") from error
            raise LtspError(
                f"Folding the layers of {image} failed: {error}. Mend that and try again."
            ) from error


async def _fold(
    paths: Paths,
    image: str,
    progress: Progress,
    work: Workdir,
    level: int | None,
    step: Step,
) -> Generation:
    await packed.check_tool()
    start = await in_thread(_current, paths, image)
    layers = start.generation.layers
    check_space(paths, f"the folded layers of {image}", sum(each.size for each in layers), 1.0)
    step("work")
    # mksquashfs tells blocks of what is seen through the layers, and that is what their source had.
    progress.phase("squashfs", 0.85, start.generation.source_bytes)
    file = work.layers / "base"
    files = [paths.images / image / "layers" / each.file_name for each in layers]
    began = time.monotonic()
    first = await in_thread(reads.known, paths, image)
    level = level or (ORDERED if first else LEVEL)
    await squashfs.pack_layers(files, file, work.scratch, level=level, first=first, progress=progress.done)
    seconds = (time.monotonic() - began) * packed.SHARE
    step("packed")
    await packed.check_folded(file, files, work.scratch, seconds)
    progress.phase("digest", 0.05, file.stat().st_size)
    new = await in_thread(seal, file, work.stopped, progress.done)
    progress.phase("publish", 0.1)
    while True:
        try:
            with locked(paths, image):
                generation = await _publish(paths, image, work, layers, new, reads.order(first), step)
                progress.done(1.0)
                return generation
        except Busy:
            await asyncio.sleep(PAUSE)


async def _publish(
    paths: Paths, image: str, work: Workdir, folded: tuple[Layer, ...], new: Layer, order: str, step: Step
) -> Generation:
    current = await in_thread(_current, paths, image)
    layers = rebased(current.generation.layers, folded, new)
    if layers is None or layers == current.generation.layers:
        return current.generation
    generation = await in_thread(_write, paths, current, work, layers, len(folded), order)
    step("written")
    await in_thread(publish.sync_work, work.home)
    await to_the_end(lambda: publish.publish(paths, image, work.home, generation.id, step))
    return generation


def _current(paths: Paths, image: str) -> Manifest:
    found = current_manifest(paths, image)
    if found is None:
        raise NoSuchGeneration(f"Image {image} has no current generation to fold; build it first.")
    return found


def _write(
    paths: Paths, current: Manifest, work: Workdir, layers: tuple[Layer, ...], folded: int, order: str
) -> Generation:
    """Write a generation that differs from the current one in its layers only."""
    facts = current.generation
    if not current.boot.size:
        raise LtspError(
            f"Generation {facts.id} of {facts.image} was built by an older version and can't be folded. "
            "Build it again."
        )
    boot = bootfiles.reuse(paths, current, work.kernel)
    table = (paths.images / facts.image / "generations" / facts.id / ENTRIES).read_bytes()
    identity, now, initrd = identify(paths, facts.image, boot, layers)
    generation = replace(
        facts,
        id=identity,
        created=now,
        layers=layers,
        initrd_bytes=len(initrd),
        order=order,
        summary=f"{folded} layer{'s' if folded != 1 else ''} folded into one, nothing else changed",
    )
    write(work, replace(current, generation=generation), initrd, table)
    return generation


def reason(layers: tuple[Layer, ...], *, unordered: bool = False) -> str:
    """Return why a generation with these layers should be folded, or an empty string.

    ``unordered``: what clients read first is known, and was not when the base was packed.
    """
    if not layers:
        return ""
    if unordered:
        return "a test has told what booting clients read"
    base, above = layers[0], layers[1:]
    if len(above) >= MOST_ABOVE:
        return f"{len(above)} layers above the base"
    share = sum(layer.size for layer in above) / max(1, base.size)
    if share > MOST_SHARE:
        return f"the layers above the base have {share:.0%} of its size"
    return ""


def rebased(current: tuple[Layer, ...], folded: tuple[Layer, ...], new: Layer) -> tuple[Layer, ...] | None:
    """Return the current layers with the folded ones replaced, or None if those are not its lowest any more.

    A build that ran meanwhile put its layer above the same ones, so it fits on the new base as well.
    """
    if current[: len(folded)] != folded:
        return None
    return (new, *current[len(folded) :])
