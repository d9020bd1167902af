"""Building one generation of an image: a layer of what changed in its source or of all, then publishing."""

import errno
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ltspd.errors import InconsistentSource, LtspError, NoKernel, NoSpace
from ltspd.image import bootfiles, direct
from ltspd.image.bootfiles import BootFiles, MakeBootPart
from ltspd.image.describe import describe
from ltspd.image.look import remarks
from ltspd.image.look.contents import (
    BuildOptions,
    BuildPlan,
    Contents,
    Seen,
    check_space,
    check_steady,
    chosen,
    contents,
    excludes_setting,
    look,
    look_first,
    look_locked,
    settle,
)
from ltspd.image.look.entries import Changes, Table, compare, to_bytes
from ltspd.image.pack import base, increment
from ltspd.image.source import dpkg
from ltspd.image.store import manifest, publish, store
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.workdir import Workshop, seal, workshop, write
from ltspd.image.verify import layer as verify
from ltspd.image.verify import packed
from ltspd.initrd.boot import build_boot_part
from ltspd.initrd.kernel import check_modules
from ltspd.model.image import Generation, Layer, Source
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.system import priority
from ltspd.system.threads import in_thread, to_the_end, together

__all__ = ["BuildOptions", "BuildPlan", "Built", "build", "excludes_setting", "preflight"]

log = logging.getLogger(__name__)

