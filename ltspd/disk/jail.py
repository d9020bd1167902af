"""The jail in which QEMU reads a disk image: a root with only programs and that image, no rights, no network.

The process that holds a disk uses it, inside its own namespaces; the daemon never does.
"""

import asyncio
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ltspd.disk import formats
from ltspd.errors import BadDisk, LtspError, ToolFailed, UnsupportedDisk
from ltspd.system.run import Completed, run

# The user and group "nobody" of every Linux system.
NOBODY = 65534
# Limits for describing an image, which is quick; a hostile image may want more.
INFO_SECONDS = 15
INFO_BYTES = 2 << 30
# Bytes of a description; it also lists the image's snapshots.
MAX_INFO = 8 << 20
# Memory for serving an image: tables, caches and the threads' stacks.
SERVE_BYTES = 6 << 30
READY_SECONDS = 15.0

# $1: jail, $2: where the view appears, the rest: the program. Only root can open and mount /dev/fuse, but
# anybody can serve it: the program gets descriptor 9, as "/dev/fd/9" (fuse(4)).
_SERVE = """
set -e
jail=$1 view=$2
shift 2
exec 9<>/dev/fuse
mount -i -t fuse -o fd=9,rootmode=100000,user_id=0,group_id=0,allow_other,ro,nodev,nosuid,noexec disk "$view"
exec chroot "$jail" "$@"
"""


async def make_jail(jail: Path) -> None:
    """Fill an empty directory with what programs need; ``disk/`` is for image files."""
    for name in ("usr", "dev/fd", "disk", "tmp"):
        (jail / name).mkdir(parents=True)
    await _bind(Path("/usr"), jail / "usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        own = Path("/", name)
        if own.is_symlink():
            (jail / name).symlink_to(os.readlink(own))
        elif own.is_dir():
            (jail / name).mkdir()
            await _bind(own, jail / name)
    # QEMU wants a regular file as mount point of an export, and libfuse takes the descriptor from its name.
    (jail / "dev/fd/9").touch()
    (jail / "dev/null").touch()
    await run(["mount", "--bind", "/dev/null", str(jail / "dev/null")])


async def show(jail: Path, file: Path, name: str) -> str:
    """Make a file visible in the jail, read-only, and return its path there."""
    target = jail / "disk" / name
    if not target.exists():
        target.touch()
        await _bind(file, target)
    return f"/disk/{name}"


async def _bind(source: Path, target: Path) -> None:
    await run(["mount", "--bind", str(source), str(target)])
    await run(["mount", "-o", "remount,bind,ro,nosuid,nodev", str(target)])


def _confined(program: Sequence[str], user: int, memory: int, seconds: int = 0) -> list[str]:
    limits = ["prlimit", f"--as={memory}", "--core=0", "--fsize=0", "--nofile=256"]
    limits += [f"--cpu={seconds}"] if seconds else []
    rights = ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    identity = [f"--reuid={user}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *identity, *rights, *limits, *program]


def reader_of(status: os.stat_result) -> int:
    """Return the user who reads a file: nobody if everybody may, else its owner (without capabilities)."""
    return NOBODY if status.st_mode & stat.S_IROTH else status.st_uid


async def describe(
    jail: Path, kind: str, file: str, user: int, name: str, places: Sequence[str]
) -> formats.Info:
    """Return QEMU's description of an image in the jail; raises BadDisk, UnsupportedDisk.

    ``places`` are the paths of the image's directory outside the jail.
    """
    argv = ["qemu-img", "info", "--output=json", "-f", kind, "-U", file]
    argv = ["chroot", str(jail), *_confined(argv, user, INFO_BYTES, INFO_SECONDS)]
    try:
        async with asyncio.timeout(INFO_SECONDS):
            done = await run(argv, whole=MAX_INFO, check=False)
    except TimeoutError:
        raise BadDisk(f"{name} can't be described by qemu-img within {INFO_SECONDS} s.") from None
    if done.status != 0:
        raise _refused(done, name)
    return formats.read_info(done.stdout, name, places)


def _refused(done: Completed, name: str) -> LtspError:
    words = done.stderr.decode(errors="replace").strip().splitlines()
    if done.status == 125:
        # chroot(1) itself failed: this process may not do it.
        return ToolFailed(
            f"{name} can't be read by QEMU here: {words[-1] if words else 'no reason was given'}"
        )
    if done.status in (126, 127):
        return UnsupportedDisk(f"{name} can't be read without QEMU's tools. Install the package qemu-utils.")
    return BadDisk(
        f"{name} is not a disk that QEMU can read: {words[-1] if words else f'status {done.status}'}."
    )


async def serve(
    jail: Path, view: Path, drive: dict[str, object], user: int, name: str
) -> "asyncio.Task[Completed]":
    """Show an image's content as the file ``view``, for as long as the task returned runs."""
    node = json.dumps({**drive, "node-name": "disk"})
    export = "type=fuse,id=view,node-name=disk,mountpoint=/dev/fd/9,writable=off,growable=off,allow-other=off"
    program = ["qemu-storage-daemon", "--blockdev", node, "--export", export]
    argv = ["sh", "-c", _SERVE, "sh", str(jail), str(view), *_confined(program, user, SERVE_BYTES)]
    view.touch()
    own = view.stat().st_dev
    task = asyncio.create_task(run(argv, check=False))
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not task.done():
                await asyncio.sleep(0.005)
                # In a thread, because it blocks until the program serves, which a hostile image may delay.
                if await asyncio.to_thread(_device, view) not in (own, 0):
                    return task
    except TimeoutError:
        raise BadDisk(f"{name} can't be opened by QEMU within {READY_SECONDS:g} s.") from None
    done = await task
    if done.status in (126, 127):
        raise UnsupportedDisk(
            f"{name} can't be read without QEMU's storage daemon. Install qemu-system-common, or convert it: "
            f"qemu-img convert -O raw {name} NEW.img."
        )
    words = done.stderr.decode(errors="replace").strip()
    if "/dev/fuse" in words or "mount:" in words:
        raise UnsupportedDisk(
            f"{name} can only be read through FUSE, which does not work here: {words}. "
            f"Convert it: qemu-img convert -O raw {name} NEW.img."
        )
    raise ToolFailed(f"{name} can't be served by QEMU: {words}")


def _device(view: Path) -> int:
    try:
        return view.stat().st_dev
    except OSError:
        return 0
