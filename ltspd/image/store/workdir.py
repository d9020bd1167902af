"""The directory in which a generation is made, and the sealing of what was packed there."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ltspd.image.context import Workdir
from ltspd.image.store.removal import discard_empty
from ltspd.model.image import Layer

# For nobody but the daemon, until it is published.
PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600


@contextmanager
def made(work: Workdir) -> Iterator[None]:
    """Make a work directory in an image's store, and remove it with all that is in it at the end.

    NFS exports the store and TFTP links to it, so that all can read there. What is being made was not looked
    at yet and may hold secrets: only its owner may enter the directory. It is not outside the store, because
    publishing is a rename, and the store may be a file system of its own.
    """
    work.home.parent.mkdir(parents=True, exist_ok=True)
    for each in (work.home, work.layers, work.generation, work.scratch):
        each.mkdir(PRIVATE_DIRECTORY)
    try:
        yield
    finally:
        work.ended.set()
        shutil.rmtree(work.home, ignore_errors=True)
        discard_empty(work.home.parent)


def seal(
    packed: Path, stopped: Callable[[], bool], progress: Callable[[float], None] = lambda _fraction: None
) -> Layer:
    """Give a packed layer its name, the digest of its content, and return it. Blocks; raises OSError."""
    digest = hashlib.sha256()
    size, done = packed.stat().st_size, 0
    with open(packed, "rb", buffering=0) as file:
        while (piece := file.read(1 << 20)) and not stopped():
            digest.update(piece)
            done += len(piece)
            progress(done / size)
    layer = Layer(digest.hexdigest(), size)
    packed.chmod(PRIVATE_FILE)
    packed.rename(packed.with_name(layer.file_name))
    return layer
