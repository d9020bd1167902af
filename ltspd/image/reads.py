"""Which files of an image a booting client reads, as a test of it told: its base is packed in that order.

One list an image, not a generation, so that later builds have it. It decides an order and nothing else.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG

from ltspd.image.context import WORK_PREFIX
from ltspd.image.look.entries import RECORD, Table, from_bytes, records
from ltspd.image.store.publish import sync
from ltspd.image.store.workdir import PRIVATE_FILE
from ltspd.paths import Paths

# One path a line, relative to the root, beside the generations.
READS = "reads"
# Names that are taken at most. A desktop reads 4,000 until its greeter is there.
MOST = 20_000
# A list that shares less than this with the one before takes its place; else that stays, so that the same
# image is packed into the same bytes again.
ALIKE = 0.9


def known(paths: Paths, image: str) -> tuple[bytes, ...]:
    """Return the paths that booting clients read, sorted; none if no test has told yet. Blocks."""
    try:
        return tuple((paths.images / image / READS).read_bytes().split(b"\n")[:-1])
    except OSError:
        return ()


def order(reads: Iterable[bytes]) -> str:
    """Return what names the order that these paths make; empty without any."""
    joined = b"\n".join(reads)
    return hashlib.sha256(joined).hexdigest()[:16] if joined else ""


def keep(paths: Paths, image: str, entries: Path, told: Iterable[str]) -> bool:
    """Keep what a tested generation told, as far as ``entries``, its table, has such files.

    Returns whether the list is another one now. Blocks; raises OSError, ValueError.
    """
    table = from_bytes(entries.read_bytes())
    new = frozenset(files_of(table, (os.fsencode(each) for each in told)))
    old = frozenset(known(paths, image))
    if not new or len(new & old) >= ALIKE * len(new | old):
        return False
    # Without the image's lock, which the build has that waits for its test. A rename is enough.
    _write(paths.images / image, sorted(new))
    return True


def files_of(table: Table, told: Iterable[bytes]) -> Iterable[bytes]:
    """Yield those of the paths that are files with content in a table, at most MOST of them. Pure."""
    found: dict[bytes, dict[bytes, bytes]] = {}
    left = MOST
    for path in told:
        parent, _, name = path.rpartition(b"/")
        if parent not in found:
            listing = table.directories.get(parent)
            found[parent] = records(listing) if listing else {}
        # A line break would end a line of mksquashfs's list.
        if (record := found[parent].get(name)) is None or b"\n" in path:
            continue
        mode, *_, size, _mtime, _ctime = RECORD.unpack(record)
        if S_ISREG(mode) and size and left:
            left -= 1
            yield path


def _write(home: Path, reads: Iterable[bytes]) -> None:
    new = home / f"{WORK_PREFIX}{READS}"
    new.unlink(missing_ok=True)
    new.write_bytes(b"".join(each + b"\n" for each in reads))
    new.chmod(PRIVATE_FILE)
    sync(new)
    os.rename(new, home / READS)
    sync(home)
