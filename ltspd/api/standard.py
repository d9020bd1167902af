"""The interfaces that the D-Bus specification defines, and answers to most of their calls; no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from ltspd.api import packing
from ltspd.api.contract import contract
from ltspd.api.introspection import introspect
from ltspd.api.noun import Interface, Method, Refusal, Signal, Standard, Tree, signature
from ltspd.names import ROOT_PATH

PEER = "org.freedesktop.DBus.Peer"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

STANDARD: Mapping[str, Interface[Any]] = {
    each.name: each
    for each in (
        Interface[Any](name=PEER, methods=(Standard("Ping"), Standard("GetMachineId", "", "s machine_uuid"))),
        Interface[Any](name=INTROSPECTABLE, methods=(Standard("Introspect", "", "s xml_data"),)),
        Interface[Any](
            name=PROPERTIES,
            methods=(
                Standard("Get", "s interface_name, s property_name", "v value"),
                Standard("GetAll", "s interface_name", "a{sv} props"),
                Standard("Set", "s interface_name, s property_name, v value"),
            ),
            signals=(
                Signal(
                    "PropertiesChanged",
                    "s interface_name, a{sv} changed_properties, as invalidated_properties",
                    "",
                ),
            ),
        ),
        Interface[Any](
            name=OBJECT_MANAGER,
            methods=(Standard("GetManagedObjects", "", "a{oa{sa{sv}}} objpath_interfaces_and_properties"),),
            signals=(
                Signal("InterfacesAdded", "o object_path, a{sa{sv}} interfaces_and_properties", ""),
                Signal("InterfacesRemoved", "o object_path, as interfaces", ""),
            ),
        ),
    )
}

# How much of a caller's own words an error repeats.
SHOWN = 100


def interface_names(tree: Tree, path: str) -> tuple[str, ...]:
    """Return the interfaces of a path; empty if there is neither an object nor one below it."""
    if path in tree:
        manager = (OBJECT_MANAGER,) if path == ROOT_PATH else ()
        return (PEER, INTROSPECTABLE, PROPERTIES, *manager, *tree[path])
    prefix = path.rstrip("/") + "/"
    return (PEER, INTROSPECTABLE) if any(each.startswith(prefix) for each in tree) else ()


def known(name: str) -> Interface[Any]:
    """Return an interface, ours or a standard one."""
    return STANDARD.get(name) or contract()[name]


def resolve(
    tree: Tree, path: str, interface: str | None, member: str, given: str
) -> tuple[str, Method[Any] | Standard]:
    """Return the interface and method that a call with a ``given`` signature means; raises Refusal.

    A call may leave the interface out; then the first interface of the object with such a method is meant.
    """
    here = interface_names(tree, path)
    if not here:
        raise Refusal("UnknownObject", f"There is no object at {path[:SHOWN]}.")
    if interface is not None and interface not in here:
        raise Refusal("UnknownInterface", f"{path[:SHOWN]} has no interface {interface[:SHOWN]}.")
    candidates = here if interface is None else (interface,)
    for name in candidates:
        if method := known(name).calls.get(member):
            break
    else:
        raise Refusal("UnknownMethod", f"There is no method {member[:SHOWN]} at {path[:SHOWN]}.")
    if given != (wanted := signature(method.inputs)):
        raise Refusal("InvalidArgs", f"{name}.{member} takes arguments of type '{wanted}', not '{given}'.")
    return name, method


def answer(tree: Tree, path: str, interface: str, member: str, body: Sequence[Any]) -> list[Any]:
    """Return the out-arguments of a standard method, Peer's and ObjectManager's apart; raises Refusal.

    Variants are ``(signature, value)``, as ``ltspd.dbus.wire`` writes them.
    """
    match interface, member:
        case (str(name), "Introspect") if name == INTROSPECTABLE:
            return [introspect(tree, path, map(known, interface_names(tree, path)))]
        case (str(name), "Get") if name == PROPERTIES:
            owner, have = _interface(tree, path, body[0])
            _check(owner, body[1])
            return [packing.typed(owner, {body[1]: have[body[1]]})[body[1]]]
        case (str(name), "GetAll") if name == PROPERTIES:
            if body[0] in STANDARD and body[0] in interface_names(tree, path):
                return [{}]  # the standard interfaces have no properties
            return [packing.typed(*_interface(tree, path, body[0]))]
        case (str(name), "Set") if name == PROPERTIES:
            owner, _ = _interface(tree, path, body[0])
            _check(owner, body[1])
            raise Refusal("PropertyReadOnly", f"{owner.name}.{body[1]} can't be set; use the methods.")
    raise Refusal("UnknownMethod", f"{interface}.{member} is not served.")


def _interface(tree: Tree, path: str, name: str) -> tuple[Interface[Any], Mapping[str, Any]]:
    """Return an interface of the object and its values; an empty name means the only one there is."""
    have = tree[path]
    if name == "":
        name = next(iter(have))
    if name not in have:
        raise Refusal("UnknownInterface", f"{path[:SHOWN]} has no properties of {name[:SHOWN]!r}.")
    return contract()[name], have[name]


def _check(interface: Interface[Any], name: str) -> None:
    if name not in interface.by_name:
        raise Refusal("UnknownProperty", f"{interface.name} has no property {name[:SHOWN]!r}.")
