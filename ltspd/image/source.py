"""Finding what images can be built from, and turning a caller's word into one of those."""

import platform
import re
from pathlib import Path

from ltspd.errors import InvalidName, NoSuchSource
from ltspd.model import Source, SourceKind
from ltspd.paths import Paths

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STORE = "images"


def is_valid_name(name: str) -> bool:
    """Return whether a name is safe in paths, URLs, menus and shell words."""
    return bool(_NAME.fullmatch(name)) and name != STORE


def valid_name(name: str) -> str:
    """Return the name if it is valid; raises InvalidName that says what would be."""
    if not is_valid_name(name):
        raise InvalidName(
            f"{name!r} can't be an image name: use 1 to 64 letters, digits, dots, underscores and dashes, "
            f"begin with a letter or digit, and don't use {STORE!r}, which is the store itself."
        )
    return name


def architecture_name(machine: str = "") -> str:
    """Return the image name of ``/`` as LTSP has it: ``uname -m``, any 32-bit x86 being x86_32."""
    machine = machine or platform.machine()
    return "x86_32" if machine.endswith("86") else machine


def find_sources(paths: Paths) -> tuple[Source, ...]:
    """Return every source on disk, by name: chroots below the base directory, and ``/`` itself.

    A chroot named like the architecture takes the place of ``/``, as it does in LTSP.
    """
    try:
        entries = sorted(paths.base_dir.iterdir())
    except OSError:
        entries = []
    chroots = [each for each in entries if _is_root(each)]
    found = {each.name: Source(each.name, SourceKind.DIRECTORY, str(each)) for each in chroots}
    name = architecture_name()
    if name not in found and _has_root_directories(paths.root):
        found[name] = Source(name, SourceKind.ROOT, str(paths.root))
    return tuple(found[each] for each in sorted(found))


def resolve(paths: Paths, name: str) -> Source:
    """Return the source that ``/`` or an image name stands for; raises InvalidName, NoSuchSource.

    The name is looked up among what was found, never joined to a path.
    """
    sources = find_sources(paths)
    if name == "/":
        match = next((each for each in sources if each.kind is SourceKind.ROOT), None)
        if match is not None:
            return match
        shadow = paths.base_dir / architecture_name()
        raise NoSuchSource(
            f"'/' can't be built: the chroot {shadow} has its name. "
            f"Build {shadow.name!r}, or rename the chroot."
        )
    valid_name(name)
    match = next((each for each in sources if each.name == name), None)
    if match is None:
        known = ", ".join(each.name for each in sources) or "none"
        raise NoSuchSource(
            f"There is nothing to build {name!r} from: {paths.base_dir / name} is not a directory with a "
            f"system in it (usr, bin or etc). Sources found: {known}. Install a system there first, or "
            "build '/' to use this server's own."
        )
    return match


def _is_root(path: Path) -> bool:
    return (
        is_valid_name(path.name) and not path.is_symlink() and path.is_dir() and _has_root_directories(path)
    )


def _has_root_directories(path: Path) -> bool:
    return any((path / each).is_dir() for each in ("usr", "bin", "etc"))
