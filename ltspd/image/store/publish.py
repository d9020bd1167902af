"""Putting a finished generation into the store: renames, each after what it refers to is on the disk.

A kill at any moment leaves the old generation or the new one current, never a mixture, and at worst
leftovers that the store's ``sweep`` removes.
"""

import math
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from ltspd.image.context import Step, nothing
from ltspd.paths import Paths

LINK_PREFIX = ".current-"
# When each generation stopped being current: "id seconds" a line, beside the generations.
REPLACED = "replaced"
# What clients fetch of a generation. Its other files tell of the source, and are for the server alone.
FETCHED = ("layers", "vmlinuz", "initrd.img")


def publish(paths: Paths, image: str, work: Path, identity: str, step: Step = nothing) -> None:
    """Make a finished work directory the image's current generation; raises OSError, all undone then.

    ``work`` holds ``layers/*.squashfs`` (new layers only) and ``generation/``, which only we may read. Call
    it locked.
    """
    home = paths.images / image
    step("begin")
    share(work)
    sync_work(work)
    step("synced")
    with ExitStack() as undo:
        for name in ("layers", "generations"):
            (home / name).mkdir(exist_ok=True)
        for file in entries(work / "layers"):
            target = home / "layers" / file.name
            if target.exists() and target.stat().st_size == file.stat().st_size:
                continue
            os.rename(file, target)
            undo.callback(target.unlink, missing_ok=True)
        sync(home / "layers")
        step("layers")
        generation = home / "generations" / identity
        os.rename(work / "generation", generation)
        undo.callback(shutil.rmtree, generation, ignore_errors=True)
        sync(home / "generations")
        step("generation")
        point(home, identity, step)
        undo.pop_all()
    sync(home)
    step("published")


def share(work: Path) -> None:
    """Let everybody read what clients will fetch, once it is verified. The rest stays private.

    A trial needs that before the generation is published: its machine runs as somebody without any rights.
    """
    for file in (*entries(work / "layers"), *(work / "generation" / name for name in FETCHED)):
        file.chmod(0o644)
    for directory in (work / "layers", work / "generation", work):
        directory.chmod(0o755)


def sync_work(work: Path) -> None:
    """Bring a work directory to the disk: nothing may be renamed into place before."""
    for file in (*entries(work / "layers"), *entries(work / "generation")):
        sync(file)
    sync(work / "generation")


def point(home: Path, identity: str, step: Step = nothing) -> None:
    """Make a generation current by one rename; raises OSError. The caller syncs ``home``."""
    _note_replaced(home, identity)
    link = home / f"{LINK_PREFIX}{identity}"
    link.unlink(missing_ok=True)
    os.symlink(f"generations/{identity}", link)
    step("link")
    try:
        os.rename(link, home / "current")
    except OSError:
        link.unlink(missing_ok=True)
        raise


def replaced(home: Path) -> dict[str, float]:
    """Return when (seconds since the epoch) each generation stopped being current, as far as it is known."""
    try:
        lines = (home / REPLACED).read_text("ascii").splitlines()
        found = {identity: float(when) for identity, _, when in (line.partition(" ") for line in lines)}
    except (OSError, ValueError):
        return {}
    return {identity: when for identity, when in found.items() if math.isfinite(when)}


def _note_replaced(home: Path, identity: str) -> None:
    """Write down, before it is done, that the current generation makes room for another one."""
    try:
        before = os.readlink(home / "current").rpartition("/")[2]
    except OSError:
        return
    if before == identity:
        return
    found = {**replaced(home), before: time.time()}
    lines = [
        f"{each} {int(when)}\n" for each, when in found.items() if (home / "generations" / each).is_dir()
    ]
    new = home / f"{LINK_PREFIX}{REPLACED}"
    new.write_text("".join(lines), "ascii")
    sync(new)
    os.rename(new, home / REPLACED)


def entries(directory: Path, hidden: bool = False) -> list[Path]:
    """Return a directory's entries by name, none if it is not there; dot files only with ``hidden``."""
    try:
        return sorted(each for each in directory.iterdir() if hidden or not each.name.startswith("."))
    except OSError:
        return []


def sync(path: Path) -> None:
    """Wait until a file or a directory's entries are on the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
