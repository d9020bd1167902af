"""The store of published images: reading, going back, removing, sweeping.

Every change is one rename; what a killed process leaves behind, ``sweep`` removes.
"""

import fcntl
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ltspd.errors import Busy, InUse, NoSuchGeneration, NoSuchImage, NothingToRevert
from ltspd.image.source.find import is_valid_name, valid_name
from ltspd.image.store import manifest, publish
from ltspd.image.store.keeping import recent, replaced_at, surplus
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.publish import LINK_PREFIX, Step, entries, nothing, point, sync
from ltspd.model.image import Generation, Image
from ltspd.model.menu import CURRENT
from ltspd.model.state import Problem
from ltspd.paths import Paths

# Tells which generations clients use, at the moment when it is asked: just before one is removed.
Used = Callable[[], frozenset[str]]
WORK_PREFIX = ".work-"
FOLD_PREFIX = f"{WORK_PREFIX}fold-"
# What the next build compares the source with; a generation without it is whole, but needs a full build.
ENTRIES = "entries"
# The ids that a person pinned, one a line, beside the generations: those are never modified.
KEPT = "kept"
GENERATION_FILES = ("manifest.json", "layers", "vmlinuz", "initrd.img")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
# Short enough for a name of the menu, IMAGE@CHANNEL.
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
    for name in _names(paths):
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
        channels = _channels(directory)
        for channel in [each for each, to in channels.items() if to not in {one.id for one in generations}]:
            missing = channels.pop(channel)
            problems.append(
                Problem(f"image {name}", f"Its channel {channel} leads to {missing}, which is not usable.")
            )
        if generations or current:
            generations.sort(key=lambda each: (each.created, each.id))
            images.append(
                Image(
                    name,
                    tuple(generations),
                    current,
                    kept(paths, name),
                    publish.replaced(directory),
                    channels,
                )
            )
    return tuple(images), tuple(problems)


def read_manifest(paths: Paths, image: str, generation: str) -> Manifest:
    """Return a generation's manifest after a look at all its files; raises OSError, ValueError."""
    file = paths.images / image / "generations" / generation / "manifest.json"
    parsed = manifest.from_text(file.read_text("utf-8"))
    _check_files(paths, image, generation, parsed.generation)
    return parsed


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
            target = _generation(found, generation)
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


def remove_generation(
    paths: Paths,
    image: str,
    generation: str,
    in_use: Used = frozenset,
    step: Step = nothing,
    *,
    grace: float = 0.0,
) -> None:
    """Remove a generation and layers that no other one has; raises InUse for one that is needed.

    Needed are the current one, used and kept ones, and what was current less than ``grace`` seconds ago.
    """
    with locked(paths, image):
        found = find(paths, image)
        target = _generation(found, generation)
        if target.id == current_id(paths, image):
            raise InUse(f"Generation {target.id} is what clients of {image} boot; build or revert first.")
        if channel := next((name for name, to in found.channels.items() if to == target.id), ""):
            raise InUse(f"Generation {target.id} is what channel {channel} of {image} leads to.")
        if target.id in in_use():
            raise InUse(f"Generation {target.id} of {image} is in use by a client; shut that down first.")
        if target.id in kept(paths, image):
            raise InUse(
                f"Generation {target.id} of {image} is kept; "
                f"'ltspctl image keep {image} {target.id} --undo' lets it go."
            )
        now, replaced = time.time(), replaced_at(found, target.id)
        if recent(replaced, now, grace):
            left = min(grace, grace - (now - replaced))
            raise InUse(
                f"Generation {target.id} of {image} was current until a moment ago, and a client that is "
                f"just starting may need it; try again in {math.ceil(left / 60)} min (KEEP_GRACE)."
            )
        _remove(paths, image, target.id, step)
        _drop_layers(paths.images / image, step)


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
        target = _generation(found, generation)
        wanted = {each.id for each in found.generations} & kept(paths, image) - {target.id}
        home = paths.images / image
        new = home / f"{WORK_PREFIX}{KEPT}"
        new.unlink(missing_ok=True)
        new.write_text("".join(f"{each}\n" for each in sorted({*wanted, *([target.id] if keep else [])})))
        sync(new)
        os.rename(new, home / KEPT)
        sync(home)


