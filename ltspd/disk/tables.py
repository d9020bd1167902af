"""Partition tables, MBR and GPT: bytes to partitions. Pure, bounded, raises only BadDisk.

Tables are not trusted: entries that overlap, lie outside the disk or form a circle are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

from ltspd.disk.reading import View, little, text
from ltspd.errors import BadDisk

SECTOR = 512
# GPT counts in sectors of one of these sizes in bytes; images rarely say which.
SECTORS = (512, 4096)
# UEFI 2.10, 5.3.2: at least 128 entries; nobody writes more than a few hundred.
MAX_ENTRIES = 1024
MAX_LOGICAL = 128
GPT_TYPES = (0xEE,)
EXTENDED = (0x05, 0x0F, 0x85)
# An EFI system partition holds boot programs, never a system: its types in GPT and MBR.
EFI_SYSTEM = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef")
_UNUSED = bytes(16)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. ``start`` and ``size`` are in bytes; ``type`` is a GUID or, of an MBR, ``0x83``."""

    number: int
    start: int
    size: int
    type: str
    uuid: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A disk's partitions by number. ``kind`` is gpt, mbr or none; ``damaged``: the spare copy was read."""

    kind: str
    partitions: tuple[Partition, ...] = ()
    damaged: bool = False


NO_TABLE = Table("none")


def read_table(disk: View) -> Table:
    """Return the disk's partition table; raises BadDisk if there is one that can't be right."""
    head = disk.at(0, SECTOR)
    if head[510:512] != b"\x55\xaa":
        return NO_TABLE
    entries = [head[446 + 16 * index : 462 + 16 * index] for index in range(4)]
    if any(entry[4] in GPT_TYPES for entry in entries):
        return _read_gpt(disk)
    if _is_boot_sector_of_file_system(head) or not any(entry[4] for entry in entries):
        return NO_TABLE
    return Table("mbr", _checked(disk, _mbr(disk, head, entries)))


