"""What a partition holds, by the magic numbers in its first bytes. Pure and bounded; raises nothing."""

from dataclasses import dataclass
from uuid import UUID

from ltspd.disk.reading import View, big, little, text

# The file systems of a root that Linux can mount, with type and options: no journal is replayed, because that
# would write.
MOUNT_TYPES = {
    "ext2": ("ext4", "noload"),
    "ext3": ("ext4", "noload"),
    "ext4": ("ext4", "noload"),
    "xfs": ("xfs", "norecovery,nouuid"),
    "btrfs": ("btrfs", "rescue=nologreplay"),
    "squashfs": ("squashfs", ""),
    "erofs": ("erofs", ""),
    "vfat": ("vfat", "iocharset=utf8"),
}
# The formats that are known but not read, and why.
REFUSALS = {
    "luks": "is encrypted (LUKS). Decrypt it into another image first",
    "bitlocker": "is encrypted (BitLocker)",
    "zfs": "belongs to a ZFS pool, which is not read. Copy the system to ext4, or to a directory",
    "raid": "is a part of a Linux software RAID. Copy the assembled array instead",
    "ntfs": "is a Windows file system (NTFS)",
    "exfat": "is exFAT, which can't hold a Linux system",
    "f2fs": "is F2FS, which is not read. Copy the system to ext4, or to a directory",
    "bcachefs": "is bcachefs, which is not read. Copy the system to ext4, or to a directory",
}


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system; ``unclean`` if it was mounted when the disk was copied or the machine failed."""

    kind: str
    uuid: str = ""
    label: str = ""
    unclean: bool = False


def recognize(part: View) -> FileSystem | None:
    """Return what the bytes are, or None if they are unknown. A disk without a table is one part."""
    head = part.at(0, 4096)
    for look in (_encrypted, _lvm, _squashfs, _xfs, _btrfs, _raid, _iso, _ext, _other, _fat, _swap, _zfs):
        if (found := look(part, head)) is not None:
            return found
    return None


def _uuid(data: bytes) -> str:
    return str(UUID(bytes=data)) if len(data) == 16 else ""


def _encrypted(_part: View, head: bytes) -> FileSystem | None:
    if head[:6] == b"LUKS\xba\xbe":
        return FileSystem("luks", text(head[168:208]))
    return FileSystem("bitlocker") if head[3:11] == b"-FVE-FS-" else None


def _lvm(_part: View, head: bytes) -> FileSystem | None:
    # The label lies in one of the first four sectors.
    for at in range(0, 2048, 512):
        if head[at : at + 8] == b"LABELONE" and head[at + 24 : at + 32] == b"LVM2 001":
            return FileSystem("lvm", text(head[at + 32 : at + 64]))
    return None


def _squashfs(_part: View, head: bytes) -> FileSystem | None:
    return FileSystem("squashfs") if head[:4] == b"hsqs" and little(head, 28, 2) == 4 else None


def _xfs(_part: View, head: bytes) -> FileSystem | None:
    return FileSystem("xfs", _uuid(head[32:48]), text(head[108:120])) if head[:4] == b"XFSB" else None


def _btrfs(part: View, _head: bytes) -> FileSystem | None:
    block = part.at(65536, 4096)
    if block[64:72] != b"_BHRfS_M":
        return None
    # An unclean end leaves a log tree.
    return FileSystem("btrfs", _uuid(block[32:48]), text(block[299:555]), little(block, 96, 8) != 0)


def _raid(part: View, head: bytes) -> FileSystem | None:
    magic = b"\xfc\x4e\x2b\xa9"
    spare = (part.size & ~0xFFF) - 0x2000
    places = (head[:4], part.at(4096, 4), part.at(spare, 4) if spare > 0 else b"")
    return FileSystem("raid") if magic in places else None


def _iso(part: View, _head: bytes) -> FileSystem | None:
    block = part.at(32768, 2048)
    return FileSystem("iso9660", "", text(block[40:72])) if block[1:6] == b"CD001" else None


def _ext(part: View, _head: bytes) -> FileSystem | None:
    block = part.at(1024, 1024)
    if block[56:58] != b"\x53\xef" or not little(block, 4, 4) or little(block, 24, 4) > 6:
        return None
    compatible, incompatible, read_only = (little(block, at, 4) for at in (92, 96, 100))
    if incompatible & 0x8:
        return None  # a device that only holds the journal of another one
    # Extents, flex_bg, 64bit, metadata_csum … are ext4's; a journal alone is ext3's.
    newer = incompatible & ~0x7 & ~0x10 or read_only & ~0x7
    kind = "ext4" if newer else "ext3" if compatible & 0x4 else "ext2"
    return FileSystem(kind, _uuid(block[104:120]), text(block[120:136]), bool(incompatible & 0x4))


def _other(part: View, head: bytes) -> FileSystem | None:
    block = part.at(1024, 16)
    if block[:4] == b"\xe2\xe1\xf5\xe0":
        return FileSystem("erofs")
    if block[:4] == b"\x10\x20\xf5\xf2":
        return FileSystem("f2fs")
    if part.at(4096 + 24, 4) == b"\xc6\x85\x73\xf6":
        return FileSystem("bcachefs")
    named = {b"NTFS    ": "ntfs", b"EXFAT   ": "exfat"}
    return FileSystem(named[head[3:11]]) if head[3:11] in named else None


def _fat(_part: View, head: bytes) -> FileSystem | None:
    if head[510:512] != b"\x55\xaa":
        return None
    for mark, serial in ((82, 67), (54, 39)):
        if head[mark : mark + 3] == b"FAT":
            number = little(head, serial, 4)
            return FileSystem(
                "vfat", f"{number >> 16:04X}-{number & 0xFFFF:04X}", text(head[mark - 11 : mark])
            )
    return None


def _swap(part: View, _head: bytes) -> FileSystem | None:
    # The mark is at the end of the first page, which is 4, 16 or 64 KiB.
    for page in (4096, 16384, 65536):
        if part.at(page - 10, 10) in (b"SWAPSPACE2", b"SWAP-SPACE"):
            return FileSystem("swap", _uuid(part.at(1024 + 12, 16)))
    return None


def _zfs(part: View, _head: bytes) -> FileSystem | None:
    # Uberblocks lie in a ring in the first label, 128 KiB in; one of them is current.
    ring = part.at(128 << 10, 128 << 10)
    magic = (0x00BAB10C).to_bytes(8, "little")
    return FileSystem("zfs") if any(ring[at : at + 8] == magic for at in range(0, len(ring), 1024)) else None


def block_size_is_sane(kind: str, part: View) -> bool:
    """Return whether the size in the superblock fits in the part; True for file systems that don't tell."""
    if kind.startswith("ext"):
        block = part.at(1024, 1024)
        high = little(block, 0x150, 4) if little(block, 96, 4) & 0x80 else 0
        return ((high << 32) + little(block, 4, 4)) << (10 + little(block, 24, 4)) <= part.size
    if kind == "xfs":
        block = part.at(0, 512)
        return big(block, 4, 4) * big(block, 8, 8) <= part.size
    if kind == "btrfs":
        return little(part.at(65536, 4096), 112, 8) <= part.size
    if kind == "squashfs":
        return little(part.at(0, 96), 40, 8) <= part.size
    return True
