"""The phase that scans a source: what an image of it has, as of one moment."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.context import Build
from ltspd.image.look.entries import Table
from ltspd.image.look.plan import Plan, make_plan
from ltspd.image.look.replaced import Replacement, replacements, with_replaced
from ltspd.image.look.scan import TICK_NS, Tree, scan
from ltspd.model.image import Source, SourceKind

# A job may have waited for others for minutes since its preflight scanned the source.
FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image of a source has: the walk, the files in another form, and the table of both."""

    tree: Tree
    replaced: Mapping[bytes, Replacement]
    table: Table


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a source, and when by the monotonic clock, in seconds."""

    plan: Plan
    contents: Contents
    moment: float


def scan_source(build: Build) -> Scan:
    """Scan a source whose package lock we hold; raises what ``make_plan`` does, OSError. Blocks."""
    wait_for_tick()
    plan = make_plan(build, owned=True)
    found = contents(build.source, plan.excludes, build.stopped, plan.wanted)
    return Scan(plan, found, time.monotonic())


def scan_first(build: Build, known: Scan | None) -> Scan:
    """Scan before everything is packed, but take the preflight's walk if that is fresh; as ``scan_source``.

    Whatever changed since comes into the layer above, as what changes during the packing does.
    """
    if known is None or time.monotonic() - known.moment > FRESH_SECONDS:
        return scan_source(build)
    plan = make_plan(build, owned=True)
    if (plan.excludes, plan.wanted) != (known.plan.excludes, known.plan.wanted):
        return scan_source(build)
    return Scan(plan, known.contents, known.moment)


def contents(
    source: Source, patterns: tuple[str, ...], stop: Callable[[], bool], wanted: tuple[str, ...] = ()
) -> Contents:
    """Walk a source and return what an image of it has; raises OSError. Blocks.

    A server's own root has what its programs keep to themselves. A chroot or a disk was made for clients, so
    what only root may read there is meant for them, and a note says so.
    """
    root = Path(source.path)
    # What is mounted below a disk's root is the disk's own, and not in our namespace.
    mounts = b"" if source.kind is SourceKind.DISK else None
    strict = source.kind is SourceKind.ROOT
    tree = scan(root, patterns, mounts, stop, strict=strict, wanted=wanted)
    replaced = replacements(root, tree)
    return Contents(tree, replaced, with_replaced(tree.table, replaced))


def wait_for_tick() -> None:
    """Wait before a walk: files that changed in this very tick could change again and have the same time."""
    time.sleep(TICK_NS / 1e9)