def _is_boot_sector_of_file_system(head: bytes) -> bool:
    """Return whether this is FAT, NTFS or exFAT, which end like an MBR but have code in the table's place."""
    return (
        head[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-")
        or head[54:57] == b"FAT"
        or head[82:85] == b"FAT"
    )


def _mbr(disk: View, head: bytes, entries: list[bytes]) -> Iterator[Partition]:
    identity = f"{little(head, 440, 4):08x}"
    for number, entry in enumerate(entries, 1):
        if not _is_used(entry):
            continue
        if entry[0] & 0x7F:
            raise BadDisk(f"Its partition table is damaged: entry {number} has the status {entry[0]:#04x}.")
        start, size = little(entry, 8, 4) * SECTOR, little(entry, 12, 4) * SECTOR
        if entry[4] in EXTENDED:
            yield from _logical(disk, identity, start, size)
        else:
            yield _mbr_partition(number, start, size, entry[4], identity)


def _is_used(entry: bytes) -> bool:
    """Return whether an entry of an MBR is a partition: it has a type and a size, as Linux wants it."""
    return bool(entry[4] and little(entry, 12, 4))


def _mbr_partition(number: int, start: int, size: int, kind: int, identity: str) -> Partition:
    return Partition(number, start, size, f"{kind:#04x}", f"{identity}-{number:02x}")


def _logical(disk: View, identity: str, start: int, size: int) -> Iterator[Partition]:
    """Follow the chain of logical partitions; the places in it count from the extended partition's start."""
    at, seen, number = start, set[int](), 5
    while True:
        if at in seen or len(seen) >= MAX_LOGICAL:
            raise BadDisk(
                "Its logical partitions lead in a circle. The partition table is damaged or hostile."
            )
        if not start <= at <= min(start + size, disk.size) - SECTOR:
            raise BadDisk(f"Its logical partition {number} lies outside the extended one, at byte {at}.")
        seen.add(at)
        sector = disk.at(at, SECTOR)
        if sector[510:512] != b"\x55\xaa":
            if at == start:
                return  # no logical partition was ever made
            raise BadDisk(f"The sector that describes its logical partition {number} is damaged (byte {at}).")
        if _is_used(sector[446:462]):
            first, length = at + little(sector, 454, 4) * SECTOR, little(sector, 458, 4) * SECTOR
            if first + length > start + size:
                raise BadDisk(f"Its logical partition {number} reaches out of the extended one.")
            yield _mbr_partition(number, first, length, sector[450], identity)
            number += 1
        if sector[466] not in EXTENDED or not _is_used(sector[462:478]):
            return
        at = start + little(sector, 470, 4) * SECTOR


def _read_gpt(disk: View) -> Table:
    reasons = []
    for spare in (False, True):
        for sector in SECTORS:
            place = disk.size // sector * sector - sector if spare else sector
            header = disk.at(place, sector)
            if header[:8] != b"EFI PART":
                continue
            found = _gpt(disk, header, place // sector, sector)
            if not isinstance(found, str):
                return Table("gpt", _checked(disk, iter(found)), damaged=spare)
            reasons.append(f"{'spare' if spare else 'first'} copy: {found}")
    why = "; ".join(reasons) or "neither copy is there"
    raise BadDisk(
        f"Its GPT partition table can't be read ({why}). If it is a copy of a disk, copy it whole again."
    )


def _gpt(disk: View, header: bytes, place: int, sector: int) -> list[Partition] | str:
    """Return the partitions of one copy, or why it can't be used (UEFI 2.10, table 5.5)."""
    length = little(header, 12, 4)
    if not 92 <= length <= sector:
        return f"header of {length} bytes"
    if crc32(header[:16] + bytes(4) + header[20:length]) != little(header, 16, 4):
        return "header checksum is wrong"
    if little(header, 24, 8) != place:
        return "header belongs elsewhere"
    at, count, each = little(header, 72, 8) * sector, little(header, 80, 4), little(header, 84, 4)
    if not 1 <= count <= MAX_ENTRIES or each not in (128, 256, 512, 1024):
        return f"{count} entries of {each} bytes"
    if at + count * each > disk.size:
        return "entries lie outside the disk"
    entries = disk.at(at, count * each)
    if crc32(entries) != little(header, 88, 4):
        return "entries' checksum is wrong"
    found = []
    for index in range(count):
        entry = entries[index * each : (index + 1) * each]
        if entry[:16] != _UNUSED:
            first, last = little(entry, 32, 8), little(entry, 40, 8)
            if last + 1 == first:
                continue
            if first < max(2, little(header, 40, 8)):
                raise BadDisk(
                    f"Its partition {index + 1} overlaps the partition table, which is damaged or hostile."
                )
            name = text(entry[56:128].decode("utf-16-le", "replace").encode("utf-8", "replace"))
            kind, own = (str(UUID(bytes_le=entry[begin : begin + 16])) for begin in (0, 16))
            found.append(Partition(index + 1, first * sector, (last + 1 - first) * sector, kind, own, name))
    return found


def _checked(disk: View, partitions: Iterator[Partition]) -> tuple[Partition, ...]:
    """Return the partitions by number; raises BadDisk if one overlaps another or leaves the disk."""
    found = sorted(partitions, key=lambda each: each.start)
    end, before = SECTOR, 0
    for each in found:
        if each.size <= 0:
            raise BadDisk(f"Its partition {each.number} has no size.")
        if each.start < end:
            over = f"partition {before}" if before else "the partition table"
            raise BadDisk(f"Its partition {each.number} overlaps {over}. The table is damaged or hostile.")
        end, before = each.start + each.size, each.number
    if end > disk.size and found:
        raise BadDisk(
            f"Its partition {before} ends at byte {end}, but the disk at {disk.size}. "
            "If it is a copy of a disk, it was cut short: copy it whole again."
        )
    return tuple(sorted(found, key=lambda each: each.number))
