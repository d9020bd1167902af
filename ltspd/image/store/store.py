"""The store of published images: reading it, locking an image, going back, keeping a generation.

Every change is one rename; what a killed process leaves behind is for ``removal.sweep``.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ltspd.errors import Busy, NoSuchGeneration, NoSuchImage, NothingToRevert
from ltspd.image.context import WORK_PREFIX, Step, nothing
from ltspd.image.source.find import is_valid_name, valid_name
from ltspd.image.store import manifest, publish
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.publish import entries, point, sync
from ltspd.model.image import Generation, Image
from ltspd.model.menu import CURRENT
from ltspd.model.state import Problem
from ltspd.paths import Paths

# The ids that a person pinned, one a line, beside the generations: those are never modified.
KEPT = "kept"
GENERATION_FILES = ("manifest.json", "layers", "vmlinuz", "initrd.img")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
# Short enough for a name of the menu, IMAGE@CHANNEL.
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@contextmanager
def locked(paths: Paths, image: str) -> Iterator[None]:
    """Keep all other builds, removals and sweeps of an image out; raises Busy. Vanishes with us."""
    with _lock(paths, image, "lock", "is being built or changed"):
        yield


@contextmanager
def folding(paths: Paths, image: str) -> Iterator[None]:
    """Keep other folds of an image out, and sweeps from its work; raises Busy. Builds may go on."""
    with _lock(paths, image, "fold-lock", "is being folded"):
        yield


@contextmanager
def _lock(paths: Paths, image: str, kind: str, what: str) -> Iterator[None]:
    directory = paths.run / "images"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / f"{valid_name(image)}.{kind}", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"Image {image} {what} already; try again when that is done.") from None
        yield


def read_images(paths: Paths) -> tuple[tuple[Image, ...], tuple[Problem, ...]]:
    """Return every image by name with its whole generations, and what is wrong with the others."""
    images, problems = [], []
    for name in names(paths):
        directory = paths.images / name
        generations = []
        for each in entries(directory / "generations"):
            try:
                generations.append(_read_generation(paths, name, each.name))
            except (OSError, ValueError) as error:
                why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                problems.append(
                    Problem(
                        f"image {name}",
                        f"Generation {each.name} can't be used ({why}). Build again and remove it.",
                    )
                )
        current = current_id(paths, name)
        if current and current not in {each.id for each in generations}:
            problems.append(
                Problem(
                    f"image {name}", f"Its current generation {current} is not usable; build it or revert."
                )
            )
            current = ""
        whole, channels = {each.id for each in generations}, _channels(directory)
        for channel, to in channels.items():
            if to not in whole:
                why = f"Its channel {channel} leads to {to}, which is not usable; change that link."
                problems.append(Problem(f"image {name}", why))
        if generations or current:
            generations.sort(key=lambda each: (each.created, each.id))
            images.append(
                Image(
                    name,
                    tuple(generations),
                    current,
                    kept(paths, name),
                    publish.replaced(directory),
                    {channel: to for channel, to in channels.items() if to in whole},
                )
            )
    return tuple(images), tuple(problems)


def read_manifest(paths: Paths, image: str, generation: str) -> Manifest:
    """Return a generation's manifest if all its files are there; raises OSError, ValueError."""
    file = paths.images / image / "generations" / generation / "manifest.json"
    parsed = manifest.from_text(file.read_text("utf-8"))
    _check_files(paths, image, generation, parsed.generation)
    return parsed


def current_manifest(paths: Paths, image: str) -> Manifest | None:
    """Return the manifest of the current generation, or None if there is no usable one. Blocks."""
    current = current_id(paths, image)
    try:
        return read_manifest(paths, image, current) if current else None
    except (OSError, ValueError):
        return None


def _read_generation(paths: Paths, image: str, generation: str) -> Generation:
    file = paths.images / image / "generations" / generation / "manifest.json"
    status = os.stat(file)
    facts = _parse(file, status.st_ino, status.st_mtime_ns, status.st_size)
    _check_files(paths, image, generation, facts)
    return facts


