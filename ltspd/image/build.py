"""Building one generation of an image from its source: preflight, then layer, kernel, initrd, publish."""

import errno
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import LtspError, NoKernel, NoSpace
from ltspd.image import clean, dpkg, excludes, inspect, manifest, publish, squashfs, store
from ltspd.image.inside import copy_inside, read_inside
from ltspd.image.scan import Tree, scan
from ltspd.image.threads import in_thread, to_the_end, together
from ltspd.initrd.boot import build_boot_part, make_identity
from ltspd.initrd.kernel import check_modules
from ltspd.model import Generation, Layer, Progress, Source
from ltspd.paths import Paths
from ltspd.run import run

# zstd at its fastest level leaves 40 % of a desktop's bytes; a source of incompressible data that
# does not fit ends the build with NoSpace all the same, only later.
SPACE_SHARE = 0.6
# Kernel, initrd, manifest, and what the file system itself needs.
SPACE_MARGIN = 96 << 20
# A caller waits 25 s for an answer (D-Bus's default); a huge source on a cold disk takes longer to walk.
# What is found until then still counts, and the build walks it all before it packs.
PREFLIGHT_SECONDS = 8.0
MakeBootPart = Callable[[Path, str], Awaitable[bytes]]
MissingModules = Callable[[Path, str], tuple[str, ...]]
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build. ``keep`` counts generations that stay, ``lock_timeout`` is in seconds."""

    add_excludes: tuple[str, ...] = ()
    omit_excludes: tuple[str, ...] = ()
    level: int = squashfs.LEVEL
    keep: int = 3
    lock_timeout: float = 60.0
    background: bool = False


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What preflight found: a build of it is expected to succeed."""

    source: Source
    options: BuildOptions
    kernel: inspect.Kernel
    architecture: str
    tree: Tree
    packages: dpkg.Packages
    excludes: tuple[str, ...]


async def preflight(
    paths: Paths,
    source: Source,
    options: BuildOptions | None = None,
    *,
    missing_modules: MissingModules = check_modules,
) -> BuildPlan:
    """Check everything that can be known before a build; nothing is written.

    Raises NoKernel, NoInit, WrongArchitecture, InconsistentSource, NoSpace.
    """
    ended = threading.Event()
    until = time.monotonic() + PREFLIGHT_SECONDS

    def look() -> BuildPlan:
        stop = lambda: ended.is_set() or time.monotonic() > until  # noqa: E731
        plan = _look(paths, source, options or BuildOptions(), False, stop)
        if missing := missing_modules(Path(source.path), plan.kernel.release):
            raise NoKernel(
                f"Kernel {plan.kernel.release} of {source.path} can't boot from a network: it has no "
                f"{', '.join(missing)}. Install a kernel package that has."
            )
        return plan

    try:
        return await in_thread(look)
    finally:
        ended.set()


def _look(
    paths: Paths, source: Source, options: BuildOptions, owned: bool, stop: Callable[[], bool]
) -> BuildPlan:
    """Look at the source; ``owned`` says that we hold its package lock, so what we see is at rest."""
    root = Path(source.path)
    architecture = inspect.check_init(root)
    kernel = inspect.find_kernel(root)
    packages = dpkg.read_packages(root)
    # While somebody installs packages they are half done by nature; the build waits for that.
    if owned or not dpkg.lock_holder(root):
        dpkg.check_consistent(root, packages)
    patterns = _patterns(paths, root, options)
    tree = scan(root, patterns, stop=stop)
    _check_space(paths, source, tree)
    return BuildPlan(source, options, kernel, architecture, tree, packages, patterns)


def excludes_setting(paths: Paths, value: str) -> tuple[str, ...]:
    """Return the patterns of ADD_IMAGE_EXCLUDES or OMIT_IMAGE_EXCLUDES: as in LTSP one a line, or a file.

    Blocks for the file's reading. A pattern may contain spaces, so the value is not split at them.
    """
    name = value.strip()
    if name.startswith("/") and "\n" not in name and paths.at(name).is_file():
        value = paths.at(name).read_text("utf-8", "surrogateescape")
    return tuple(line.strip() for line in value.split("\n") if line.strip())


def _patterns(paths: Paths, root: Path, options: BuildOptions) -> tuple[str, ...]:
    file = paths.etc / "image.excludes"
    listed = file.read_text("utf-8", "surrogateescape") if file.is_file() else None
    patterns = excludes.effective(listed, options.add_excludes, options.omit_excludes)
    # Never an image inside an image, wherever the base directory is.
    store_path = os.path.realpath(paths.images)
    own = os.path.realpath(root).rstrip("/") + "/"
    if store_path.startswith(own):
        inside = excludes.literal(os.fsencode(store_path[len(own) :]))
        patterns = (*patterns, f"{inside}/*", f"{inside}/.*")
    return patterns


def _check_space(paths: Paths, source: Source, tree: Tree) -> None:
    place = paths.images
    while not place.exists():
        place = place.parent
    figures = os.statvfs(place)
    free = figures.f_bavail * figures.f_frsize
    need = int(tree.size * SPACE_SHARE) + SPACE_MARGIN
    if free < need:
        raise NoSpace(
            f"An image of {source.path} ({tree.size >> 20} MiB to pack) may need {need >> 20} MiB "
            f"in {paths.images}, but only {free >> 20} MiB are free there. "
            "Remove old generations or exclude more."
        )


