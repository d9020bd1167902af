"""Finding what images can be built from, and turning a caller's word into one of those.

A disk image is known by its name here; whether it can be read, and what is in it, is found out when it is
opened.
"""

import os
import platform
import re
from dataclasses import replace
from pathlib import Path

from ltspd.disk import words
from ltspd.errors import InvalidName, InvalidOption, NoSuchSource
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STORE = "images"
# How LTSP tells a disk image in the base directory, whatever format it has.
DISK = ".img"
# A directory with one of these in it is a system.
ROOT_DIRECTORIES = ("usr", "bin", "etc")


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
    """Return every source on disk, by name: chroots and disk images in the base directory, and ``/`` itself.

    One that is named like the architecture takes the place of ``/``, as it does in LTSP, and a chroot that
    of a disk image. A disk image may be a link to a file elsewhere.
    """
    try:
        entries = sorted(paths.base_dir.iterdir())
    except OSError:
        entries = []
    chroots = [each for each in entries if _is_root(each)]
    found = {each.stem: Source(each.stem, SourceKind.DISK, str(each)) for each in entries if _is_disk(each)}
    found |= {each.name: Source(each.name, SourceKind.DIRECTORY, str(each)) for each in chroots}
    name = architecture_name()
    if name not in found and _has_root_directories(paths.root):
        found[name] = Source(name, SourceKind.ROOT, str(paths.root))
    return tuple(found[each] for each in sorted(found))


def resolve(paths: Paths, word: str) -> Source:
    """Return the source that a word stands for: ``/``, an image's name, or a disk image's absolute path.

    LTSP's notation with options after commas is read too. Names are looked up among what was found, never
    joined to a path. Raises InvalidName, InvalidOption, NoSuchSource.
    """
    asked = words.parse(word)
    found = _on_path(paths, asked.image) if words.is_path(asked.image) else _named(paths, asked.image)
    if asked.partition and found.kind is not SourceKind.DISK:
        raise InvalidOption(f"{asked.image!r} has no partitions to choose from: it is not a disk image.")
    return replace(found, partition=asked.partition)


def _named(paths: Paths, name: str) -> Source:
    sources = find_sources(paths)
    if name == "/":
        match = next((each for each in sources if each.kind is SourceKind.ROOT), None)
        if match is not None:
            return match
        shadow = next(each for each in sources if each.name == architecture_name())
        raise NoSuchSource(
            f"'/' can't be built: {shadow.path} has its name. Build {shadow.name!r}, or rename that."
        )
    valid_name(name)
    match = next((each for each in sources if each.name == name), None)
    if match is None:
        known = ", ".join(each.name for each in sources) or "none"
        raise NoSuchSource(
            f"There is nothing to build {name!r} from: {paths.base_dir / name} is not a directory with a "
            f"system in it (usr, bin or etc), and {name}{DISK} there is no disk image. "
            f"Sources found: {known}. Install a system there first, or build '/' to use this server's own."
        )
    return match


def _on_path(paths: Paths, path: str) -> Source:
    """Return the source at a path: one in the base directory by its name there, any other is a disk image."""
    if not path.startswith("/"):
        raise InvalidName(f"{path!r} is neither a name nor an absolute path.")
    normal = os.path.normpath(path)
    sources = find_sources(paths)
    if match := next((each for each in sources if each.path == normal), None):
        return match
    name = words.image_name(normal)
    if not is_valid_name(name):
        raise InvalidName(
            f"{path!r} would be an image called {name!r}, which can't be. "
            f"Make a link to it: {paths.base_dir}/NAME{DISK}, and build NAME."
        )
    if other := next((each for each in sources if each.name == name), None):
        raise InvalidName(
            f"{path!r} would be an image called {name!r}, which {other.path} is the source of. Rename one."
        )
    file = Path(normal)
    if file.is_dir():
        raise NoSuchSource(
            f"{path!r} is a directory. Systems in directories are built where they are only below "
            f"{paths.base_dir}: put it there as {paths.base_dir / name}, and build {name!r}."
        )
    if not file.is_file():
        raise NoSuchSource(f"There is no disk image {path!r}, or it is not a file.")
    return Source(name, SourceKind.DISK, normal)


def _is_disk(path: Path) -> bool:
    return path.name.endswith(DISK) and is_valid_name(path.stem) and path.is_file()


def may_become_sources(paths: Paths) -> tuple[Path, ...]:
    """Return the directories that would be chroots if there were a system in them."""
    try:
        entries = sorted(paths.base_dir.iterdir())
    except OSError:
        return ()
    return tuple(each for each in entries if _may_be_root(each) and not _has_root_directories(each))


def _is_root(path: Path) -> bool:
    return _may_be_root(path) and _has_root_directories(path)


def _may_be_root(path: Path) -> bool:
    return is_valid_name(path.name) and not path.is_symlink() and path.is_dir()


def _has_root_directories(path: Path) -> bool:
    return any((path / each).is_dir() for each in ROOT_DIRECTORIES)
