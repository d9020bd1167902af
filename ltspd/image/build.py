"""Building one generation of an image, phase by phase: a layer of what changed in its source, or of all."""

import errno
import threading
import time
from dataclasses import dataclass, replace

from ltspd.errors import InconsistentSource, LtspError, NoKernel, NoSpace
from ltspd.image import bootfiles, direct
from ltspd.image.bootfiles import BootFiles
from ltspd.image.context import Build, BuildOptions
from ltspd.image.generation import write_packed
from ltspd.image.look import contents
from ltspd.image.look.contents import Scan, scan_first, scan_source, wait_for_tick
from ltspd.image.look.plan import Plan, check_steady, make_plan
from ltspd.image.look.wants import lacking
from ltspd.image.pack.base import NewBase, Packed, changes_since, pack_base
from ltspd.image.pack.increment import copy, pack_increment
from ltspd.image.previous import Outcome, Previous, comparable, difference
from ltspd.image.source.dpkg import package_lock
from ltspd.image.store import publish
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.removal import prune_locked
from ltspd.image.store.store import current_manifest, locked
from ltspd.image.store.workdir import made, seal
from ltspd.image.verify.layer import check_tree, verify
from ltspd.image.verify.packed import check_tool
from ltspd.model.image import Generation, Layer
from ltspd.system import priority
from ltspd.system.threads import in_thread, to_the_end, together

__all__ = ["Build", "BuildOptions", "Built", "Ready", "build", "preflight"]

# A caller waits 25 s for an answer (D-Bus's default); a huge source on a cold disk takes longer to walk.
# What is found until then still counts, and the build walks it all before it packs.
PREFLIGHT_SECONDS = 8.0
# A source may be changed without end while it is packed without its lock: after so many tries a build fails.
ATTEMPTS = 3
# The work of minutes is not given up because packages are being installed at its very end.
LAST_LOCK_TIMES = 10


@dataclass(frozen=True, slots=True)
class Ready:
    """What a preflight found; ``scan`` is None if it did not walk the source, or not to the end."""

    plan: Plan
    scan: Scan | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """The generation that clients boot now; ``changed`` is False if it was the current one before."""

    generation: Generation
    changed: bool


async def preflight(build: Build) -> Ready:
    """Check everything that can be known before a build; nothing is written.

    Raises NoKernel, NoInit, WrongArchitecture, InconsistentSource, NoSpace. A source that was built
    before is not walked: the build does that, and how big it is is known.
    """
    ended = threading.Event()
    try:
        ready = await in_thread(_foresee, build, ended)
        if not build.options.direct:
            await check_tool()
        await bootfiles.check(build.root, ready.plan.kernel)
        return ready
    finally:
        ended.set()


def _foresee(build: Build, ended: threading.Event) -> Ready:
    until = time.monotonic() + PREFLIGHT_SECONDS
    source = build.source
    if build.options.direct:
        direct.check(source)
    current = current_manifest(build.paths, source.name)
    plan = make_plan(_chosen(build, current))
    if missing := build.missing_modules(build.root, plan.kernel.release):
        raise NoKernel(
            f"Kernel {plan.kernel.release} of {source.shown} can't boot from a network: it has no "
            f"{', '.join(missing)}. Install a kernel package that has."
        )
    if build.options.direct:
        return Ready(plan)
    if current is not None:
        # A layer of changes is small, and what it needs is checked when that is known.
        build.check_space(source.shown, current.generation.source_bytes if build.options.full else 0)
        return Ready(plan)
    wait_for_tick()
    stop = lambda: ended.is_set() or time.monotonic() > until  # noqa: E731
    found = contents.contents(source, plan.excludes, stop, plan.wanted)
    if found.tree.complete:
        check_tree(build.root, plan.kernel, found.table)
    build.check_space(source.shown, found.tree.size)
    return Ready(plan, Scan(plan, found, time.monotonic()) if found.tree.complete else None)


def _chosen(build: Build, current: Manifest | None) -> Build:
    """Return the build with kernel and initrd of the current generation where nobody chose them now."""
    kernel, initrd = build.options.kernel, build.options.initrd
    if kernel is None:
        kernel = current.kernel_pattern if current else ""
    if initrd is None:
        initrd = current.initrd if current else None
    return replace(build, options=replace(build.options, kernel=kernel, initrd=initrd))


async def build(build: Build, ready: Ready) -> Built:
    """Build and publish a generation; on any error or cancel all is as it was before.

    Nothing is published if the source is as the current generation has it. Pruning asks ``build.in_use`` what
    to leave. What ``build.trial`` raises for the new generation keeps it from being published. Raises what
    preflight and ``build.trial`` do, and Busy, ToolFailed.
    """
    with locked(build.paths, build.source.name), priority.low(build.options.background):
        try:
            current = await in_thread(current_manifest, build.paths, build.source.name)
            build = _chosen(build, current)
            with made(build.work):
                return await _build(build, ready, current)
        except OSError as error:
            raise _explain(error, build) from error


async def _build(build: Build, ready: Ready, current: Manifest | None) -> Built:
    """Make a generation, publish it and prune the image, unless the current one is the same."""
    build.step("work")
    if build.options.direct:
        generation = await direct.make(build, current)
    else:
        generation = await _make(build, ready, current)
    if current is not None and generation is current.generation:
        build.progress.phase("unchanged", 1.0)
        build.progress.done(1.0)
        return Built(generation, changed=False)
    build.step("written")
    build.progress.phase("publish", 0.05)
    await in_thread(publish.sync_work, build.work.home)
    await to_the_end(
        publish.publish, build.paths, generation.image, build.work.home, generation.id, build.step
    )
    await to_the_end(_prune, build)
    build.progress.done(1.0)
    return Built(generation, changed=True)


