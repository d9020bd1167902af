"""Driving mksquashfs 4.5 and newer: one source directory to one layer, some files replaced on the way."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ltspd.errors import InconsistentSource, NoSpace, ToolFailed
from ltspd.image.context import LEVEL
from ltspd.image.look.replaced import PLAIN_NAME, Replacement
from ltspd.image.source.excludes import literal
from ltspd.system.run import Completed, run

# mksquashfs would take a quarter of the machine's memory for its queues; this much keeps two processors
# as busy as twice that does, and its peak at 230 MB for 300,000 files.
MEMORY = "128M"
# What mksquashfs takes of a file at once, and counts its progress in.
BLOCK = 128 << 10
_BAR = re.compile(rb"(\d+)/(\d+)")
# What ends a name in mksquashfs's list of an order, or begins a comment.
_BLANK = re.compile(rb"[\\\s#]")
_UNREADABLE = re.compile(rb"Failed to read file (.*), creating empty file")


async def pack(
    root: Path,
    target: Path,
    scratch: Path,
    excludes: Iterable[str],
    replaced: Iterable[Replacement] = (),
    *,
    level: int = LEVEL,
    still: bool = False,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> None:
    """Write ``target``, a squashfs of ``root``; raises ToolFailed, NoSpace, InconsistentSource.

    In a ``still`` source nothing comes or goes meanwhile, so anything that can't be read is an error.
    ``scratch`` is a directory of ours for mksquashfs's lists. Names in ``replaced`` must be plain
    (letters, digits, ``/._-``) and lie in directories that the image has. The result depends on
    the source and the arguments only, so an unchanged source gives the same bytes again.
    """
    replaced = tuple(replaced)
    lines = [*excludes, *(literal(os.fsencode(each.name)) for each in replaced)]
    (scratch / "excludes").write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
    (scratch / "pseudo").write_text("".join(_pseudo(each, scratch, n) for n, each in enumerate(replaced)))
    argv = [*_command(str(root), target, level), "-wildcards", "-ef", "excludes", "-pf", "pseudo"]
    argv += ["-exit-on-error"] if still else []
    done = await _run(argv, target, scratch, lambda piece: _report(piece, progress))
    _check_unreadable(root, done.stderr)


async def pack_spooled(
    spooled: Path,
    target: Path,
    top: os.stat_result,
    *,
    level: int = LEVEL,
    blocks: int = 0,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> None:
    """Write ``target``, a squashfs of a tar file; raises ToolFailed, NoSpace.

    ``blocks`` is how many of BLOCK bytes its files are: mksquashfs knows only of those that it has read.
    ``top`` has the attributes of its root. mksquashfs reads the stream with an option of its own,
    because sqfstar 4.5.1 takes the compression level for the name of the file to write. 4.5.1 ignores
    the root's owner and time; a client sees the root of its own writable layer in any case.
    """
    argv = [*_command("-", target, level), "-tar", "-exports", "-root-mode", f"{stat.S_IMODE(top.st_mode):o}"]
    argv += ["-root-uid", str(top.st_uid), "-root-gid", str(top.st_gid)]
    argv += ["-root-time", str(max(0, top.st_mtime_ns // 10**9))]
    argv = ["sh", "-c", 'exec "$@" <"$0"', str(spooled), *argv]
    await _run(argv, target, spooled.parent, lambda piece: _report(piece, progress, blocks))


async def pack_layers(
    layers: Sequence[Path],
    target: Path,
    scratch: Path,
    *,
    level: int,
    first: Iterable[bytes] = (),
    progress: Callable[[float], None] = lambda _fraction: None,
) -> None:
    """Write ``target``, a squashfs of what is seen through layers, base first; raises ToolFailed, NoSpace.

    Files named in ``first`` lie together at its beginning. Needs root. The mounts are in a namespace of the
    packing process and end with it.
    """
    argv = [*PRIVATE, *mounted(layers, scratch), *_command("view", target, level)]
    # Not in ``scratch`` itself, where something is mounted meanwhile.
    argv += _sorted(scratch.with_name(f"{scratch.name}-first"), first)
    await _run(argv, target, scratch, lambda piece: _report(piece, progress))


# Starts a program in a namespace of mounts of its own. The mounts end with the program, even if it is killed.
PRIVATE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount")


def mounted(layers: Sequence[Path], scratch: Path) -> list[str]:
    """Return what runs a program in ``scratch``, where layers, base first, are seen as ``view``."""
    return ["sh", "-c", _MOUNTED, str(scratch), str(len(layers)), *map(str, layers)]


# $0 is a directory of ours, $1 how many layers follow; after them comes what to run with "view" mounted.
_MOUNTED = """
set -e
mount -t tmpfs none "$0"
cd "$0"
left=$1 lower= number=0
shift
while [ "$left" -gt 0 ]; do
    mkdir "$number"
    mount -t squashfs -o loop,ro "$1" "$number"
    lower=$number${lower:+:$lower} left=$((left - 1)) number=$((number + 1))
    shift
