"""Answers to the standard interfaces (Properties, Introspectable) from a tree; no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from ltspd.api import packing
from ltspd.api.contract import Interface, Method, contract
from ltspd.api.introspection import INTROSPECTABLE, PROPERTIES, introspect, standard
from ltspd.api.introspection import interface_names as names_at
from ltspd.api.refusal import Refusal
from ltspd.api.tree import Tree

# How much of a caller's own words an error repeats.
SHOWN = 100


def resolve(tree: Tree, path: str, interface: str | None, member: str, signature: str) -> tuple[str, Method]:
    """Return the interface and method that a call means; raises Refusal.

    A call may leave the interface out; then the first interface of the object with such a method is meant.
    """
    here = names_at(tree, path)
    if not here:
        raise Refusal("UnknownObject", f"There is no object at {path[:SHOWN]}.")
    known = {**standard(), **contract()}
    if interface is not None and interface not in here:
        raise Refusal("UnknownInterface", f"{path[:SHOWN]} has no interface {interface[:SHOWN]}.")
    candidates = here if interface is None else (interface,)
    for name in candidates:
        if method := known[name].methods.get(member):
            break
    else:
        raise Refusal("UnknownMethod", f"There is no method {member[:SHOWN]} at {path[:SHOWN]}.")
    if signature != method.in_signature:
        raise Refusal(
            "InvalidArgs",
            f"{name}.{member} takes arguments of type '{method.in_signature}', not '{signature}'.",
        )
    return name, method


def answer(tree: Tree, path: str, interface: str, member: str, body: Sequence[Any]) -> list[Any]:
    """Return the out-arguments of a standard method, Peer's and ObjectManager's apart; raises Refusal.

    Variants are ``(signature, value)``, as ``ltspd.dbus.wire`` writes them.
    """
    match interface, member:
        case (str(name), "Introspect") if name == INTROSPECTABLE:
            return [introspect(tree, path, contract())]
        case (str(name), "Get") if name == PROPERTIES:
            owner, have = _interface(tree, path, body[0])
            _check(owner, body[1])
            return [packing.typed(owner, {body[1]: have[body[1]]})[body[1]]]
        case (str(name), "GetAll") if name == PROPERTIES:
            if body[0] in standard() and body[0] in names_at(tree, path):
                return [{}]  # the standard interfaces have no properties
            return [packing.typed(*_interface(tree, path, body[0]))]
        case (str(name), "Set") if name == PROPERTIES:
            owner, _ = _interface(tree, path, body[0])
            _check(owner, body[1])
            raise Refusal("PropertyReadOnly", f"{owner.name}.{body[1]} can't be set; use the methods.")
    raise Refusal("UnknownMethod", f"{interface}.{member} is not served.")


def _interface(tree: Tree, path: str, name: str) -> tuple[Interface, Mapping[str, Any]]:
    """Return an interface of the object and its values; an empty name means the only one there is."""
    have = tree[path]
    if name == "":
        name = next(iter(have))
    if name not in have:
        raise Refusal("UnknownInterface", f"{path[:SHOWN]} has no properties of {name[:SHOWN]!r}.")
    return contract()[name], have[name]


def _check(interface: Interface, name: str) -> None:
    if name not in interface.properties:
        raise Refusal("UnknownProperty", f"{interface.name} has no property {name[:SHOWN]!r}.")