async def _make(build: Build, ready: Ready, current: Manifest | None) -> Generation:
    """Pack, write, verify and try out a generation; return the current one if the source is the same."""
    tools = {"mksquashfs": await check_tool()}
    previous = await in_thread(comparable, build, current, ready.plan, tools)
    layer = await _pack_changes(build, previous) if previous is not None else Outcome.EVERYTHING
    if previous is not None and layer is Outcome.NOTHING:
        return previous.manifest.generation
    packed, boot = layer if isinstance(layer, tuple) else await _pack_everything(build, ready.scan)
    build.progress.phase("initrd", 0.05)
    generation = await in_thread(write_packed, build, packed, boot, current, tools)
    build.progress.phase("verify", 0.05)
    # Gigabytes are on the disk by the end of the comparing, so that publishing need not wait for that.
    await together(verify(build, packed), in_thread(publish.sync_work, build.work.home))
    await in_thread(check_steady, build.source)
    if build.trial is not None:
        await in_thread(publish.share, build.work.home)
        await build.trial(generation, build.work.home, build.progress)
    return generation


async def _pack_changes(build: Build, previous: Previous) -> tuple[Packed, BootFiles] | Outcome:
    """Make a layer of what changed, if that is what has to be made."""
    progress, work = build.progress, build.work
    async with package_lock(build.root, build.options.lock_timeout):
        progress.phase("scan", 0.35)
        scan = await in_thread(scan_source, build)
        build.step("scanned")
        found = await in_thread(difference, build, previous, scan)
        if found.outcome is Outcome.NOTHING and not await in_thread(_all_told, build, previous):
            found = replace(found, outcome=Outcome.LAYER)
        if found.outcome is not Outcome.LAYER:
            return found.outcome
        copied = await in_thread(copy, build, previous.table, scan, found.changes, 0.2)
        build.step("copied")
        if not found.same_boot:
            boot = await bootfiles.make(build, scan.plan.kernel)
    if found.same_boot:
        boot = await in_thread(bootfiles.reuse, build.paths, previous.manifest, work.kernel)
    progress.phase("squashfs", 0.3, copied.size)
    layers = previous.manifest.generation.layers
    if found.changes:
        file = await pack_increment(build, copied, progress.done)
        build.step("packed")
        layer = await in_thread(seal, file, work.stopped)
        # A file that changed there and back can make a layer that is there already.
        layers = (*(each for each in layers if each != layer), layer)
    return Packed(scan, copied.table, layers), boot


def _all_told(build: Build, previous: Previous) -> bool:
    """Return whether the notes of the previous generation have all that clients' settings lack now."""
    return set(lacking(build.root, build.options.wants)) <= set(previous.manifest.generation.notes)


async def _pack_everything(build: Build, known: Scan | None) -> tuple[Packed, BootFiles]:
    """Pack the whole source, and above it what changed while that took: the last scan counts."""
    for _ in range(ATTEMPTS):
        build.progress.phase("scan", 0.05)
        async with package_lock(build.root, build.options.lock_timeout):
            before = await in_thread(scan_first, build, known)
        build.check_space(build.source.shown, before.contents.tree.size)
        build.step("scanned")
        if (packed := await _try_everything(build, before)) is not None:
            return packed
        known = None
    raise InconsistentSource(
        f"Configuration, logs or private files of {build.source.shown} changed during each of {ATTEMPTS} "
        "attempts to pack it. Stop what changes them, and build again."
    )


async def _try_everything(build: Build, before: Scan) -> tuple[Packed, BootFiles] | None:
    """Pack the whole source, or return None if what changed meanwhile must be in no layer."""
    progress, work = build.progress, build.work
    progress.phase("squashfs", 0.65, before.contents.tree.size)
    began = time.monotonic()
    boot, file = await together(bootfiles.make(build, before.plan.kernel), pack_base(build, before))
    seconds = time.monotonic() - began
    build.step("packed")
    progress.phase("digest", 0.1, file.stat().st_size)
    async with package_lock(build.root, build.options.lock_timeout * LAST_LOCK_TIMES):
        # To read a layer of gigabytes for its digest takes as long as to scan its source.
        scan, layer = await together(
            in_thread(scan_source, build), in_thread(seal, file, work.stopped, progress.done)
        )
        file = work.layers / layer.file_name
        changes = await changes_since(file, before.contents, scan.contents)
        if changes is None:
            file.unlink()
            return None
        copied = await in_thread(copy, build, before.contents.table, scan, changes, 0.05)
        touched = (*changes.put, *changes.gone)
        key = await in_thread(bootfiles.key, build.root, scan.plan.kernel)
        if boot.key != key or bootfiles.concerned(touched):
            boot = await bootfiles.make(build, scan.plan.kernel)
    build.step("copied")
    layers: tuple[Layer, ...] = (layer,)
    if changes:
        layers += (await in_thread(seal, await pack_increment(build, copied), work.stopped),)
    build.step("sealed")
    return Packed(scan, copied.table, layers, NewBase(layer, changes, seconds)), boot


def _prune(build: Build) -> None:
    options = build.options
    prune_locked(
        build.paths,
        build.source.name,
        options.keep,
        build.in_use,
        build.step,
        days=options.keep_days,
        grace=options.grace,
    )


def _explain(error: OSError, build: Build) -> LtspError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{build.paths.images} ran full during the build. Make room there and build again.")
    return LtspError(
        f"The build of {build.source.name} from {build.source.shown} failed: {error}. "
        "Mend that and build again."
    )
