"""The interface as a whole: all its nouns, and the objects on the bus that a state makes of them."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from ltspd.api import client, gateway, image, job, link, listener, manager, output
from ltspd.api.noun import Noun, Tree
from ltspd.model.state import State

NOUNS: tuple[Noun[Any], ...] = (
    manager.NOUN,
    gateway.NOUN,
    listener.NOUN,
    image.NOUN,
    link.NOUN,
    client.NOUN,
    output.NOUN,
    job.NOUN,
)


class Core(manager.Core, gateway.Core, listener.Core, image.Core, output.Core, job.Core, Protocol):
    """The daemon as all methods together need it."""


@cache
def contract() -> Mapping[str, Noun[Any]]:
    """Return the nouns by the names of their interfaces."""
    return {each.name: each for each in NOUNS}


def tree(state: State, before: tuple[State, Tree] | None = None) -> Tree:
    """Return all objects of a state; sequences are tuples, so that equal states give equal trees.

    What a noun of ``before`` gave, the same noun gives again, as the same mapping: with hundreds of
    clients almost nothing changes from one state to the next.
    """
    old, known = before if before is not None else (State(""), {})
    found: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    for noun in NOUNS:
        # Both states are alive, so that no two of their objects share an id.
        unchanged = {id(each) for each in noun.objects(old)}
        for each in noun.objects(state):
            path = noun.path(each)
            if id(each) in unchanged:
                found[path] = known[path]
            else:
                found[path] = {**found.get(path, {}), noun.name: noun.values(each)}
    return found
