"""Two trees of objects → what was added, removed and changed between them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltspd.api.noun import Tree


@dataclass(frozen=True, slots=True)
class Difference:
    """``added`` and ``changed`` hold values; ``removed`` maps a path to the interfaces that went.

    ``changed`` holds only properties whose value differs, by path and interface.
    """

    added: Tree
    removed: Mapping[str, tuple[str, ...]]
    changed: Tree


def difference(old: Tree, new: Tree) -> Difference:
    """Return what turns ``old`` into ``new``; interfaces of an object may come and go one by one."""
    added: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    removed: dict[str, tuple[str, ...]] = {}
    changed: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    # An unchanged object is the very same mapping as before, so its values need not be compared.
    touched = [path for path, after in new.items() if old.get(path) is not after]
    for path in (*touched, *(old.keys() - new.keys())):
        before, after = old.get(path, {}), new.get(path, {})
        if came := {name: values for name, values in after.items() if name not in before}:
            added[path] = came
        if gone := tuple(name for name in before if name not in after):
            removed[path] = gone
        differing = {
            name: values
            for name in before.keys() & after.keys()
            if (values := _differing(before[name], after[name]))
        }
        if differing:
            changed[path] = differing
    return Difference(_sorted(added), dict(sorted(removed.items())), _sorted(changed))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def _sorted(tree: Tree) -> Tree:
    """Order by path, so that the same change always gives the same order of signals."""
    return dict(sorted(tree.items()))
