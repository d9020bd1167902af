"""Mounting a disk's system below one directory, read-only, inside the holder's namespace.

The content of a volume tells whether it is the root; the system's own fstab tells where the others belong.
"""

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from ltspd.disk import fstab, loops, volumes
from ltspd.disk.filesystems import MOUNT_TYPES
from ltspd.disk.fstab import Mount
from ltspd.disk.reading import View
from ltspd.disk.volumes import Volume
from ltspd.errors import BadDisk, LtspError, UnsupportedDisk
from ltspd.foreign.inside import open_inside, read_inside, stat_inside
from ltspd.foreign.inspect import INITS
from ltspd.system.run import run

# Nothing is written, no device node works, and no program runs from there.
FLAGS = "ro,nodev,nosuid,noexec"
# Distributions' names of the root subvolume, if it is not the file system's default.
ROOT_SUBVOLUMES = ("@", "@rootfs", "root", "@root", "rootfs")
# A system is incomplete without these; other directories that are on another disk are only left out.
_VITAL = ("/usr", "/var", "/var/lib", "/boot", "/opt", "/etc")
# An image holds these cleaned or in part, so no mount may show them in another place.
_CLEANED = ("/etc", "/root", "/var/lib", "/var/log")
_ROOTS = frozenset(MOUNT_TYPES) - {"vfat"}


@dataclass(slots=True)
class OpenDisk:
    """An open disk: its file, its content, its volumes, our work directory, its loop devices and warnings.

    ``join`` opens a volume that consists of several pieces.
    """

    name: str
    file: int
    view: View
    work: Path
    volumes: tuple[Volume, ...]
    join: Callable[[Volume], Awaitable[int]]
    loops: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    count: int = 0

    def directory(self) -> Path:
        """Return a new, empty directory to mount on."""
        self.count += 1
        path = self.work / "volumes" / str(self.count)
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True, slots=True)
class Root:
    """A volume with a system on it, mounted at ``path``; ``subvolume`` is the mount option it needed.

    If squashfs file systems hold all of it, ``stack`` are those, the base first.
    """

    volume: Volume
    path: Path
    subvolume: str = ""
    stack: tuple[Volume, ...] = ()


async def mount_volume(disk: OpenDisk, volume: Volume, target: Path, subvolume: str = "") -> None:
    """Mount a volume read-only without touching its journal; raises BadDisk, UnsupportedDisk."""
    if volume.kind not in MOUNT_TYPES:
        raise UnsupportedDisk(f"{disk.name}: {volume} can't be mounted.")
    if not volumes.whole(volume, disk.view):
        raise BadDisk(
            f"{disk.name}: the file system of {volume} is larger than its place. "
            "If the image is a copy of a disk, it was cut short: copy it whole again."
        )
    kind, options = MOUNT_TYPES[volume.kind]
    wanted = ",".join(each for each in (FLAGS, options, subvolume) if each)
    name = key(volume)
    held = -1
    if name not in disk.loops:
        file, offset, size = disk.file, *volume.extents[0]
        if len(volume.extents) > 1:
            file, offset, size = await disk.join(volume), 0, 0
        disk.loops[name], held = loops.attach(file, offset, size)
    device = f"/dev/loop{disk.loops[name]}"
    try:
        done = await run(["mount", "-i", "-t", kind, "-o", wanted, device, str(target)], check=False)
    finally:
        if held >= 0:
            os.close(held)
    if done.status == 0:
        return
    disk.loops.pop(name, None)
    words = done.stderr.decode(errors="replace").strip().replace(str(target), "it").splitlines()
    if b"unknown filesystem type" in done.stderr:
        raise UnsupportedDisk(
            f"{disk.name}: {volume} can't be mounted, because this machine's kernel has no {kind}."
        )
    raise BadDisk(f"{disk.name}: {volume} can't be mounted: {words[0] if words else 'no reason was given'}")


def is_system(root: Path) -> bool:
    """Return whether a directory is the root of a system: it has programs, configuration and an init."""
    if not _is_directory(root, "etc") or not (_is_directory(root, "usr") or _is_directory(root, "bin")):
        return False
    if any(stat_inside(root, name) is not None for name in INITS):
        return True
    # Its programs may be on another partition.
    return any(each.point == "/usr" for each in fstab.read_fstab(read_inside(root, "etc/fstab") or b""))


def _is_directory(root: Path, name: str) -> bool:
    status = stat_inside(root, name)
    return status is not None and stat.S_ISDIR(status.st_mode)


async def find_root(disk: OpenDisk, number: int = 0) -> Root:
    """Return the one system on the disk (``number``: in that partition); raises BadDisk, UnsupportedDisk."""
    chosen = [each for each in disk.volumes if number in (0, each.number)]
    if not chosen:
        known = ", ".join(map(str, disk.volumes))
        raise UnsupportedDisk(f"{disk.name} has no partition {number}. It has: {known}.")
    found: list[Root] = []
    reasons: list[str] = []
    for volume in chosen:
        if volume.kind not in _ROOTS:
            reasons += filter(None, [volumes.why_not(volume)])
            continue
        try:
            found += await _systems(disk, volume)
        except LtspError as error:
            reasons.append(error.message.removeprefix(f"{disk.name}: ").rstrip("."))
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(str(each.volume) for each in found)
        raise UnsupportedDisk(
            f"{disk.name} has {len(found)} systems, on {several}. Say which: {disk.name},partition=N."
        )
    have = ", ".join(map(str, chosen))
    raise (UnsupportedDisk if reasons else BadDisk)(
        f"{disk.name} has no system on it that could be read. It has: {have}."
        + "".join(f" {each[:1].upper()}{each[1:]}." for each in reasons)
    )