async def build(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    *,
    make_boot_part: MakeBootPart = build_boot_part,
    in_use: frozenset[str] = frozenset(),
) -> Generation:
    """Build and publish a generation and return it; on any error or cancel all is as it was before.

    ``in_use`` are ids of generations that clients run; pruning leaves them. Raises what preflight
    does, and Busy, ToolFailed.
    """
    name = plan.source.name
    with store.locked(paths, name):
        home = paths.images / name
        work = home / f"{store.WORK_PREFIX}{os.getpid()}-{time.time_ns():x}"
        ended = threading.Event()
        for each in (work / "layers", work / "generation", work / "scratch"):
            each.mkdir(parents=True)
        try:
            generation = await _make(paths, plan, progress, work, make_boot_part, ended.is_set)
            progress.phase("publish", 0.1)
            await in_thread(publish.sync_work, work)
            await to_the_end(publish.publish, paths, name, work, generation.id)
            await to_the_end(store.prune_locked, paths, name, plan.options.keep, in_use)
            progress.done(1.0)
            return generation
        except OSError as error:
            raise _explain(error, paths, plan.source) from error
        finally:
            ended.set()
            shutil.rmtree(work, ignore_errors=True)
            store.discard_empty(paths, name)


def _explain(error: OSError, paths: Paths, source: Source) -> LtspError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{paths.images} ran full during the build. Make room there and build again.")
    return LtspError(
        f"The build of {source.name} from {source.path} failed: {error}. Mend that and build again."
    )


async def _make(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Path,
    make_boot_part: MakeBootPart,
    stopped: Callable[[], bool],
) -> Generation:
    """Fill the work directory and return the generation that it will be; threads heed ``stopped``."""
    root = Path(plan.source.path)
    name = plan.source.name
    packed = work / "layers" / "new"
    async with dpkg.package_lock(root, plan.options.lock_timeout):
        progress.phase("scan", 0.05)
        plan = await in_thread(_look, paths, plan.source, plan.options, True, stopped)
        changed = await in_thread(_replacements, root, plan.tree)
        progress.phase("squashfs", 0.7)
        patterns = (*plan.excludes, *plan.tree.patterns)
        boot_part, kernel_bytes, _ = await together(
            make_boot_part(root, plan.kernel.release),
            in_thread(copy_inside, root, plan.kernel.path, work / "generation" / "vmlinuz"),
            squashfs.pack(
                root,
                packed,
                work / "scratch",
                patterns,
                changed,
                level=plan.options.level,
                background=plan.options.background,
                progress=progress.done,
            ),
        )
    progress.phase("digest", 0.1)
    layer = await in_thread(_seal, packed, stopped)
    progress.phase("initrd", 0.05)
    now = time.time()
    identity = _identity(paths, name, now, layer)
    initrd = boot_part + make_identity(name, identity, (layer,))
    previous = await in_thread(_previous, paths, name)
    generation = Generation(
        id=identity,
        image=name,
        created=now,
        source=plan.source.path,
        architecture=plan.architecture,
        kernel=plan.kernel.release,
        layers=(layer,),
        source_bytes=plan.tree.size,
        source_files=plan.tree.files,
        kernel_bytes=kernel_bytes,
        initrd_bytes=len(initrd),
        packages_digest=plan.packages.digest,
        summary=manifest.summarize(previous, plan.packages.installed, plan.kernel.release),
    )
    tools = {"mksquashfs": await squashfs_version()}
    record = manifest.Manifest(generation, plan.packages.installed, plan.excludes, tools, plan.options.level)
    await in_thread(_write, work / "generation", record, initrd)
    return generation


def _replacements(root: Path, tree: Tree) -> list[squashfs.Replacement]:
    new = clean.replacements({name: read_inside(root, name) for name in clean.READ})
    changed = [
        squashfs.like(root, name, content, 0o444 if name == "etc/machine-id" else 0o644)
        for name, content in new.items()
    ]
    # Log files exist for their owners and modes; their content is this machine's history.
    plain = [each.decode() for each in tree.logs if _PLAIN_NAME.fullmatch(each)]
    changed += [squashfs.like(root, each, b"") for each in plain]
    return changed


def _seal(packed: Path, stopped: Callable[[], bool]) -> Layer:
    """Give a packed layer its name, the digest of its content, and return it."""
    digest = hashlib.sha256()
    with open(packed, "rb", buffering=0) as file:
        while (piece := file.read(1 << 20)) and not stopped():
            digest.update(piece)
    layer = Layer(digest.hexdigest(), packed.stat().st_size)
    packed.chmod(0o644)
    packed.rename(packed.with_name(layer.file_name))
    return layer


def _identity(paths: Paths, image: str, now: float, layer: Layer) -> str:
    """Return a free generation id: UTC stamp and the start of the top layer's digest."""
    while True:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        identity = f"{stamp}-{layer.digest[:8]}"
        if not (paths.images / image / "generations" / identity).exists():
            return identity
        now += 1


def _previous(paths: Paths, image: str) -> manifest.Manifest | None:
    current = store.current_id(paths, image)
    try:
        return store.read_manifest(paths, image, current) if current else None
    except (OSError, ValueError):
        return None


def _write(directory: Path, record: manifest.Manifest, initrd: bytes) -> None:
    lines = "".join(f"{layer.digest} {layer.size}\n" for layer in record.generation.layers)
    (directory / "initrd.img").write_bytes(initrd)
    (directory / "layers").write_text(lines, "ascii")
    (directory / "manifest.json").write_text(manifest.to_text(record), "utf-8")
    for name in store.GENERATION_FILES:
        (directory / name).chmod(0o644)
    directory.chmod(0o755)


async def squashfs_version() -> str:
    """Return mksquashfs's version, for example ``4.5.1``, or an empty string."""
    words = (await run(["mksquashfs", "-version"], check=False)).stdout.split()
    return words[2].decode(errors="replace") if len(words) > 2 else ""
