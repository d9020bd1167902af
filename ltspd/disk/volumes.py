"""What a disk consists of: its partitions, or itself, with what each holds. Pure; raises BadDisk."""

from collections.abc import Iterable
from dataclasses import dataclass

from ltspd.disk.filesystems import REFUSALS, FileSystem, block_size_is_sane, recognize
from ltspd.disk.fstab import Mount, device_partition, logical_volume, tag
from ltspd.disk.reading import View
from ltspd.disk.tables import Partition, read_table


@dataclass(frozen=True, slots=True)
class Volume:
    """A part of a disk that may hold a file system: ``offset`` and ``size`` in bytes of the disk.

    ``number`` is the partition's (0: there is none); ``group`` and ``logical`` name an LVM volume.
    """

    title: str
    offset: int
    size: int
    file_system: FileSystem | None
    number: int = 0
    partition: Partition | None = None
    group: str = ""
    logical: str = ""

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
    """Return what is on a disk; raises BadDisk if its table can't be right."""
    table = read_table(disk)
    if not table.partitions:
        return Layout(table.kind, (Volume("the whole disk", 0, disk.size, recognize(disk)),), table.damaged)
    found = []
    for each in table.partitions:
        here = recognize(disk.part(each.start, each.size))
        found.append(Volume(f"partition {each.number}", each.start, each.size, here, each.number, each))
    return Layout(table.kind, tuple(found), table.damaged)


def whole(volume: Volume, disk: View) -> bool:
    """Return whether the file system fits in its volume; a copy that was cut short does not."""
    return block_size_is_sane(volume.kind, disk.part(volume.offset, volume.size))


def find(volumes: Iterable[Volume], mount: Mount, own: str) -> Volume | None:
    """Return the volume that a line of fstab means, or None.

    ``own`` is the disk that fstab has the root on (``sda``), or empty.
    """
    named = tag(mount.spec)
    device = device_partition(mount.spec)
    logical = logical_volume(mount.spec)
    for each in volumes:
        if named is not None:
            if _tagged(each, *named):
                return each
        elif device is not None:
            if each.number == device[1] and own in ("", device[0]):
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
        case "PARTUUID":
            return partition is not None and partition.uuid.lower() == value.lower() != ""
        case _:
            return partition is not None and partition.name == value != ""


def why_not(volume: Volume) -> str:
    """Return why there is no system on a volume, as far as its kind tells; else an empty string."""
    if volume.kind in REFUSALS:
        return f"{volume.title} {REFUSALS[volume.kind]}"
    return ""
