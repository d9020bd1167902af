"""What leaves the store: generations, the layers that nobody needs then, leftovers of killed builds."""

import math
import os
import re
import shutil
import time
from pathlib import Path

from ltspd.errors import Busy, InUse
from ltspd.image.context import FOLD_PREFIX, WORK_PREFIX, Step, Used, nothing
from ltspd.image.store.keeping import recent, replaced_at, surplus
from ltspd.image.store.publish import LINK_PREFIX, entries, sync
from ltspd.image.store.store import current_id, find, folding, kept, locked, names, one_of
from ltspd.paths import Paths

_DIGEST = re.compile(r"[0-9a-f]{64}")


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
        target = one_of(found, generation)
        if target.id == current_id(paths, image):
            raise InUse(f"Generation {target.id} is what clients of {image} boot; build or revert first.")
        if channel := next((name for name, to in found.channels.items() if to == target.id), ""):
            raise InUse(
                f"Generation {target.id} is what channel {channel} of {image} leads to; change that first."
            )
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
    for name in names(paths):
        home = paths.images / name
        try:
            with locked(paths, name):
                spared = FOLD_PREFIX if _is_folded(paths, name) else "/"
                for each in (*entries(home, hidden=True), *entries(home / "generations", hidden=True)):
                    if each.name.startswith((WORK_PREFIX, LINK_PREFIX)) and not each.name.startswith(spared):
                        gone.append(str(each))
                        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
                gone += _drop_layers(home)
                discard_empty(home)
        except Busy:
            continue
    return tuple(gone)


def _is_folded(paths: Paths, image: str) -> bool:
    try:
        with folding(paths, image):
            return False
    except Busy:
        return True


def discard_empty(home: Path) -> None:
    """Remove the directories of an image that a failed first build made. Call it locked."""
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
