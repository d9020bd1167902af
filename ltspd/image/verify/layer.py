"""The last look at what was made, before it is published: it can boot, it is whole, and no secret is in it.

Excludes and replacements are meant to see to that; here is looked whether they did, in the layers themselves.
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
from ltspd.image.look.entries import Table, record_of
from ltspd.image.look.privacy import HASH, LIST_BYTES, LOOK_BYTES, is_host_key, secret_in, worth_a_look
from ltspd.image.look.scan import Tree
from ltspd.image.source.excludes import SENSITIVE, Matcher, compile_patterns
from ltspd.image.source.kernels import Kernel
from ltspd.model.image import Layer
from ltspd.system.run import run
from ltspd.system.threads import in_thread

# squashfs_super_block of Linux, fs/squashfs/squashfs_fs.h: magic and number of inodes at the start, and at 40
# how many bytes are used.
_SUPER = struct.Struct("<4sI32xQ")
# As few of what was found may be missing in the layer: a source may be changed while it is packed.
_SHARE = 0.9
# Files to read by one program: as many long names fit into a command line, and what is in them into memory.
_AT_ONCE = 300
_TOP = b"squashfs-root/"
_FILE = re.compile(rb"-\S+ \S+ +(\d+) \S+ \S+ ")
_SHADOW = ("etc/shadow", "etc/gshadow", "etc/passwd", "etc/group")
# What stands for "no password can be right": see clean.
_NO_HASH = re.compile(rb"x?|\*?|!.{0,2}|\*LK\*")


async def verify(
    root: Path, kernel: Kernel, table: Table, tree: Tree, layers: tuple[Layer, ...], home: Path
) -> None:
    """Raise an error if an image could not boot, or a new layer of it, one in ``home``, is not right.

    Raises NoInit, NoKernel, InconsistentSource, SecretInImage, ToolFailed.
    """
    new = [file for layer in layers if (file := home / layer.file_name).exists()]

    def check() -> None:
        check_tree(root, kernel, table)
        for file in new:
            # A layer that is all of the image has all that was found.
            check_whole(file, _inodes(table, tree) if len(layers) == 1 else 0)

    await in_thread(check)
    for file in new:
        await check_secrets(file, tree.known, table if tree.strict else None)


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
    """Raise InconsistentSource if a layer is damaged, or has far fewer than so many entries. Blocks."""
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

    Names are looked at everywhere, and the sizes of logs; the contents of small files in /etc, and of those
    that are called like keys or lists of accounts, but for ``known``. With a ``table`` what others may not
    read must be in it: somebody may have made it while the source was packed.
    """
    listing = await _list(layer, _Listing(SENSITIVE, known, table))
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


async def undecided(layer: Path, table: Table) -> list[str]:
    """Return what in a layer others may not read although it is not in a table; raises ToolFailed."""
    return (await _list(layer, _Listing((), frozenset(), table))).secrets


async def check_medium(layer: Path) -> None:
    """Raise SecretInImage if a live medium's layer holds hashes or host keys anywhere; raises ToolFailed.

    Many media have other keys, which everybody who fetched them has as well.
    """
    listing = await _list(layer, _Listing((), frozenset(), None))
    found = await _look_into(layer, listing.small)
    secrets = [*listing.secrets, *(f"/{each}" for each, what in found.items() if what == HASH)]
    if secrets:
        raise SecretInImage(
            f"The medium holds {', '.join(secrets[:5])}, which everybody on the clients' network could read. "
            "Leave 'direct' out to build an image of it without that."
        )


async def _list(layer: Path, listing: "_Listing") -> "_Listing":
    # With names of users instead of numbers it would look up each of 300,000 in /etc/passwd.
    await run(["unsquashfs", "-lln", "-no-progress", os.fspath(layer)], on_output=listing.take)
    return listing


async def _look_into(layer: Path, names: list[str]) -> dict[str, str]:
    """Return which of a layer's files are secrets, and what they are."""
    found: dict[str, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        if secret_in(await _cat(layer, some)):
            found |= {each: what for each in some if (what := secret_in(await _cat(layer, [each])))}
    return found


class _Listing:
    """Looks through what ``unsquashfs -lln`` prints, as it comes: all of it can be 50 MB.

    ``secrets`` are what may not be in a layer, ``small`` the small files to look into.
    """

    def __init__(self, patterns: tuple[str, ...], known: frozenset[bytes], table: Table | None) -> None:
        self.secrets: list[str] = []
        self.small: list[str] = []
        self._logs = b"var/log/" if patterns else None
        # By directory, each of which is listed before what is in it.
        self._known: dict[bytes, Matcher | None] = {b"": compile_patterns(patterns)}
        self._rest = b""
        self._shipped = known
        self._table = table
        self._closed: set[bytes] = set()

    def take(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            attributes, _, path = line.partition(_TOP)
            if path and attributes[:1] != b"c":
                self._look(attributes, path)

    def _look(self, attributes: bytes, path: bytes) -> None:
        if attributes[:1] == b"l":
            path = path.partition(b" -> ")[0]
        parent, _, name = path.rpartition(b"/")
        matcher = self._known.get(parent)
        below = matcher.enter(name) if matcher is not None else None
        if below is None:
            self.secrets.append("/" + os.fsdecode(path))
        if attributes[:1] == b"d":
            self._known[path] = below
        file = _FILE.match(attributes)
        size = int(file[1]) if file else 0
        if self._table is not None:
            self._look_at_mode(attributes, path, size)
        in_etc = path.startswith(b"etc/") and 0 < size <= LOOK_BYTES
        if file and (in_etc or worth_a_look(name, size)) and path not in self._shipped:
            self.small.append(os.fsdecode(path))
            if is_host_key(path):
                self.secrets.append("/" + os.fsdecode(path))
        if self._logs and path.startswith(self._logs) and size:
            self.secrets.append("/" + os.fsdecode(path))

    def _look_at_mode(self, attributes: bytes, path: bytes, size: int) -> None:
        """Note what others may not read and nobody has decided on, by the last three letters of its mode."""
        closed = path.rpartition(b"/")[0] in self._closed
        if attributes[:1] == b"d" and (closed or attributes[7:8] != b"r" or attributes[9:10] not in b"xt"):
            self._closed.add(path)
        if closed or (size and attributes[7:8] != b"r"):
            table = self._table
            if table is not None and record_of(table, path) is None:
                self.secrets.append("/" + os.fsdecode(path))


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
