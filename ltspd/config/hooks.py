"""Hooks: PRE_x and POST_x of one of LTSP's applets, whose values clients run as commands. Pure.

LTSP runs them before and after one of its commands. Here a client has the moments that MOMENTS names.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ltspd.config.document import Assignment

# When the hooks of an applet run: those of PRE_x, and those of POST_x.
MOMENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "INITRD_BOTTOM": (
            "in the initrd, before the root is mounted",
            "in the initrd, when the root is mounted at $rootmnt",
        ),
        "INIT": (
            "in the client's root, before it is set up; what they set counts for that",
            "in the client's root, when it is set up, before its own init",
        ),
        "SERVICE": ("when the client has booted and has a network, as root", "after those of PRE_SERVICE"),
        "LOGIN": (
            "as root, before the first session of a person, whose name is $USER",
            "as root, after the last session of a person",
        ),
        "SESSION": (
            "as the person, before the first session; the home is there",
            "as the person, after the last session",
        ),
    }
)
# The same as --applet and headers such as [init/pc01] have them.
PARTS = tuple(name.lower().replace("_", "-") for name in MOMENTS)
_SERVER = "it is of a command of the server, where ltsp.conf is never run"
_COMMAND = (_SERVER, "take it out; a unit of systemd can run the commands")
# Applets without such a moment, and why.
WITHOUT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "IMAGE": (_SERVER, "put the commands into the source of the image, or a script beside your build"),
        "REMOTEAPPS": ("no command of that name runs on clients", "take it out"),
        **dict.fromkeys(("DNSMASQ", "HTTP", "INFO", "INITRD", "IPXE", "KERNEL", "NFS"), _COMMAND),
    }
)
_HOOK = re.compile(r"(?P<when>PRE|POST)_(?P<rest>[A-Z].*)")
_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Hook(NamedTuple):
    """``applet`` as in MOMENTS or WITHOUT; empty: the name is of none. ``after``: POST, not PRE."""

    applet: str
    after: bool


def hook(name: str) -> Hook | None:
    """Return what a parameter's name says; None: it is no hook."""
    found = _HOOK.fullmatch(name)
    if found is None:
        return None
    rest = found["rest"]
    # INITRD_BOTTOM before INITRD.
    known = (*MOMENTS, *sorted(WITHOUT, key=len, reverse=True))
    applet = next((each for each in known if rest.startswith(f"{each}_")), "")
    return Hook(applet, found["when"] == "POST")


def names_in(entry: Assignment) -> Iterator[str]:
    """Yield what the commands of a hook may name: variables and functions."""
    for part in entry.parts:
        if isinstance(part, str):
            yield from _NAMES.findall(part)
