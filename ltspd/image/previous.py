"""The current generation as what a new one is compared with: whether a layer of changes is enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ltspd.image import bootfiles
from ltspd.image.context import ENTRIES, Build
from ltspd.image.look import entries
from ltspd.image.look.contents import Scan
from ltspd.image.look.entries import Changes, Table
from ltspd.image.look.plan import Plan
from ltspd.image.store.manifest import Manifest

# Above this share of a source's bytes a layer would take as long as a full build, and space besides.
MOST_CHANGED = 0.5
# Clients mount each layer. There are more than fold.MOST_ABOVE only where folds never get to run.
MOST_LAYERS = 24


@dataclass(frozen=True, slots=True)
class Previous:
    """The generation that a new one is compared with."""

    manifest: Manifest
    table: Table


class Outcome(Enum):
    """What a comparison says is to be made."""

    NOTHING = auto()
    LAYER = auto()
    EVERYTHING = auto()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new generation differs in from the previous one; with ``same_boot`` not in its boot files."""

    outcome: Outcome
    changes: Changes
    same_boot: bool


def comparable(
    build: Build, current: Manifest | None, plan: Plan, tools: Mapping[str, str]
) -> Previous | None:
    """Return what a layer could be made against, or None if only a full build will do. Blocks."""
    if (
        current is None
        or current.generation.direct
        or current.generation.outdated
        or build.options.full
        or len(current.generation.layers) >= MOST_LAYERS
    ):
        return None
    facts = current.generation
    same = (
        current.excludes == plan.excludes
        and dict(current.tools) == dict(tools)
        and current.level == build.options.level
        and facts.source == build.source.shown
        and facts.architecture == plan.architecture
    )
    if not same:
        return None
    file = build.paths.images / facts.image / "generations" / facts.id / ENTRIES
    try:
        return Previous(current, entries.from_bytes(file.read_bytes()))
    except (OSError, ValueError):
        return None


def difference(build: Build, previous: Previous, scan: Scan) -> Difference:
    """Return what was changed in a source since the previous generation. Blocks; raises OSError."""
    plan, contents, manifest = scan.plan, scan.contents, previous.manifest
    changes = entries.compare(previous.table, contents.table)
    key = bootfiles.key(build.root, plan.kernel)
    same_boot = key == manifest.boot.key and not bootfiles.concerned((*changes.put, *changes.gone))
    # A disk image that was written to has a new stamp, whatever of it was changed.
    same_source = plan.digest == manifest.generation.packages_digest
    if same_boot and same_source and not changes and build.options.kernel == manifest.kernel_pattern:
        outcome = Outcome.NOTHING
    elif plan.excludes != manifest.excludes or _too_much(changes, scan):
        outcome = Outcome.EVERYTHING
    elif changes and contents.tree.was_public(previous.table):
        # The layers below would still have what is private now.
        outcome = Outcome.EVERYTHING
    else:
        outcome = Outcome.LAYER
    return Difference(outcome, changes, same_boot)


def _too_much(changes: Changes, scan: Scan) -> bool:
    """Return whether so much changed that packing everything is as quick."""
    changed = entries.size_of(scan.contents.table, changes.put)
    return changed > MOST_CHANGED * max(1, scan.contents.tree.size)
