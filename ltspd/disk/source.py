"""Sources as directories to read: a disk image is opened, other sources are directories already."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ltspd.disk import use
from ltspd.disk.opening import OPEN_SECONDS, open_disk
from ltspd.errors import BadDisk, Busy, LtspError, ToolFailed
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths

log = logging.getLogger(__name__)


@asynccontextmanager
async def readable(paths: Paths, source: Source, seconds: float = OPEN_SECONDS) -> AsyncIterator[Source]:
    """Yield a source whose path is a directory. A disk image is open meanwhile, which needs root.

    ``seconds`` is the most that opening may take. Raises Busy if something writes to the disk, and the errors
    of ``open_disk``. Errors of the body name the disk, not the directory that shows it.
    """
    if source.kind is not SourceKind.DISK:
        yield source
        return
    file = Path(source.path)
    stamp = await asyncio.to_thread(_stamp, file)
    async with open_disk(paths, file, partition=source.partition, seconds=seconds) as disk:
        for warning in disk.warnings:
            log.warning("%s", warning)
        try:
            yield replace(source, path=str(disk.path), origin=source.path, stamp=stamp, pieces=disk.pieces)
        except LtspError as error:
            if not disk.path.is_dir():
                # The disk is gone, which explains any error.
                raise ToolFailed(f"{source.shown} can't be read any more: what read it has ended.") from error
            error.message = error.message.replace(str(disk.path), source.shown)
            error.args = (error.message,)
            raise


def _stamp(file: Path) -> str:
    if stamp := use.stamp(file):
        return stamp
    if not file.is_file():
        raise BadDisk(f"{file} is not a file that can be read. A disk image is one.")
    who = use.writer(file) or "another program"
    raise Busy(
        f"{file} is being written to by {who}. Shut down the virtual machine that uses it, and build again."
    )