# A caller waits 25 s for an answer (D-Bus's default); a huge source on a cold disk takes longer to walk.
# What is found until then still counts, and the build walks it all before it packs.
PREFLIGHT_SECONDS = 8.0
# A source may be changed without end while it is packed without its lock; so often it is tried again.
ATTEMPTS = 3
# The work of minutes is not given up because packages are being installed at its very end.
LAST_LOCK_TIMES = 10
# Tries a generation out before it is published: it, the work directory that holds it, and how far that is.
Trial = Callable[[Generation, Path, Progress], Awaitable[None]]
MissingModules = Callable[[Path, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Built:
    """The generation that clients boot now; ``changed`` is False if it was the current one before."""

    generation: Generation
    changed: bool


@dataclass(frozen=True, slots=True)
class _Made:
    """What a generation is put together from; ``layers`` are all of them, base first.

    If the base is new, ``above`` is what the layer above it is for, and packing took so many ``seconds``.
    """

    plan: BuildPlan
    contents: Contents
    table: Table
    layers: tuple[Layer, ...]
    boot: BootFiles
    above: Changes | None = None
    seconds: float = 0.0


async def preflight(
    paths: Paths,
    source: Source,
    options: BuildOptions | None = None,
    *,
    missing_modules: MissingModules = check_modules,
) -> BuildPlan:
    """Check everything that can be known before a build; nothing is written.

    Raises NoKernel, NoInit, WrongArchitecture, InconsistentSource, NoSpace. A source that was built
    before is not walked: the build does that, and how big it is is known.
    """
    ended = threading.Event()
    until = time.monotonic() + PREFLIGHT_SECONDS

    def check() -> BuildPlan:
        if options is not None and options.direct:
            direct.check(source)
        previous = increment.find_previous(paths, source.name)
        plan = look(paths, source, chosen(options or BuildOptions(), previous))
        if missing := missing_modules(Path(source.path), plan.kernel.release):
            raise NoKernel(
                f"Kernel {plan.kernel.release} of {source.shown} can't boot from a network: it has no "
                f"{', '.join(missing)}. Install a kernel package that has."
            )
        if plan.options.direct:
            return plan
        if previous is not None:
            # A layer of changes is small, and what it needs is checked when that is known.
            check_space(paths, source.shown, previous.generation.source_bytes if plan.options.full else 0)
            return plan
        stop = lambda: ended.is_set() or time.monotonic() > until  # noqa: E731
        settle()
        found = contents(source, plan.excludes, stop, plan.wanted)
        if found.tree.complete:
            verify.check_tree(Path(source.path), plan.kernel, found.table)
        check_space(paths, source.shown, found.tree.size)
        return replace(plan, seen=Seen(found, time.monotonic())) if found.tree.complete else plan

    try:
        ready = await in_thread(check)
        if not ready.options.direct:
            await packed.check_tool()
        await bootfiles.check(Path(source.path), ready.kernel)
        return ready
    finally:
        ended.set()


async def build(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    *,
    make_boot_part: MakeBootPart = build_boot_part,
    in_use: store.Used = frozenset,
    trial: Trial | None = None,
    step: publish.Step = publish.nothing,
) -> Built:
    """Build and publish a generation; on any error or cancel all is as it was before.

    Nothing is published if the source is as the current generation has it. Pruning asks ``in_use`` what to
    leave. What ``trial`` raises for the new generation keeps it from being published. Raises what preflight
    and ``trial`` do, and Busy, ToolFailed.
    """
    name = plan.source.name
    with store.locked(paths, name), workshop(paths, name) as work, priority.low(plan.options.background):
        try:
            return await _build(paths, plan, progress, work, make_boot_part, in_use, trial, step)
        except OSError as error:
            raise _explain(error, paths, plan.source) from error


async def _build(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Workshop,
    make_boot_part: MakeBootPart,
    in_use: store.Used,
    trial: Trial | None,
    step: publish.Step,
) -> Built:
    name = plan.source.name
    step("work")
    current = await in_thread(increment.find_previous, paths, name)
    if plan.options.direct:
        generation = await direct.make(paths, plan, progress, work, make_boot_part, current, step)
        if current is not None and generation is current.generation:
            return _unchanged(current, progress)
        return await _publish(paths, plan, progress, work, generation, in_use, step)
    tools = {"mksquashfs": await packed.check_tool()}
    previous = await in_thread(increment.comparable, paths, current, plan, tools)
    made = None
    if previous is not None:
        made = await _increment(paths, plan, progress, work, previous, make_boot_part, step)
        if made is previous:
            return _unchanged(previous.manifest, progress)
    if not isinstance(made, _Made):
        made = await _everything(paths, plan, progress, work, make_boot_part, step)
    progress.phase("initrd", 0.05)
    generation = await _describe(paths, made, current, tools, work)
    progress.phase("verify", 0.05)
    await _verify(made, work)
    await in_thread(check_steady, plan.source)
    if trial is not None:
        await in_thread(publish.share, work.home)
        await trial(generation, work.home, progress)
    return await _publish(paths, plan, progress, work, generation, in_use, step)


async def _verify(made: _Made, work: Workshop) -> None:
    """Raise an error if what was made can't boot, has secrets in it, or is not what was to be packed."""
    root, files, layers = Path(made.plan.source.path), made.contents.tree, made.layers

    async def compare_packed() -> None:
        # A layer of changes has been compared when it was packed.
        if (above := made.above) is not None:
            base, table = work.layers / layers[0].file_name, work.generation / store.ENTRIES
            seconds = made.seconds * packed.SHARE
            await packed.check_everything(base, root, table, made.contents, above, work.scratch, seconds)

    await together(
        verify.verify(root, made.plan.kernel, made.table, files, layers, work.layers),
        # Publishing would wait for the disk; so gigabytes are on it by then.
        together(in_thread(publish.sync_work, work.home), compare_packed()),
    )


def _unchanged(current: Manifest, progress: Progress) -> Built:
    progress.phase("unchanged", 1.0)
    progress.done(1.0)
    return Built(current.generation, changed=False)


async def _publish(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Workshop,
    generation: Generation,
    in_use: store.Used,
    step: publish.Step,
) -> Built:
    name = plan.source.name
    step("written")
    progress.phase("publish", 0.05)
    await in_thread(publish.sync_work, work.home)
    await to_the_end(lambda: publish.publish(paths, name, work.home, generation.id, step))
    keep, days, grace = plan.options.keep, plan.options.keep_days, plan.options.grace
    await to_the_end(lambda: store.prune_locked(paths, name, keep, in_use, step, days=days, grace=grace))
    progress.done(1.0)
    return Built(generation, changed=True)


async def _increment(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Workshop,
    previous: increment.Previous,
    make_boot_part: MakeBootPart,
    step: publish.Step,
) -> "_Made | increment.Previous | None":
    """Make a layer of what changed; return ``previous`` if nothing did, None if too much did."""
    root = Path(plan.source.path)
    facts = previous.manifest.generation
    async with dpkg.package_lock(root, plan.options.lock_timeout):
        progress.phase("scan", 0.35)
        plan, now = await look_locked(paths, plan, work.ended.is_set)
        step("scanned")
        changes = await in_thread(compare, previous.table, now.table)
        key = await in_thread(bootfiles.key, root, plan.kernel)
        touched = (*changes.put, *changes.gone)
        same_boot = key == previous.manifest.boot.key and not bootfiles.concerned(touched)
        # A disk image that was written to has a new stamp, whatever of it was changed.
        as_it_was = plan.digest == facts.packages_digest
        if (
            same_boot
            and as_it_was
            and not changes
            and plan.options.kernel == previous.manifest.kernel_pattern
        ):
            return previous
        if plan.excludes != previous.manifest.excludes or increment.too_much(changes, now):
            return None
        if changes and now.tree.was_public(previous.table):
            # Its layers below would still have it.
            return None
        copied = await increment.copy(paths, plan, work, previous.table, now, changes, progress, 0.2)
        step("copied")
        kernel = work.generation / "vmlinuz"
        if not same_boot:
            boot = await bootfiles.make(root, plan.kernel, kernel, make_boot_part)
    if same_boot:
        boot = await in_thread(bootfiles.reuse, paths, previous.manifest, kernel)
    progress.phase("squashfs", 0.3, copied.size)
    layers = facts.layers
    if changes:
        file = await increment.pack(plan, work, copied, progress.done)
        step("packed")
        layer = await in_thread(seal, file, work.ended.is_set)
        # A file that changed there and back can make a layer that is there already.
        layers = (*(each for each in layers if each != layer), layer)
    return _Made(plan, now, copied.table, layers, boot)


async def _everything(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Workshop,
    make_boot_part: MakeBootPart,
    step: publish.Step,
) -> _Made:
    """Pack the whole source, and above it what changed while that took: the last look counts."""
    for _attempt in range(ATTEMPTS):
        progress.phase("scan", 0.05)
        async with dpkg.package_lock(Path(plan.source.path), plan.options.lock_timeout):
            plan, before = await look_first(paths, plan, work.ended.is_set)
        check_space(paths, plan.source.shown, before.tree.size)
        step("scanned")
        made = await _attempt_everything(paths, plan, before, progress, work, make_boot_part, step)
        if made is not None:
            return made
    raise InconsistentSource(
        f"Configuration, logs or private files of {plan.source.shown} changed during each of {ATTEMPTS} "
        "attempts to pack it. Stop what changes them, and build again."
    )


async def _attempt_everything(
    paths: Paths,
    plan: BuildPlan,
    before: Contents,
    progress: Progress,
    work: Workshop,
    make_boot_part: MakeBootPart,
    step: publish.Step,
) -> _Made | None:
    root = Path(plan.source.path)
    kernel = work.generation / "vmlinuz"
    progress.phase("squashfs", 0.65, before.tree.size)
    kernel.unlink(missing_ok=True)
    began = time.monotonic()
    boot, file = await together(
        bootfiles.make(root, plan.kernel, kernel, make_boot_part), base.pack(plan, work, before, progress)
    )
    seconds = time.monotonic() - began
    step("packed")
    progress.phase("digest", 0.1, file.stat().st_size)
    async with dpkg.package_lock(root, plan.options.lock_timeout * LAST_LOCK_TIMES):
        # Naming a layer of gigabytes takes as long as the look at its source.
        (plan, now), layer = await together(
            look_locked(paths, plan, work.ended.is_set),
            in_thread(seal, file, work.ended.is_set, progress.done),
        )
        file = work.layers / layer.file_name
        changes = await base.changes_since(file, before, now)
        if changes is None:
            file.unlink()
            return None
        copied = await increment.copy(paths, plan, work, before.table, now, changes, progress, 0.05)
        touched = (*changes.put, *changes.gone)
        if boot.key != await in_thread(bootfiles.key, root, plan.kernel) or bootfiles.concerned(touched):
            kernel.unlink()
            boot = await bootfiles.make(root, plan.kernel, kernel, make_boot_part)
    step("copied")
    layers = [layer]
    if changes:
        layers.append(await in_thread(seal, await increment.pack(plan, work, copied), work.ended.is_set))
    step("sealed")
    return _Made(plan, now, copied.table, tuple(layers), boot, changes, seconds)


async def _describe(
    paths: Paths, made: _Made, previous: Manifest | None, tools: dict[str, str], work: Workshop
) -> Generation:
    """Write all that a generation has beside its layers and kernel, and return it."""
    plan = made.plan
    record, initrd = await in_thread(describe, paths, plan, made.boot, made.layers)
    tree = made.contents.tree
    notes = remarks.unused(plan.own_excludes, plan.wanted, plan.never, tree.used)
    notes += (*remarks.copies(plan.reasons, tree.used), *remarks.private(tree.private, tree.told))
    notes += await in_thread(remarks.large, made.table)
    for each in notes:
        log.info("%s: %s", plan.source.name, each)
    generation = replace(
        record.generation,
        source_bytes=tree.size,
        source_files=tree.files,
        summary=manifest.summarize(previous, plan.packages.installed, plan.kernel.release),
        notes=notes,
    )
    record = replace(
        record, generation=generation, excludes=plan.excludes, tools=tools, level=plan.options.level
    )
    await in_thread(lambda: write(work, record, initrd, to_bytes(made.table)))
    return generation


def _explain(error: OSError, paths: Paths, source: Source) -> LtspError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{paths.images} ran full during the build. Make room there and build again.")
    return LtspError(
        f"The build of {source.name} from {source.shown} failed: {error}. Mend that and build again."
    )
