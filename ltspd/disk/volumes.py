"""The volumes of a disk: its partitions and LVM volumes, or the whole disk. Pure; raises BadDisk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ltspd.disk.filesystems import REFUSALS, FileSystem, block_size_is_sane, recognize
from ltspd.disk.fstab import Mount, device_partition, logical_volume, tag
from ltspd.disk.lvm import read_volumes
from ltspd.disk.reading import View, joined
from ltspd.disk.tables import Partition, read_table


@dataclass(frozen=True, slots=True)
class Volume:
    """A part of a disk that may hold a file system: ``extents`` are offsets and sizes in bytes of the disk.

    ``number`` is the partition's (0: there is none); ``group``, ``logical`` and ``identity`` are of an LVM
    volume. A ``refusal`` says why it can't be read.
    """

    title: str
    extents: tuple[tuple[int, int], ...]
    file_system: FileSystem | None
    number: int = 0
    partition: Partition | None = None
    group: str = ""
    logical: str = ""
    refusal: str = ""
    identity: str = ""

    @property
    def kind(self) -> str:
        """The file system's name, or an empty string."""
        return self.file_system.kind if self.file_system else ""

    def __str__(self) -> str:
        """Return how a message names it: ``partition 2 (ext4 "root")``."""
        label = f' "{self.file_system.label}"' if self.file_system and self.file_system.label else ""
        return f"{self.title} ({self.kind or 'nothing known'}{label})"


@dataclass(frozen=True, slots=True)
class Layout:
    """A disk's table (gpt, mbr, none) and volumes; ``damaged`` if the table's spare copy had to be read."""

    table: str
    volumes: tuple[Volume, ...]
    damaged: bool = False


def look(disk: View) -> Layout:
    """Return the layout of a disk; raises BadDisk if its table can't be right."""
    table = read_table(disk)
    found = [
        Volume(
            f"partition {each.number}",
            ((each.start, each.size),),
            recognize(disk.part(each.start, each.size)),
            each.number,
            each,
        )
        for each in table.partitions
    ] or [Volume("the whole disk", ((0, disk.size),), recognize(disk))]
    return Layout(table.kind, (*found, *_logical(disk, found)), table.damaged)


def _logical(disk: View, found: list[Volume]) -> Iterator[Volume]:
    physical = [each for each in found if each.kind == "lvm"]
    for each in read_volumes(disk, dict(volume.extents[0] for volume in physical)):
        title = f"LVM volume {each.group}/{each.name}"
        here = None if each.refusal else recognize(joined(disk, each.extents))
        number = next(
            (
                one.number
                for one in physical
                if each.extents and 0 <= each.extents[0][0] - one.extents[0][0] < one.extents[0][1]
            ),
            0,
        )
        yield Volume(
            title, each.extents, here, number, None, each.group, each.name, each.refusal, each.identity
        )


def whole(volume: Volume, disk: View) -> bool:
    """Return whether the file system fits in its volume; in a copy that was cut short it does not."""
    return block_size_is_sane(volume.kind, joined(disk, volume.extents))


def disk_name(mounts: Iterable[Mount], root: Volume) -> str:
    """Return the system's own name for the disk of its root (``sda``), or an empty string.

    The names of disks depend on the machine. Only fstab's line of the root can tell this one, if it names the
    partition that the root is really in.
    """
    for each in mounts:
        device = device_partition(each.spec)
        if each.point == "/" and device is not None and not root.logical and device[1] == root.number:
            return device[0]
    return ""


def find(volumes: Iterable[Volume], mount: Mount, own: str) -> Volume | None:
    """Return the volume that a line of fstab means, or None if it is not known to be on this disk.

    ``own`` is the system's own name for this disk (``sda``), or empty.
    """
    named = tag(mount.spec)
    device = device_partition(mount.spec)
    logical = logical_volume(mount.spec)
    for each in volumes:
        if named is not None:
            if _tagged(each, *named):
                return each
        elif device is not None:
            if not each.logical and own and device == (own, each.number):
                return each
        elif logical is not None and each.logical and (each.group, each.logical) == logical:
            return each
    return None


def _tagged(volume: Volume, key: str, value: str) -> bool:
    here, partition = volume.file_system, volume.partition
    match key:
        case "UUID":
            return here is not None and here.uuid.lower() == value.lower() != ""
        case "LABEL":
            return here is not None and here.label == value != ""
        case "LVM":
            return volume.identity == value
        case "PARTUUID":
            return partition is not None and partition.uuid.lower() == value.lower() != ""
        case _:
            return partition is not None and partition.name == value != ""


def why_not(volume: Volume) -> str:
    """Return why a volume can't be read, or an empty string."""
    if volume.refusal:
        return f"{volume.title} {volume.refusal}"
    if volume.kind in REFUSALS:
        return f"{volume.title} {REFUSALS[volume.kind]}"
    return ""
