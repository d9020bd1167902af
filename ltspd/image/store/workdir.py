"""The directory in which a generation is made, the names in it, and sealing what was made there."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltspd.image.store import manifest, store
from ltspd.model.image import Layer
from ltspd.paths import Paths

# For nobody but the daemon, until it is published.
PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Workshop:
    """A work directory of one build or fold; its threads stop soon after ``ended`` is set."""

    home: Path
    ended: threading.Event

    @property
    def layers(self) -> Path:
        """Where new layers are packed, and get their names when sealed."""
        return self.home / "layers"

    @property
    def generation(self) -> Path:
        """What will be the generation's directory."""
        return self.home / "generation"

    @property
    def scratch(self) -> Path:
        """What nobody needs afterwards."""
        return self.home / "scratch"

    @property
    def spool(self) -> Path:
        """What changed, as a tar file."""
        return self.scratch / "changes.tar"


@contextmanager
def workshop(paths: Paths, image: str, prefix: str = store.WORK_PREFIX) -> Iterator[Workshop]:
    """Make a work directory in the image's store and remove it with all that is in it at the end.

    NFS exports the store and TFTP links to it, so that all can read there. What is being made was not looked
    at yet and may hold secrets: only its owner may enter the directory. It is not outside the store, because
    publishing is a rename, and the store may be a file system of its own.
    """
    made = Workshop(paths.images / image / f"{prefix}{os.getpid()}-{time.time_ns():x}", threading.Event())
    made.home.parent.mkdir(parents=True, exist_ok=True)
    for each in (made.home, made.layers, made.generation, made.scratch):
        each.mkdir(PRIVATE_DIRECTORY)
    try:
        yield made
    finally:
        made.ended.set()
        shutil.rmtree(made.home, ignore_errors=True)
        store.discard_empty(paths, image)


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


def moment(paths: Paths, image: str) -> float:
    """Return now in seconds since the epoch, but later than any generation: they are in order of time.

    Clocks are set back: by NTP, by hand, by a battery that is empty. Blocks.
    """
    images, _ = store.read_images(paths)
    built = (each.created for found in images if found.name == image for each in found.generations)
    return max(time.time(), max(built, default=0.0) + 0.001)


def new_identity(paths: Paths, image: str, now: float, digest: str) -> str:
    """Return a free generation id: UTC stamp and the start of a digest, that of its topmost layer."""
    while True:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        identity = f"{stamp}-{digest[:8]}"
        if not (paths.images / image / "generations" / identity).exists():
            return identity
        now += 1


def write(work: Workshop, record: manifest.Manifest, initrd: bytes, table: bytes) -> None:
    """Write the files of a generation but for the kernel. Blocks; raises OSError."""
    lines = "".join(f"{layer.digest} {layer.size}\n" for layer in record.generation.layers)
    (work.generation / "initrd.img").write_bytes(initrd)
    (work.generation / "layers").write_text(lines, "ascii")
    (work.generation / store.ENTRIES).write_bytes(table)
    (work.generation / "manifest.json").write_text(manifest.to_text(record), "utf-8")
    for name in (*store.GENERATION_FILES, store.ENTRIES):
        (work.generation / name).chmod(PRIVATE_FILE)