def _check_files(paths: Paths, image: str, generation: str, facts: Generation) -> None:
    directory = paths.images / image / "generations" / generation
    if (facts.id, facts.image) != (generation, image) or not _ID.fullmatch(generation):
        raise ValueError("its manifest belongs to another one")
    sizes = {"vmlinuz": facts.kernel_bytes, "initrd.img": facts.initrd_bytes}
    files = {directory / name: size for name, size in sizes.items()}
    files |= {paths.images / image / "layers" / layer.file_name: layer.size for layer in facts.layers}
    for file, size in files.items():
        try:
            found = os.stat(file).st_size
        except FileNotFoundError:
            raise ValueError(f"{file.name} is missing") from None
        if found != size:
            raise ValueError(f"{file.name} has {found} bytes instead of {size}")
    if not facts.layers and not facts.directory:
        raise ValueError("it has no layers")


@lru_cache(maxsize=256)
def _parse(file: Path, _inode: int, _mtime: int, _size: int) -> Generation:
    """Parse a manifest once: generations are never modified, and every pass reads them all.

    Its list of packages is not kept: with some dozens of generations that would be most of our memory.
    """
    return manifest.from_text(file.read_text("utf-8")).generation


def current_id(paths: Paths, image: str) -> str:
    """Return the id that ``current`` points to, or an empty string."""
    return _target(paths.images / image / CURRENT)


def _channels(home: Path) -> dict[str, str]:
    """Return the ids that the links beside ``current`` lead to, by the links' names."""
    found = {each.name: _target(each) for each in entries(home) if _CHANNEL.fullmatch(each.name)}
    return {name: to for name, to in found.items() if to and name != CURRENT}


def _target(link: Path) -> str:
    """Return the id of the generation that a link leads to, or an empty string."""
    try:
        target = os.readlink(link)
    except OSError:
        return ""
    return target.removeprefix("generations/") if target.startswith("generations/") else ""


def find(paths: Paths, image: str) -> Image:
    """Return a published image; raises NoSuchImage, InvalidName."""
    valid_name(image)
    found = next((each for each in read_images(paths)[0] if each.name == image), None)
    if found is None:
        raise NoSuchImage(f"Image {image} was never built; 'ltspctl image build {image}' does it.")
    return found


def revert(paths: Paths, image: str, generation: str = "", step: Step = nothing) -> Generation:
    """Make an older generation current (default: the one before the current) and return it.

    Raises NoSuchImage, NoSuchGeneration, NothingToRevert, Busy.
    """
    with locked(paths, image):
        found = find(paths, image)
        if generation:
            target = one_of(found, generation)
        else:
            ids = [each.id for each in found.generations]
            before = ids.index(found.current) if found.current else len(ids)
            if before == 0:
                raise NothingToRevert(
                    f"Image {image} has no generation older than {found.current} to go back to."
                )
            target = found.generations[before - 1]
        if target.id == found.current:
            raise NothingToRevert(f"Image {image} is at generation {target.id} already.")
        step("begin")
        point(paths.images / image, target.id, step)
        sync(paths.images / image)
        return target


def kept(paths: Paths, image: str) -> frozenset[str]:
    """Return the ids of the generations that a person wants to be kept."""
    try:
        return frozenset((paths.images / image / KEPT).read_text("ascii").split())
    except (OSError, ValueError):
        return frozenset()


def keep_generation(paths: Paths, image: str, generation: str, keep: bool = True) -> None:
    """Keep a generation however old it gets, or stop doing so; raises NoSuchImage, NoSuchGeneration, Busy."""
    with locked(paths, image):
        found = find(paths, image)
        target = one_of(found, generation)
        wanted = {each.id for each in found.generations} & kept(paths, image) - {target.id}
        home = paths.images / image
        new = home / f"{WORK_PREFIX}{KEPT}"
        new.unlink(missing_ok=True)
        new.write_text("".join(f"{each}\n" for each in sorted({*wanted, *([target.id] if keep else [])})))
        sync(new)
        os.rename(new, home / KEPT)
        sync(home)


def one_of(image: Image, identity: str) -> Generation:
    """Return a generation of an image; raises NoSuchGeneration."""
    found = next((each for each in image.generations if each.id == identity), None)
    if found is None:
        known = ", ".join(each.id for each in image.generations)
        raise NoSuchGeneration(f"Image {image.name} has no generation {identity!r}; it has: {known}.")
    return found


def names(paths: Paths) -> list[str]:
    """Return the store's directories whose names could be images: LTSP's own ``*.img`` are files."""
    found = (each for each in entries(paths.images) if each.is_dir() and not each.is_symlink())
    return [each.name for each in found if is_valid_name(each.name)]
