"""Files that an image has in another form than its source: accounts without people, empty logs."""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ltspd.foreign.inside import read_inside
from ltspd.image.look import entries
from ltspd.image.look.entries import RECORD, Table
from ltspd.image.look.scan import Tree
from ltspd.image.source import clean

# Names that mksquashfs's list of replaced files can carry.
PLAIN_NAME = re.compile(rb"[A-Za-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file of the image that is not the source's own: name, content, and an inode's attributes."""

    name: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0

    @property
    def digest(self) -> int:
        """What ``digest_of`` says of the content."""
        return digest_of(self.content)


def digest_of(content: bytes) -> int:
    """Return a number of 63 bits that changes when the content does."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def like(root: Path, name: str, content: bytes, mode: int = 0o644) -> Replacement:
    """Return a replacement with the attributes that the source's file has, if it has one."""
    try:
        status = os.lstat(root / name)
    except OSError:
        return Replacement(name, content, mode)
    if not stat.S_ISREG(status.st_mode):
        return Replacement(name, content, mode)
    return Replacement(
        name, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns // 10**9
    )


def replacements(root: Path, tree: Tree) -> dict[bytes, Replacement]:
    """Return the replacements of a source by path, those of directories that the image has. Blocks."""
    new = clean.replacements({name: read_inside(root, name) for name in clean.READ})
    found = [
        like(root, name, content, 0o444 if name == "etc/machine-id" else 0o644)
        for name, content in new.items()
    ]
    # Log files exist for their owners and modes; content and times are this machine's history.
    plain = [each.decode() for each in tree.logs if PLAIN_NAME.fullmatch(each)]
    found += [replace(like(root, each, b""), mtime=0) for each in plain]
    paths = {os.fsencode(each.name): each for each in found}
    return {path: each for path, each in paths.items() if path.rpartition(b"/")[0] in tree.table.directories}


def with_replaced(table: Table, replaced: Mapping[bytes, Replacement]) -> Table:
    """Return the table of the image: replaced files as they will be in it, not as the source has them."""
    return entries.with_records(table, {path: _replaced_record(each) for path, each in replaced.items()})


def _replaced_record(each: Replacement) -> bytes:
    mode = stat.S_IFREG | each.mode
    return RECORD.pack(mode, each.uid, each.gid, 0, len(each.content), each.mtime * 10**9, each.digest)
