"""Which layers clients are reading now, seen from the server programs' open files. Reads /proc only."""

import os
import re
from pathlib import Path

from ltspd.model.image import Image
from ltspd.paths import Paths

# Kernel NFS server: one directory a client, and in "states" one line an open file (Linux 5.3).
_NFSD_CLIENTS = "/proc/fs/nfsd/clients"


def layers_in_use(paths: Paths) -> frozenset[str]:
    """Return the digests of layers that some process, or the kernel's NFS server, holds open.

    nbd-server has a process with the file open for each connection, and NFS 4 keeps the file that a
    client's loop device reads open for as long as it is mounted. A client whose root is in RAM needs
    nothing from us any more and is not seen. Blocks; some 10 ms for 200 processes.
    """
    layer = re.compile(re.escape(str(paths.images)) + r"/[^/]+/layers/([0-9a-f]+)\.squashfs(?: \(deleted\))?")
    found = set()
    for process in paths.at("/proc").glob("[0-9]*/fd"):
        try:
            names = os.listdir(process)
        except OSError:
            continue  # ended meanwhile, or not ours to look at
        for name in names:
            try:
                if match := layer.fullmatch(os.readlink(process / name)):
                    found.add(match[1])
            except OSError:
                continue
    return frozenset(found | _kernel_opens(paths.at(_NFSD_CLIENTS)))


def _kernel_opens(clients: Path) -> set[str]:
    found = set()
    for states in clients.glob("*/states"):
        try:
            text = states.read_text(errors="replace")
        except OSError:
            continue
        found.update(re.findall(r"/([0-9a-f]{64})\.squashfs", text))
    return found


def generations_in_use(image: Image, layers: frozenset[str]) -> frozenset[str]:
    """Return the ids of an image's generations of which a client may be reading.

    A layer that several generations share says only that one of them is in use, so all count that
    have their own topmost layer open; the others' layers stay on disk as long as those do.
    """
    return frozenset(
        generation.id
        for generation in image.generations
        if generation.layers and generation.layers[-1].digest in layers
    )
