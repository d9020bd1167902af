"""The phase that verifies what was made: it can boot, it is whole, it is what was meant, and has no secret.

Excludes and replacements should have seen to that. This reads the layers themselves, to be sure.
"""

import os
import re
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from ltspd.errors import InconsistentSource, NoInit, NoKernel, SecretInImage
from ltspd.foreign.inside import path_inside
from ltspd.foreign.inspect import INITS
from ltspd.image.context import Build
from ltspd.image.look.entries import Table, record_of
from ltspd.image.look.privacy import HASH, LIST_BYTES, secret_in
from ltspd.image.look.scan import Tree
from ltspd.image.pack.base import Packed
from ltspd.image.pack.listing import Listing, read_listing
from ltspd.image.source.excludes import SENSITIVE
from ltspd.image.source.kernels import Kernel
from ltspd.image.verify.packed import SHARE, check_everything, check_spooled
from ltspd.system.run import run
from ltspd.system.threads import in_thread, together

# squashfs_super_block of Linux, fs/squashfs/squashfs_fs.h: magic and number of inodes at the start, and at 40
# how many bytes are used.
_SUPER = struct.Struct("<4sI32xQ")
# The share of the entries that a layer must have. Some may be missing: a source may change meanwhile.
_SHARE = 0.9
# Files that one program reads: their names must fit into a command line, their content into memory.
_AT_ONCE = 300
_SHADOW = ("etc/shadow", "etc/gshadow", "etc/passwd", "etc/group")
# What stands for "no password can be right": see clean.
_NO_HASH = re.compile(rb"x?|\*?|!.{0,2}|\*LK\*")


async def verify(build: Build, packed: Packed) -> None:
    """Raise an error if an image could not boot, or a new layer of it is not right or not what was meant.

    Raises NoInit, NoKernel, InconsistentSource, SecretInImage, ToolFailed.
    """
    scan, layers = packed.scan, packed.layers
    tree, work = scan.contents.tree, build.work
    new = [file for layer in layers if (file := work.layers / layer.file_name).exists()]

    def check() -> None:
        check_tree(build.root, scan.plan.kernel, packed.table)
        for file in new:
            # A layer that is all of the image has all that was found.
            check_whole(file, _inodes(packed.table, tree) if len(layers) == 1 else 0)

    await in_thread(check)
    table = packed.table if tree.strict else None
    base, copy = packed.base, work.scratch / "listing"
    for file in new:
        if base is None or file.name != base.layer.file_name:
            await check_secrets(file, tree.known, table)
            continue
        # One list of the layer serves both: it shows secrets, and the metadata of each entry.
        listing = await read_listing(file, Listing(SENSITIVE, tree.known, table), copy)
        seconds = base.seconds * SHARE
        await together(
            refuse_secrets(file, listing),
            check_everything(
                *(file, build.root, work.entries, scan.contents, base.above, work.scratch, seconds, copy)
            ),
        )
    if work.spool.exists():
        await check_spooled(work.layers / layers[-1].file_name, work.spool, work.scratch)
        work.spool.unlink()


def check_tree(root: Path, kernel: Kernel, table: Table) -> None:
    """Raise NoInit or NoKernel if an exclude has left out what each client needs. Blocks."""
    inits = [path for name in INITS if (path := path_inside(root, name)) is not None]
    if not any(_has(table, root, path) for path in inits):
        raise NoInit(
            f"An exclude leaves {inits[0] if inits else root} out of the image, so no client could start. "
            "See 'ltspctl config show' for ADD_IMAGE_EXCLUDES, and /etc/ltsp/image.excludes."
        )
    names = (f"{home}/modules/{kernel.release}/modules.dep" for home in ("usr/lib", "lib"))
    modules = [path for name in names if (path := path_inside(root, name)) is not None]
    if not any(_has(table, root, path) for path in modules):
        raise NoKernel(
            f"An exclude leaves the modules of kernel {kernel.release} of {root} out of the image, so clients"
            " would have no drivers. See ADD_IMAGE_EXCLUDES and /etc/ltsp/image.excludes."
        )


