"""Where people's homes are in a source, by its own list of accounts."""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from ltspd.foreign.inside import path_inside, read_inside
from ltspd.image.source.clean import FIRST_PERSON, LAST_PERSON, LAST_RESERVED
from ltspd.image.source.excludes import literal

# These directories belong to the system, even if passwd calls one a home. /home itself is in the list of
# excludes, where the administrator can change that.
_SYSTEM = """
    bin boot dev etc home lib lib32 lib64 libx32 nonexistent proc root run sbin sys usr
    var/cache var/lib var/log var/opt var/spool var/www
""".split()  # noqa: SIM905
# A home may lie in one of these, but they are no homes themselves.
_SHARED = frozenset("opt srv var media mnt tmp var/tmp var/local var/home export data".split())  # noqa: SIM905
# If a directory has this many homes, all that is in it are homes.
_MANY = 3
_RANGE = re.compile(rb"^\s*UID_(MIN|MAX)\s+(\d+)\s*$", re.MULTILINE)


def patterns(root: Path) -> dict[str, str]:
    """Return excludes for what is in people's homes, each with the reason. Blocks."""
    passwd = read_inside(root, "etc/passwd") or b""
    found: dict[bytes, str] = {}
    together: dict[bytes, list[bytes]] = {}
    for name, home in people(passwd, read_inside(root, "etc/login.defs") or b""):
        for place in _places(root, home):
            found[place] = f"passwd says that it is the home of {name.decode('utf-8', 'backslashreplace')}"
            together.setdefault(place.rpartition(b"/")[0], []).append(place)
    for parent, places in together.items():
        # The others there are homes, too, of people that a directory service knows.
        if len(places) >= _MANY and _may_be_home(os.fsdecode(parent)):
            for place in places:
                found.pop(place, None)
            found[parent] = "passwd says that people's homes are there"
    return {f"{literal(place)}/{each}": why for place, why in found.items() for each in ("*", ".*")}


def people(passwd: bytes, definitions: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and home of each person: who has a number between UID_MIN and UID_MAX of login.defs.

    Numbers above all that distributions give to packages come from directory services, and are people's.
    """
    limits = {each[1]: int(each[2]) for each in _RANGE.finditer(definitions)}
    first, last = limits.get(b"MIN", FIRST_PERSON), limits.get(b"MAX", LAST_PERSON)
    for line in passwd.split(b"\n"):
        fields = line.split(b":")
        if len(fields) < 7 or not fields[2].isdigit():
            continue
        if first <= int(fields[2]) <= last or int(fields[2]) > LAST_RESERVED:
            yield fields[0], fields[5]


def _places(root: Path, home: bytes) -> Iterator[bytes]:
    """Yield where a home is below the root, by its name and really, if that can be a home."""
    if not home.startswith(b"/"):
        return
    named = posixpath.normpath(b"/" + home.lstrip(b"/")).lstrip(b"/")
    real = path_inside(root, os.fsdecode(named)) if named else None
    if real is None or not real.is_dir():
        return
    top = os.fsencode(os.path.realpath(root)).rstrip(b"/") + b"/"
    inside = os.fsencode(os.path.realpath(real))
    for place in dict.fromkeys((named, inside.removeprefix(top) if inside.startswith(top) else b"")):
        if _may_be_home(place.decode("utf-8", "surrogateescape")):
            yield place


def _may_be_home(place: str) -> bool:
    if not place or place in _SHARED:
        return False
    return not any(
        place == each or place.startswith(each + "/") or each.startswith(place + "/") for each in _SYSTEM
    )