async def _systems(disk: OpenDisk, volume: Volume) -> list[Root]:
    """Return the system on a volume, if there is one; only that stays mounted."""
    found: list[Root] = []
    tried: list[Path] = []
    for subvolume in await _subvolumes(disk, volume):
        path = disk.directory()
        await mount_volume(disk, volume, path, subvolume)
        if is_system(path):
            found.append(Root(volume, path, subvolume))
            break
        tried.append(path)
    for path in tried:
        await run(["umount", str(path)])
    if not found:
        disk.loops.pop(key(volume), None)
    return found


async def _subvolumes(disk: OpenDisk, volume: Volume) -> tuple[str, ...]:
    """Return the mount options to try: the default subvolume, then those with the name of a root."""
    if volume.kind != "btrfs":
        return ("",)
    top = disk.directory()
    await mount_volume(disk, volume, top, "subvolid=5")
    names = [name for name in ROOT_SUBVOLUMES if _is_directory(top, name)]
    await run(["umount", str(top)])
    disk.loops.pop(key(volume), None)
    return ("", *(f"subvol={name}" for name in names))


def key(volume: Volume) -> str:
    """Return the name under which a volume's loop device is kept."""
    return str(volume.extents)


async def assemble(disk: OpenDisk, root: Root) -> Path:
    """Mount the system's other parts where its fstab says, and return its root directory."""
    if root.volume.file_system and root.volume.file_system.unclean:
        disk.warnings.append(
            f"{disk.name} was not shut down cleanly, or is in use: the last changes on it may be missing."
        )
    mounts = fstab.read_fstab(read_inside(root.path, "etc/fstab") or b"")
    own = volumes.disk_name(mounts, root.volume)
    for mount in fstab.of_the_system(mounts):
        try:
            await _add(disk, root, mount, own)
        except LtspError as error:
            if mount.point in _VITAL and not mount.optional:
                raise
            disk.warnings.append(error.message)
    return root.path


async def _add(disk: OpenDisk, root: Root, mount: Mount, own: str) -> None:
    target = resolved(root.path, mount.point)
    if target is None:
        raise BadDisk(f"{disk.name}: its fstab mounts {mount.point}, but there is no such directory.")
    if mount.bind:
        await _bind(disk, root, mount, target)
        return
    # The root first: a partition that is its copy has the same names, but the root is meant.
    volume = volumes.find((root.volume, *disk.volumes), mount, own)
    if volume is None:
        raise UnsupportedDisk(
            f"{disk.name}: its {mount.point} is on {mount.spec}, {_not_here(mount, own)}. "
            f"It has: {', '.join(map(str, disk.volumes))}."
        )
    if (reason := volumes.why_not(volume)) or volume.kind not in MOUNT_TYPES:
        raise UnsupportedDisk(f"{disk.name}: its {mount.point}: {reason or f'{volume} can not be mounted'}.")
    again = (
        f"{disk.name}: its fstab mounts {mount.spec} at {mount.point}, which is {{}}. What an image leaves "
        "out of a system would be in it there. Correct or remove that line."
    )
    if volume == root.volume and volume.kind != "btrfs":
        raise UnsupportedDisk(again.format("the file system of its root once more"))
    await mount_volume(disk, volume, target, mount.subvolume if volume.kind == "btrfs" else "")
    if volume == root.volume and _holds(target, root.path):
        what = "a subvolume with its root in it"
    elif mount.point != "/usr" and is_system(target):
        what = "a system of its own"
    else:
        return
    await run(["umount", str(target)])
    raise UnsupportedDisk(again.format(what))


async def _bind(disk: OpenDisk, root: Root, mount: Mount, target: Path) -> None:
    source = resolved(root.path, mount.spec)
    if source is None:
        raise BadDisk(
            f"{disk.name}: its fstab shows {mount.spec} at {mount.point}; below its root it is not there."
        )
    kept = (root.path / each.lstrip("/") for each in (*fstab.LEFT_OUT, *_CLEANED))
    if target.is_relative_to(source) or any(each.is_relative_to(source) for each in kept):
        raise UnsupportedDisk(
            f"{disk.name}: its fstab shows {mount.spec} again at {mount.point}. What an image leaves out of "
            "it would be in the image there. Correct or remove that line."
        )
    await run(["mount", "-c", "--bind", str(source), str(target)])


def _not_here(mount: Mount, own: str) -> str:
    """Return why no volume of the disk matches a line of fstab."""
    if fstab.device_partition(mount.spec) is None or own:
        return "which is not on this disk"
    return (
        "which may be on any disk: its root is not named in that way. "
        "If it is on this one, name it by UUID= in that fstab"
    )


def _holds(mounted: Path, root: Path) -> bool:
    """Return whether one mount of a file system shows all that another mount of it does."""
    return f"{_shown(root)}/".startswith(f"{_shown(mounted).rstrip('/')}/")


def _shown(mounted: Path) -> str:
    """Return the directory of its file system that is mounted here (proc(5): fdinfo, mountinfo)."""
    descriptor = os.open(mounted, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    finally:
        os.close(descriptor)
    number = next(line.split()[1] for line in facts if line.startswith("mnt_id:"))
    lines = (line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return next(fields[3] for fields in lines if fields[0] == number)


def resolved(root: Path, name: str) -> Path | None:
    """Return the real path of a directory of the system; links never lead out of the system."""
    try:
        descriptor = open_inside(root, name, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)
    return path if path.is_relative_to(root) and path != root else None


def reader(file: int) -> Callable[[int, int], bytes]:
    """Return a function that reads an open file and raises BadDisk."""

    def read(offset: int, length: int) -> bytes:
        try:
            return os.pread(file, length, offset)
        except OSError as error:
            raise BadDisk(f"The disk can't be read at byte {offset}: {error.strerror}.") from error

    return read
