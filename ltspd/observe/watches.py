"""The directories to watch, and the names in them that matter."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ltspd.image.source.find import ROOT_DIRECTORIES, may_become_sources
from ltspd.migration import leftovers
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths

# In dpkg's directory, this file changes with the packages.
PACKAGES = frozenset({"status"})


class Watch(NamedTuple):
    """A directory and the names that matter in it (None: any). A new ``inode`` needs a new watch."""

    directory: Path
    names: frozenset[str] | None
    inode: tuple[int, int]


def wanted(paths: Paths, sources: Iterable[Source]) -> tuple[Watch, ...]:
    """Return what to watch while these are the sources of images."""
    found = []
    for directory, names in (*_directories(paths), *map(_of_source, sources)):
        while True:
            try:
                stat = os.stat(directory)
            except OSError:
                # It does not exist, so watch for it in the nearest directory above.
                directory, names = directory.parent, frozenset({directory.name})
                continue
            found.append(Watch(directory, names, (stat.st_dev, stat.st_ino)))
            break
    return tuple(found)


def _directories(paths: Paths) -> Iterator[tuple[Path, frozenset[str] | None]]:
    yield paths.etc, None
    yield (
        paths.at("/etc"),
        frozenset(
            {
                "passwd",
                "group",
                "shadow",
                "nsswitch.conf",
                "login.defs",
                "resolv.conf",
                "hostname",
                "ltsp",
                "exports",
            }
        ),
    )
    yield paths.at("/etc/epoptes"), frozenset({"server.crt"})
    yield paths.at("/run/systemd/resolve"), frozenset({"resolv.conf"})
    yield paths.at("/run/NetworkManager"), frozenset({"resolv.conf", "no-stub-resolv.conf"})
    yield paths.at("/var/lib/dpkg"), PACKAGES
    yield paths.base_dir, None
    yield paths.outputs, None
    # A set-up that nobody has confirmed is undone without us.
    yield paths.state, frozenset({"setup.json"})
    yield from ((paths.at(each), names) for each, names in leftovers.DIRECTORIES.items())
    yield paths.tftp_dir, frozenset({"ltsp.ipxe", "ltsp.img", "nbd.img"})
    # A directory is often made first, and a system is installed into it later.
    yield from ((each, frozenset(ROOT_DIRECTORIES)) for each in may_become_sources(paths))


def _of_source(source: Source) -> tuple[Path, frozenset[str]]:
    if source.kind is SourceKind.DISK:
        # The name in the base directory may be a link to the disk image.
        file = Path(os.path.realpath(source.path))
        return file.parent, frozenset({file.name})
    return Path(source.path) / "var/lib/dpkg", PACKAGES