def prune(
    paths: Paths,
    image: str,
    keep: int,
    in_use: Used = frozenset,
    *,
    days: float = 0.0,
    grace: float = 0.0,
) -> tuple[str, ...]:
    """Remove what ``keeping.surplus`` says and is not used, and return it; raises NoSuchImage, Busy."""
    with locked(paths, image):
        return prune_locked(paths, image, keep, in_use, days=days, grace=grace)


def prune_locked(
    paths: Paths,
    image: str,
    keep: int,
    in_use: Used = frozenset,
    step: Step = nothing,
    *,
    days: float = 0.0,
    grace: float = 0.0,
) -> tuple[str, ...]:
    """Do what ``prune`` does for a caller that holds the image's lock already."""
    found, gone = find(paths, image), []
    for each in surplus(found, kept(paths, image), now=time.time(), keep=keep, days=days, grace=grace):
        # A client may have begun to use it while the one before was removed.
        if each not in in_use():
            _remove(paths, image, each, step)
            gone.append(each)
    if gone:
        _drop_layers(paths.images / image, step)
    return tuple(gone)


def sweep(paths: Paths) -> tuple[str, ...]:
    """Remove what killed builds left behind and return it; images that are being built are left alone."""
    gone: list[str] = []
    for name in _names(paths):
        home = paths.images / name
        try:
            with locked(paths, name):
                spared = FOLD_PREFIX if _is_folded(paths, name) else "/"
                for each in (*entries(home, hidden=True), *entries(home / "generations", hidden=True)):
                    if each.name.startswith((WORK_PREFIX, LINK_PREFIX)) and not each.name.startswith(spared):
                        gone.append(str(each))
                        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
                gone += _drop_layers(home)
                _drop_if_empty(home)
        except Busy:
            continue
    return tuple(gone)


def _is_folded(paths: Paths, image: str) -> bool:
    try:
        with folding(paths, image):
            return False
    except Busy:
        return True


def discard_empty(paths: Paths, image: str) -> None:
    """Remove the directories that a failed first build made. Call it locked."""
    _drop_if_empty(paths.images / image)


def _drop_if_empty(home: Path) -> None:
    for each in (home / "layers", home / "generations", home):
        try:
            each.rmdir()
        except OSError:
            pass  # not empty, or not there: both are fine


def _remove(paths: Paths, image: str, generation: str, step: Step) -> None:
    """Remove a generation; the rename first, so that a half removed one never looks whole."""
    directory = paths.images / image / "generations" / generation
    doomed = paths.images / image / f"{WORK_PREFIX}removed-{generation}"
    step("remove")
    os.rename(directory, doomed)
    sync(directory.parent)
    step("removed")
    shutil.rmtree(doomed)
    step("cleared")


def _drop_layers(home: Path, step: Step = nothing) -> list[str]:
    """Remove layers that no generation lists; none at all if one can't say what it needs."""
    wanted: set[str] = set()
    for generation in entries(home / "generations"):
        try:
            lines = (generation / "layers").read_text("ascii").splitlines()
            wanted |= {line.split(" ")[0] for line in lines}
        except (OSError, ValueError):
            return []
    gone = []
    for file in entries(home / "layers"):
        digest = file.name.removesuffix(".squashfs")
        if _DIGEST.fullmatch(digest) and digest not in wanted:
            file.unlink()
            step("layer")
            gone.append(str(file))
    return gone


def _generation(image: Image, identity: str) -> Generation:
    found = next((each for each in image.generations if each.id == identity), None)
    if found is None:
        known = ", ".join(each.id for each in image.generations)
        raise NoSuchGeneration(f"Image {image.name} has no generation {identity!r}; it has: {known}.")
    return found


def _names(paths: Paths) -> list[str]:
    """Return the store's directories whose names could be images: LTSP's own ``*.img`` are files."""
    found = (each for each in entries(paths.images) if each.is_dir() and not each.is_symlink())
    return [each.name for each in found if is_valid_name(each.name)]
