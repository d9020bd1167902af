"""Driving mksquashfs 4.5 and newer: one source directory to one layer, some files replaced on the way."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import InconsistentSource, NoSpace, ToolFailed
from ltspd.image.excludes import literal
from ltspd.run import run

# A minimal Debian, 399 MB to pack, in CPU seconds: 1: 2.9 s, 128.8 MB; 2: 2.7 s, 125.4 MB;
# 3: 3.4 s, 123.4 MB; 4: 4.3 s, 121.9 MB; 6: 7.4 s, 115.9 MB; 9: 10.6 s, 114.5 MB. Blocks of 256 KiB
# would save 4 % but make clients read twice as much for each small file.
LEVEL = 2
# mksquashfs would take a quarter of the machine's memory for its queues; this much keeps two
# processors busy and its peak at 175 MB.
MEMORY = "256M"
_BAR = re.compile(rb"(\d+)/(\d+)")
_UNREADABLE = re.compile(rb"Failed to read file (.*), creating empty file")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file of the image that is not the source's own: name, content, and an inode's attributes."""

    name: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0


def like(root: Path, name: str, content: bytes, mode: int = 0o644) -> Replacement:
    """Return a replacement with the attributes that the source's file has, if it has one."""
    try:
        status = os.lstat(root / name)
    except OSError:
        return Replacement(name, content, mode)
    if not stat.S_ISREG(status.st_mode):
        return Replacement(name, content, mode)
    return Replacement(
        name, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, int(status.st_mtime)
    )


async def pack(
    root: Path,
    target: Path,
    scratch: Path,
    excludes: Iterable[str],
    replaced: Iterable[Replacement] = (),
    *,
    level: int = LEVEL,
    background: bool = False,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> None:
    """Write ``target``, a squashfs of ``root``; raises ToolFailed, NoSpace, InconsistentSource.

    ``scratch`` is a directory of ours for mksquashfs's lists. Names in ``replaced`` must be plain
    (letters, digits, ``/._-``) and lie in directories that the image has. The result depends on
    the source and the arguments only, so an unchanged source gives the same bytes again.
    """
    replaced = tuple(replaced)
    lines = [*excludes, *(literal(os.fsencode(each.name)) for each in replaced)]
    (scratch / "excludes").write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
    (scratch / "pseudo").write_text("".join(_pseudo(each, scratch, n) for n, each in enumerate(replaced)))
    argv = ["mksquashfs", str(root), str(target), "-noappend", "-no-recovery"]
    argv += ["-comp", "zstd", "-Xcompression-level", str(level), "-mem", MEMORY, "-mkfs-time", "0"]
    argv += ["-wildcards", "-ef", "excludes", "-pf", "pseudo"]
    # Names are bytes: in the C locale wildcards match any of them. SOURCE_DATE_EPOCH would clash
    # with -mkfs-time.
    env: Mapping[str, str] = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"}
    try:
        done = await run(
            argv,
            env=env,
            cwd=scratch,
            background=background,
            on_output=lambda piece: _report(piece, progress),
        )
    except ToolFailed as error:
        if "No space left" in error.message:
            raise NoSpace(
                f"{target.parent} ran full while the image was being packed. Make room there, for example "
                "by removing old generations, and build again."
            ) from error
        raise
    _check_unreadable(root, done.stderr)


def _pseudo(each: Replacement, scratch: Path, number: int) -> str:
    """Return mksquashfs's definition of a file: the output of a command that runs in ``scratch``."""
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", each.name):
        raise ValueError(f"{each.name!r} can't be replaced")
    command = "true"
    if each.content:
        (scratch / f"file{number}").write_bytes(each.content)
        command = f"cat file{number}"
    return f"{each.name} F {each.mtime} {each.mode:o} {each.uid} {each.gid} {command}\n"


def _report(piece: bytes, progress: Callable[[float], None]) -> None:
    """Pass on the last figure of a piece of mksquashfs's bar, which is redrawn with carriage returns."""
    bars = _BAR.findall(piece)
    if bars and int(bars[-1][1]):
        progress(int(bars[-1][0]) / int(bars[-1][1]))


def _check_unreadable(root: Path, stderr: bytes) -> None:
    """Raise InconsistentSource for a file that mksquashfs could not read: it only warns of that.

    A file that is gone is no error: ``/`` is alive while it is packed.
    """
    for match in _UNREADABLE.finditer(stderr):
        if os.path.lexists(match[1]):
            name = match[1].decode(errors="replace")
            raise InconsistentSource(
                f"{name} can't be read, so an image of {root} would have an empty file in its place. "
                "Check the disk, or leave it out with ADD_IMAGE_EXCLUDES."
            )
