"""The layers that clients are reading, by the server programs' open files. Reads /proc only."""

import os
import re
from pathlib import Path

from ltspd.model.image import Image
from ltspd.paths import Paths

# The kernel's NFS server has a directory for each client, whose "states" lists its open files (Linux 5.3).
_NFSD_CLIENTS = "/proc/fs/nfsd/clients"


def layers_in_use(paths: Paths) -> frozenset[str]:
    """Return the digests of layers that some process, or the kernel's NFS server, holds open.

    For each connection an nbd-server process has the file open, and NFS 4 keeps a file open while a client's
    loop device reads it. A client with its root in memory needs no layer any more. Blocks; some 10 ms for 200
    processes.
    """
    layer = re.compile(re.escape(str(paths.images)) + r"/[^/]+/layers/([0-9a-f]+)\.squashfs(?: \(deleted\))?")
    found = set()
    for process in paths.at("/proc").glob("[0-9]*/fd"):
        try:
            names = os.listdir(process)
        except OSError:
            continue  # it ended meanwhile, or may not be read
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
    """Return the ids of an image's generations that clients may be reading.

    Several generations share their lower layers, so only an open topmost layer counts. The layers below it
    stay on disk with its generation.
    """
    return frozenset(
        generation.id
        for generation in image.generations
        if generation.layers and generation.layers[-1].digest in layers
    )