done
mkdir view
if [ "$number" -gt 1 ]; then
    mount -t overlay -o "ro,lowerdir=$lower" none view
else
    mount --bind 0 view
fi
exec "$@"
"""


def _sorted(file: Path, first: Iterable[bytes]) -> list[str]:
    """Return the options that have mksquashfs write some files before all others; ``file`` is for their list.

    What of a file does not fill a block lies in a block with that of others, too, so that each such block is
    of files which clients read. mksquashfs leaves names out that the source does not have. Only for a source
    without pseudo files: with an order, 4.5.1 makes empty ones of those that a command writes.
    """
    lines = [_BLANK.sub(rb"\\\g<0>", each) + b" 1\n" for each in first]
    if not lines:
        return []
    file.write_bytes(b"".join(lines))
    return ["-sort", str(file)]


def _command(source: str, target: Path, level: int) -> list[str]:
    # mksquashfs is killed when the daemon's process ends, even if that is killed.
    argv = ["setpriv", "--pdeathsig", "KILL", "mksquashfs", source, str(target), "-noappend", "-no-recovery"]
    return [*argv, "-comp", "zstd", "-Xcompression-level", str(level), "-mem", MEMORY, "-mkfs-time", "0"]


async def _run(
    argv: list[str],
    target: Path,
    scratch: Path,
    on_output: Callable[[bytes], None],
) -> Completed:
    # Names are bytes: in the C locale wildcards match any of them. SOURCE_DATE_EPOCH would clash
    # with -mkfs-time.
    env: Mapping[str, str] = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"}
    try:
        # Into a pipe mksquashfs writes its progress only now and then, at multiples of 100 blocks.
        return await run(argv, env=env, cwd=scratch, on_output=on_output, terminal=True)
    except ToolFailed as error:
        if "No space left" in error.message:
            raise NoSpace(
                f"{target.parent} ran full while the image was being packed. Make room there, for example "
                "by removing old generations, and build again."
            ) from error
        # The message begins with the program that has started mksquashfs.
        raise ToolFailed(re.sub(r"^\S+", "mksquashfs", error.message)) from error


def _pseudo(each: Replacement, scratch: Path, number: int) -> str:
    """Return mksquashfs's definition of a file: the output of a command that runs in ``scratch``."""
    if not PLAIN_NAME.fullmatch(os.fsencode(each.name)):
        raise ValueError(f"{each.name!r} can't be replaced")
    command = "true"
    if each.content:
        (scratch / f"file{number}").write_bytes(each.content)
        command = f"cat file{number}"
    return f"{each.name} F {each.mtime} {each.mode:o} {each.uid} {each.gid} {command}\n"


def _report(piece: bytes, progress: Callable[[float], None], blocks: int = 0) -> None:
    """Pass on the last figure of a piece of mksquashfs's bar, which is redrawn with carriage returns.

    ``blocks`` are all that there will be, if mksquashfs itself does not know.
    """
    bars = _BAR.findall(piece)
    if bars and (total := blocks or int(bars[-1][1])):
        progress(min(1.0, int(bars[-1][0]) / total))


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


async def tool_version() -> str:
    """Return mksquashfs's version, for example ``4.5.1``, or an empty string."""
    words = (await run(["mksquashfs", "-version"], check=False)).stdout.split()
    return words[2].decode(errors="replace") if len(words) > 2 else ""