def check_whole(layer: Path, entries: int = 0) -> None:
    """Raise InconsistentSource if a layer is damaged, or has far fewer than ``entries``. Blocks."""
    with open(layer, "rb") as opened:
        head = opened.read(_SUPER.size)
    magic, inodes, used = _SUPER.unpack(head) if len(head) == _SUPER.size else (b"", 0, 0)
    if magic != b"hsqs" or used > layer.stat().st_size:
        raise InconsistentSource(f"The layer that was packed is damaged ({layer.name}). Build again.")
    if inodes < entries * _SHARE:
        raise InconsistentSource(
            f"The layer that was packed has {inodes} files and directories instead of {entries}. Build again,"
            " and don't change the source meanwhile."
        )


async def check_secrets(
    layer: Path, known: frozenset[bytes] = frozenset(), table: Table | None = None
) -> None:
    """Raise SecretInImage if a layer holds anything that may never be in an image; raises ToolFailed.

    All names are checked, the sizes of logs, and the content of small files in /etc and of those that are
    called like keys or lists of accounts, except ``known`` ones. With a ``table`` what others may not
    read must be in it: somebody may have made it while the source was packed.
    """
    await refuse_secrets(layer, await read_listing(layer, Listing(SENSITIVE, known, table)))


async def refuse_secrets(layer: Path, listing: Listing) -> None:
    """Raise SecretInImage if a list shows something secret in its layer, or what is in small files does."""
    secrets = [*listing.secrets]
    for each in (each for each in listing.small if each in _SHADOW):
        if _has_hash(await _cat(layer, [each])):
            secrets.append(f"a password of /{each}")
    found = await _look_into(layer, [each for each in listing.small if each not in _SHADOW])
    secrets += [f"/{each} ({what})" for each, what in found.items()]
    if secrets:
        raise SecretInImage(
            f"The image would hold {', '.join(secrets[:5])}, which everybody on the clients' network could "
            "read, so it is not published. Remove that from the source, or exclude it, and build again."
        )


async def check_medium(layer: Path) -> None:
    """Raise SecretInImage if a live medium's layer holds hashes or host keys anywhere; raises ToolFailed.

    Many media have other keys, which everybody who fetched them has as well.
    """
    listing = await read_listing(layer, Listing((), frozenset(), None))
    found = await _look_into(layer, listing.small)
    secrets = [*listing.secrets, *(f"/{each}" for each, what in found.items() if what == HASH)]
    if secrets:
        raise SecretInImage(
            f"The medium holds {', '.join(secrets[:5])}, which everybody on the clients' network could read. "
            "Leave 'direct' out to build an image of it without that."
        )


async def _look_into(layer: Path, names: list[str]) -> dict[str, str]:
    """Return which of a layer's files are secrets, and what they are."""
    found: dict[str, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        if secret_in(await _cat(layer, some)):
            found |= {each: what for each in some if (what := secret_in(await _cat(layer, [each])))}
    return found


async def _cat(layer: Path, names: Iterable[str]) -> bytes:
    argv = ["unsquashfs", "-cat", "-no-wildcards", os.fspath(layer), *names]
    return (await run(argv, whole=_AT_ONCE * LIST_BYTES, check=False)).stdout


def _has_hash(text: bytes) -> bool:
    rows = (line.split(b":") for line in text.split(b"\n"))
    return any(len(fields) > 1 and not _NO_HASH.fullmatch(fields[1]) for fields in rows)


def _inodes(table: Table, tree: Tree) -> int:
    """Return how many inodes a layer of everything should have: a file with several names counts once."""
    entries = sum(names.count(b"\0") + 1 for names, _ in table.directories.values() if names)
    return entries - sum(len(group) - 1 for group in tree.links)


def _has(table: Table, root: Path, path: Path) -> bool:
    record = record_of(table, os.fsencode(path.relative_to(root)))
    return record is not None and not stat.S_ISDIR(struct.unpack_from("<I", record)[0])
