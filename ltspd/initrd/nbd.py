"""The add-on initrd nbd.img: our own nbd-client, a static program, for clients whose root comes by NBD.

Only those load it. Reads below the given root only and starts no program of it.
"""

import asyncio
from pathlib import Path

from ltspd.errors import LtspError
from ltspd.foreign import read
from ltspd.initrd import boot, cpio

# Made of nbd/nbd-client.c when ltspd is installed.
PROGRAM = "usr/lib/ltspd/nbd-client"
# Where the boot initrd of every generation, however old, looks for it.
_PLACE = "ltsp/nbd/bin/nbd-client"


async def make_nbd_initrd(root: Path = Path("/")) -> bytes:
    """Return nbd.img, made of the program of the system below ``root`` (the server itself).

    Raises LtspError if it is missing there, ToolFailed.
    """
    program = await asyncio.to_thread(read.read_whole, root, PROGRAM)
    if program is None:
        raise LtspError(f"{root / PROGRAM} is missing: reinstall ltspd.")
    return cpio.aligned(await boot.compress(cpio.archive([cpio.file(_PLACE, program, 0o755)])))
