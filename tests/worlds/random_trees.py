"""Random trees and random edits of them, as lists of small steps that each do something or nothing."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

NAMES = (
    b"a",
    b"b",
    b"dir",
    b"line\nbreak",
    b"caf\xc3\xa9",
    b"bad\xff\xfe",
    b" lead",
    b"trail ",
    b"quote\"'\\",
    b"#hash",
    b"...",
    b"..x",
    b".wh.a",
    b"-n",
    b"n" * 255,
    b"\xff" * 255,
)
TARGETS = (b"a", b"../dir/b", b"/", b"/nowhere/" + b"t" * 200, b"../" * 60 + b"x", b"./\n", b"dangling\xff")
ATTRIBUTES = ("user.note", "user.n v", "trusted.deep", "security.capability")
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
SIZES = (0, 1, 511, 512, 513, 4096, 70_000, 140_000)

_KINDS: dict[str, Callable[[bytes, Any], None]] = {}


def _kind(function: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
    _KINDS[function.__name__] = function
    return function


@_kind
def mkdir(path: bytes, _number: int) -> None:
    os.mkdir(path, 0o700)


def _here(path: bytes | str, flags: int) -> int:
    """Open without being led out of the tree by a link, or blocked by a FIFO."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)


@_kind
def file(path: bytes, number: int) -> None:
    with open(path, "wb", opener=_here) as out:
        size = SIZES[number % len(SIZES)]
        out.write((bytes([number % 251]) * 37 + str(number).encode()) * (size // 37 + 1))
        out.truncate(size)


@_kind
def sparse(path: bytes, number: int) -> None:
    with open(path, "wb", opener=_here) as out:
        out.seek(number % 7 * 50_000)
        out.write(b"island" * (number % 5))
        out.truncate(300_000 + number)


@_kind
def symlink(path: bytes, number: int) -> None:
    os.symlink(TARGETS[number % len(TARGETS)], path)


@_kind
def special(path: bytes, number: int) -> None:
    kinds = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
    device = os.makedev((1, 8, 259, 4095)[number % 4], (3, 255, 256, 1_000_000)[number // 4 % 4])
    os.mknod(path, 0o640 | kinds[number % 4], device)


STEPS = st.tuples(
    st.sampled_from(
        [
            *("mkdir", "mkdir", "file", "file", "file", "sparse", "symlink", "special", "link", "link"),
            *("chmod", "chown", "touch", "attribute", "rename", "remove", "append", "sneak", "swap", "empty"),
        ]
    ),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.sampled_from(NAMES),
)


def apply(root: Path, steps: list[tuple[str, int, int, bytes]]) -> None:
    """Do the steps below a directory; what is impossible (a name that is taken, …) is left out."""
    top = os.fsencode(root)
    for kind, where, number, name in steps:
        directories, others = _all(top)
        entries = [*others, *directories[1:]]
        new = os.path.join(directories[where % len(directories)], name)
        try:
            if kind in _KINDS:
                _KINDS[kind](new, number)
            elif entries:
                _edit(kind, entries[number % len(entries)], new, where)
        except OSError:
            continue


def _edit(kind: str, old: bytes, new: bytes, number: int) -> None:
    plain = stat.S_ISREG(os.lstat(old).st_mode)
    directory = stat.S_ISDIR(os.lstat(old).st_mode)
    match kind:
        case "link":
            os.link(old, new, follow_symlinks=False)
        case "chmod" if not os.path.islink(old):
            os.chmod(old, (0o644, 0o755, 0o4755, 0o2750, 0o1777, 0)[number % 6])
        case "chown":
            os.chown(old, number, (number * 70_001) % 2**32, follow_symlinks=False)
        case "touch":
            times = (0, (0, 1, 10**18 + 1, (2**32 - 1) * 10**9)[number % 4])
            os.utime(old, ns=times, follow_symlinks=False)
        case "attribute":
            which = ATTRIBUTES[number % len(ATTRIBUTES)]
            value = CAPABILITY if which.startswith("security") else b"v\n\0=" * (number % 30)
            os.setxattr(old, which, value, follow_symlinks=False)
        case "rename":
            os.rename(old, new)
        case "remove":
            shutil.rmtree(old) if directory else os.unlink(old)
        case "append" if plain:
            with open(old, "ab") as out:
                out.write(b"more" * number)
        case "sneak" if plain:
            # Other content, with nothing else changed that a program can set back.
            status = os.stat(old)
            with open(old, "r+b") as out:
                out.write(bytes([number % 256]) * min(status.st_size, 5))
            os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "swap":
            shutil.rmtree(old) if directory else os.unlink(old)
            file(old, number) if directory else mkdir(old, number)
        case "empty" if directory:
            for each in os.scandir(old):
                shutil.rmtree(each.path) if each.is_dir(follow_symlinks=False) else os.unlink(each.path)


def _all(top: bytes) -> tuple[list[bytes], list[bytes]]:
    directories, others = [top], list[bytes]()
    for place, below, files in os.walk(top):
        below.sort()
        for each in below:
            path = os.path.join(place, each)
            (others if os.path.islink(path) else directories).append(path)
        others += [os.path.join(place, each) for each in sorted(files)]
    return directories, others
