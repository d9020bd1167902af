"""The nouns of ``ltspctl``, one module for each subject. A new module here is found by itself.

Each has ``NOUNS``: the rows of the grammar, with the functions that run the commands and print the answers.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ltspd.cli import grammar
from ltspd.cli.grammar import Command, Noun


@cache
def nouns() -> Mapping[str, Noun]:
    """Return all nouns by name, in the order of their places."""
    # Not by pkgutil, whose import takes longer than that of all our modules together.
    files = (name.partition(".") for path in __path__ for name in os.listdir(path))
    modules = {stem for stem, _, ending in files if ending == "py" and stem != "__init__"}
    found: list[Noun] = []
    for each in modules:
        found += import_module(f"{__name__}.{each}").NOUNS
    return {each.name: each for each in sorted(found, key=lambda noun: noun.place)}


@cache
def commands() -> tuple[Command, ...]:
    """Return the commands of all nouns, in the order of the help."""
    return grammar.commands(nouns().values())


def names() -> Mapping[str, Callable[[Any, str], list[str]]]:
    """Return what tells the names of each kind that a shell can offer."""
    return {kind: names for noun in nouns().values() for kind, names in noun.names.items()}
