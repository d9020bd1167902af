"""Wake-ups from the file system. An event only wakes a pass; the pass reads the files itself."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)

# Directories, not files: editors and package tools replace files by rename.
MASK = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.CREATE | flags.DELETE | flags.ATTRIB


def watch(
    directories: Iterable[tuple[Path, frozenset[str] | None]], wake: Callable[[], None]
) -> Callable[[], None]:
    """Call ``wake`` when a named file (None: any) of a directory may have changed.

    Directories that don't exist are left out. Returns the function that ends the watches.
    """
    inotify = INotify(nonblocking=True)
    names: dict[int, frozenset[str] | None] = {}
    for directory, wanted in directories:
        try:
            watched = inotify.add_watch(str(directory), MASK)
        except OSError as error:
            log.info("%s is not watched: %s", directory, error.strerror)
            continue
        # The kernel has one watch for each directory, also if several are added.
        before = names.get(watched, frozenset())
        names[watched] = None if wanted is None or before is None else before | wanted
    loop = asyncio.get_running_loop()

    def readable() -> None:
        interesting = False
        for event in inotify.read(timeout=0):
            wanted = names.get(event.wd)
            # An overflow has no watch (wd -1): events were lost, so wake. Hidden files are temporary ones,
            # our own included: a write that fails must not wake us again.
            named = event.name in wanted if wanted is not None else not event.name.startswith(".")
            interesting |= event.wd not in names or named
        if interesting:
            wake()

    loop.add_reader(inotify.fileno(), readable)

    def close() -> None:
        loop.remove_reader(inotify.fileno())
        inotify.close()

    return close
