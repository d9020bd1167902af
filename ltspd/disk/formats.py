"""The kind of a disk image, and the meaning of QEMU's description of one. Pure.

Raises only UnsupportedDisk and BadDisk. The content tells the kind, never the name. QEMU gets the kind as an
option, so it never guesses.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ltspd.disk.reading import little
from ltspd.errors import BadDisk, UnsupportedDisk

# Bytes at a file's beginning that tell its kind; a tar's mark, at 257, is the last one.
HEAD = 4096
# A VMDK's description names its parts; VMware writes at most some kilobytes.
MAX_DESCRIPTION = 64 << 10
MAX_PARTS = 64
# No disk is larger: ext4's limit at common settings.
MAX_SIZE = 1 << 54
# A chain of snapshots longer than this is refused.
MAX_BACKING = 8

_UNUSABLE = (
    (0, b"vhdxfile", "is a Hyper-V disk (VHDX)", "Convert it: qemu-img convert -O qcow2 {0} new.qcow2"),
    (
        0,
        b"conectix",
        "is a Virtual PC disk (VHD)",
        "Convert it: qemu-img convert -f vpc -O qcow2 {0} new.qcow2",
    ),
    (0, b"QED\0", "is a QED disk", "Convert it: qemu-img convert -f qed -O qcow2 {0} new.qcow2"),
    (
        0,
        b"COWD",
        "is an old ESX disk (vmfsSparse)",
        "Convert it: qemu-img convert -f vmdk -O qcow2 {0} new.qcow2",
    ),
    (0, b"\x1f\x8b", "is compressed (gzip)", "Unpack it first"),
    (0, b"\xfd7zXZ\0", "is compressed (xz)", "Unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed (zstd)", "Unpack it first"),
    (0, b"BZh", "is compressed (bzip2)", "Unpack it first"),
    (0, b"PK\3\4", "is an archive (zip)", "Unpack it first"),
    (0, b"7z\xbc\xaf", "is an archive (7z)", "Unpack it first"),
    (257, b"ustar", "is an archive (tar, as .ova files are)", "Unpack it and use the disk in it"),
)
# The name of a part: a file in the same directory, no option and no protocol ("json:", "nbd:…") of QEMU.
_PLAIN = re.compile(r"[A-Za-z0-9 ._()+@~-]*[A-Za-z0-9_()+@~-]")
_EXTENT = re.compile(
    r'^\s*(?:RW|RDONLY|NOACCESS)\s+(\d{1,18})\s+([A-Z]+)(?:\s+"([^"\n]*)")?(?:\s+(\d{1,18}))?\s*$'
)


def detect(head: bytes, name: str) -> str:
    """Return QEMU's word for a file's kind: qcow2, vmdk, vdi, or raw for everything else."""
    if head[:4] == b"QFI\xfb":
        if int.from_bytes(head[4:8], "big") not in (2, 3):
            raise UnsupportedDisk(f"{name} is a QCOW of an unknown version. Convert it with qemu-img.")
        return "qcow2"
    if head[:4] == b"KDMV" or head.lstrip()[:21].lower() == b"# disk descriptorfile":
        return "vmdk"
    if little(head, 64, 4) == 0xBEDA107F:
        return "vdi"
    for at, mark, what, advice in _UNUSABLE:
        if head[at : at + len(mark)] == mark:
            raise UnsupportedDisk(f"{name} {what}, which is not read as it is. {advice.format(name)}.")
    return "raw"


def plain_name(part: str, name: str, places: Iterable[str] = ()) -> str:
    """Return the name of the file that ``part`` means, if it is beside the image; raises UnsupportedDisk.

    ``places`` are the paths of the image's directory: ``part`` may be a whole path there, too.
    """
    directory, _, last = posixpath.normpath(part).rpartition("/")
    if directory in places:
        part = last
    if not _PLAIN.fullmatch(part) or part.startswith((".", "-")):
        raise UnsupportedDisk(
            f"{name} refers to {part[:200]!r}, which is not a file in the same directory. "
            "Only files beside an image are opened for it. Make one file of it: qemu-img convert -O qcow2."
        )
    return part


def vmdk_parts(description: bytes, name: str) -> tuple[str, ...]:
    """Return the names of the files in a VMDK's text description; raises BadDisk, UnsupportedDisk."""
    if len(description) > MAX_DESCRIPTION:
        raise BadDisk(f"{name} has a description of over {MAX_DESCRIPTION} bytes.")
    parts: dict[str, None] = {}
    for line in description.decode("latin-1").splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "parentcid" and value.strip().lower() != "ffffffff":
            raise UnsupportedDisk(f"{name} is a snapshot of another disk. Consolidate it in VMware first.")
        if not (match := _EXTENT.match(line)):
            continue
        if match[2] not in ("FLAT", "SPARSE", "ZERO"):
            raise UnsupportedDisk(f"{name} has a part of the kind {match[2]}, which is not read.")
        if match[3]:
            parts[plain_name(match[3], name)] = None
    if not parts or len(parts) > MAX_PARTS:
        raise BadDisk(f"{name} names {len(parts)} parts; 1 to {MAX_PARTS} would be right.")
    return tuple(parts)


def join_description(extents: Iterable[tuple[int, int]], file: str) -> str:
    """Return a VMDK description of a disk made of pieces of a file, each an offset and a size in bytes."""
    lines = [f'RW {size // 512} FLAT "{file}" {offset // 512}' for offset, size in extents]
    head = ("# Disk DescriptorFile", "version=1", "CID=fffffffe", "parentCID=ffffffff")
    return "\n".join([*head, 'createType="twoGbMaxExtentFlat"', *lines, ""])


@dataclass(frozen=True, slots=True)
class Info:
    """QEMU's description of an image: the disk's size in bytes, and the file that it is a difference to."""

    size: int
    backing: str = ""


def read_info(output: bytes, name: str, places: Iterable[str] = ()) -> Info:
    """Return the output of ``qemu-img info --output=json`` for an image; raises BadDisk, UnsupportedDisk.

    ``places`` is as in ``plain_name``.
    """
    try:
        info = json.loads(output)
        size, backing = info["virtual-size"], info.get("backing-filename", "")
        special = info.get("format-specific", {}).get("data", {})
        encrypted = bool(info.get("encrypted")) or "encrypt" in special
        data_file, corrupt = special.get("data-file"), special.get("corrupt")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadDisk(f"{name} can't be described by qemu-img ({error}).") from error
    if not isinstance(size, int) or not isinstance(backing, str) or not 0 < size <= MAX_SIZE:
        raise BadDisk(f"{name} says that it is a disk of {size!r} bytes.")
    if encrypted:
        raise UnsupportedDisk(f"{name} is encrypted. Decrypt it into another image with qemu-img convert.")
    if data_file:
        raise UnsupportedDisk(
            f"{name} keeps its data in another file. Make one of it: qemu-img convert -O qcow2."
        )
    if corrupt:
        raise BadDisk(f"{name} is marked as corrupt. Run: qemu-img check -r all {name}.")
    return Info(size, plain_name(backing, name, places) if backing else "")


def drive(kind: str, file: str, backing: Mapping[str, object] | None = None) -> dict[str, object]:
    """Return the description of one read-only image file for ``qemu-storage-daemon --blockdev``."""
    # Without a lock: the file may belong to a running machine, and we only read it.
    below = {"driver": "file", "filename": file, "locking": "off", "read-only": True}
    found: dict[str, object] = {"driver": kind, "read-only": True, "file": below}
    if kind == "qcow2":
        found["backing"] = backing
    return found
