"""Plain values → what dbus-next marshals: lists for tuples, Variant for Typed."""

from collections.abc import Mapping
from typing import Any

from dbus_next import Variant

from ltspd.api.tree import Typed


def plain(value: Any) -> Any:
    """Turn a value of the tree into what dbus-next takes for it.

    Text that isn't valid Unicode (a file name with other bytes in it) is shown with replacement
    characters: one odd name must not make every reply impossible.
    """
    match value:
        case Typed(signature, inner):
            return Variant(signature, plain(inner))
        case str():
            return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        case Mapping():
            return {plain(key): plain(each) for key, each in value.items()}
        case tuple() | list():
            return [plain(each) for each in value]
        case _:
            return value
