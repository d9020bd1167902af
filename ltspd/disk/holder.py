"""The process that holds one disk open, in its own namespaces; its mounts end with it.

`ltspd.disk.opening` starts it as the first process of a process namespace. It prints one line of JSON, an
answer or an error, and then stays until SIGTERM comes or its program for the image ends.
"""

import asyncio
import json
import os
import signal
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ltspd.disk import formats, iso, jail, live, loops, tree, volumes
from ltspd.disk.reading import View
from ltspd.disk.tree import OpenDisk
from ltspd.disk.volumes import Volume
from ltspd.errors import BadDisk, LtspError, UnsupportedDisk
from ltspd.foreign.inside import open_file
from ltspd.system.run import Completed, run

# Room for mount points, QEMU's jail, and the kernel of a live medium.
WORK_OPTIONS = "size=80m,nr_inodes=4k,mode=0700,nosuid"


@dataclass(slots=True)
class Served:
    """What QEMU reads for us: its jail, once it is made, and its running programs."""

    name: str
    work: Path
    user: int
    jail: Path | None = None
    programs: "list[asyncio.Task[Completed]]" = field(default_factory=list)

    async def place(self) -> Path:
        """Return the jail; the first call makes it."""
        if self.jail is None:
            self.jail = self.work / "jail"
            await jail.make_jail(self.jail)
        return self.jail

    async def open(self, drive: dict[str, object]) -> int:
        """Return the open content of an image whose files are in the jail."""
        view = self.work / f"view-{len(self.programs)}"
        self.programs.append(await jail.serve(await self.place(), view, drive, self.user, self.name))
        return os.open(view, os.O_RDONLY | os.O_CLOEXEC)


async def hold(file: Path, work: Path, number: int, directory: str) -> None:
    """Open the disk, print where its system is, and wait; raises LtspError, OSError."""
    await run(["mount", "-t", "tmpfs", "-o", WORK_OPTIONS, "ltspd-disk", str(work)])
    opened = _open(file)
    kind = formats.detect(os.pread(opened, formats.HEAD, 0), file.name)
    served = Served(file.name, work, jail.reader_of(os.fstat(opened)))
    if kind != "raw":
        opened = await _image(file, opened, kind, served)
    view = View(tree.reader(opened), os.fstat(opened).st_size)
    medium: tuple[iso.File, ...] | None = None
    if iso.is_iso(view):
        layout, medium = live.look(view)
    else:
        layout = volumes.look(view)

    async def join(volume: Volume) -> int:
        return await _joined(served, opened, volume)

    disk = OpenDisk(file.name, opened, view, work, layout.volumes, join)
    if layout.damaged:
        disk.warnings.append(
            f"{file.name}: the first copy of its partition table is damaged; the spare one was read."
        )
    if medium is None:
        root = await tree.find_root(disk, number)
    else:
        root = await live.find_root(disk, medium)
    path = await tree.assemble(disk, root)
    if directory:
        path = _below(path, directory, file.name)
    answer = {
        # /proc is of the daemon's process namespace, so this is our number there.
        "pid": int(os.readlink("/proc/self")),
        "root": str(path),
        "format": kind,
        "table": layout.table,
        "volume": str(root.volume),
        "loops": sorted({number: loops.backing(number) for number in disk.loops.values()}.items()),
        "warnings": disk.warnings,
        # Offsets in the file itself, so only for an image that QEMU does not translate.
        "pieces": [each.extents[0] for each in root.stack] if kind == "raw" and not directory else [],
    }
    print(json.dumps(answer), flush=True)
    await _until_the_end(served)


def _open(file: Path) -> int:
    # The administrator may have made a link to it.
    real = file.resolve()
    if not stat.S_ISREG(real.stat().st_mode):
        raise UnsupportedDisk(f"{file} is not a file. A disk image is one; a directory is built as a chroot.")
    opened = open_file(real)
    if os.fstat(opened).st_size == 0:
        raise BadDisk(f"{file} is empty.")
    return opened


async def _image(file: Path, opened: int, kind: str, served: Served) -> int:
    """Return the open content of an image that is not raw; show QEMU the files beside it that it needs."""
    place = await served.place()
    real = file.resolve()
    if kind == "vmdk" and os.pread(opened, 4, 0) != b"KDMV":
        for part in formats.vmdk_parts(os.pread(opened, formats.MAX_DESCRIPTION + 1, 0), file.name):
            await jail.show(place, _beside(real, part), part)
    # The program that made the image may have written a whole path into it, with links or without.
    places = (str(real.parent), os.path.abspath(file.parent))
    chain: list[tuple[str, str]] = []
    name = real.name
    while True:
        shown = await jail.show(place, _beside(real, name), name)
        info = await jail.describe(place, kind, shown, served.user, name, places)
        chain.append((kind, shown))
        if not info.backing:
            break
        if len(chain) > formats.MAX_BACKING or any(shown == f"/disk/{info.backing}" for _, shown in chain):
            raise BadDisk(
                f"{file.name} is a difference of a difference … of over {formats.MAX_BACKING} files."
            )
        name = info.backing
        with open(open_file(_beside(real, name)), "rb") as below:
            kind = formats.detect(below.read(formats.HEAD), name)
    drive: dict[str, object] | None = None
    for each, shown in reversed(chain):
        drive = formats.drive(each, shown, drive)
    assert drive is not None
    return await served.open(drive)


async def _joined(served: Served, opened: int, volume: Volume) -> int:
    """Return the open content of a volume that lies on the disk in several pieces."""
    place, name = await served.place(), f"pieces-{len(served.programs)}"
    await jail.show(place, Path(os.readlink(f"/proc/self/fd/{opened}")), f"{name}.disk")
    description = served.work / name
    description.write_text(formats.join_description(volume.extents, f"{name}.disk"))
    description.chmod(0o644)
    return await served.open(formats.drive("vmdk", await jail.show(place, description, name)))


def _beside(real: Path, name: str) -> Path:
    """Return a file in the image's own directory; raises BadDisk, and UnsupportedDisk if it is a link."""
    path = real.parent / name
    try:
        regular = stat.S_ISREG(path.lstat().st_mode)
    except OSError as error:
        raise BadDisk(f"{real.name} needs the file {name} beside it: {error.strerror}.") from error
    if not regular:
        raise UnsupportedDisk(f"{real.name} needs {name} beside it, which is not a file there but a link.")
    return path


def _below(root: Path, directory: str, name: str) -> Path:
    found = tree.resolved(root, directory)
    if found is None:
        raise BadDisk(f"{name} has no directory {directory} in its system.")
    return found


async def _until_the_end(served: Served) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # A closed output means that the daemon was killed before unshare tied our life to its own.
    with suppress(PermissionError):  # not a pipe
        loop.add_reader(sys.stdout.fileno(), ended.set)
    told = asyncio.create_task(ended.wait())
    await asyncio.wait([told, *served.programs], return_when=asyncio.FIRST_COMPLETED)


def main() -> None:
    """Hold the disk that the arguments name: file, work directory, partition number, directory in it."""
    file, work, number, directory = sys.argv[1:]
    # The first process of a namespace gets a signal only if it has a handler.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        asyncio.run(hold(Path(file), Path(work), int(number), directory))
    except LtspError as error:
        print(json.dumps({"error": error.name, "message": error.message}), flush=True)
    except OSError as error:
        print(json.dumps({"error": "BadDisk", "message": f"{file} can't be opened: {error}."}), flush=True)
    # All processes and mounts of the namespaces end with this process.
    os._exit(0)
