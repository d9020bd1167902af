"""LVM's metadata: which bytes of a disk belong to which logical volume. Pure, bounded, raises BadDisk.

Volumes are not activated, because device-mapper has no namespaces: the whole machine would see an activated
volume, it could have the name of one of the machine's own, and it would outlive our process.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

from ltspd.disk.reading import MAX_READ, View, little
from ltspd.errors import BadDisk

SECTOR = 512
# lib/format_text/layout.h of LVM2; its checksum is a CRC-32 with this start and no final inversion.
_MAGIC = b" LVM2 x[5A%r0N*>"
_CRC_START = 0xF597A6CF
_HEADER = 512
MAX_VOLUMES = 256
MAX_SEGMENTS = 1024
MAX_DEPTH = 8
_WORDS = re.compile(r'\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_.+-]+)|([{}\[\]=,])')

Value = str | int | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """One logical volume: ``extents`` are offset and size in bytes of the disk, in order.

    If it can't be read, ``refusal`` says why and there are no extents. ``identity`` is the group's id and its
    own together, without dashes, as in device-mapper.
    """

    group: str
    name: str
    extents: tuple[tuple[int, int], ...] = ()
    refusal: str = ""
    identity: str = ""


def read_volumes(disk: View, places: Mapping[int, int]) -> tuple[LogicalVolume, ...]:
    """Return the logical volumes of a disk's LVM partitions; raises BadDisk.

    ``places`` maps each such partition's offset to its size, both in bytes.
    """
    physical: dict[str, tuple[int, int]] = {}
    groups: dict[str, dict[str, Value]] = {}
    for offset, size in places.items():
        identity, text = _metadata(disk.part(offset, size))
        physical[identity] = offset, size
        if text:
            groups.update({key: each for key, each in _parse(text).items() if isinstance(each, dict)})
    found = [each for name, group in groups.items() for each in _logical(name, group, physical)]
    return tuple(found[:MAX_VOLUMES])


def checksum(data: bytes) -> int:
    """Return LVM's checksum of some bytes."""
    return crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _metadata(part: View) -> tuple[str, str]:
    """Return a physical volume's identity and the text of its group's metadata (it may have none)."""
    head = part.at(0, 2048)
    at = next((each for each in range(0, 2048, SECTOR) if head[each : each + 8] == b"LABELONE"), -1)
    if at < 0:
        raise BadDisk("Its LVM label is gone.")
    header = at + little(head, at + 20, 4)
    identity = head[header : header + 32].decode("latin-1")
    # After identity and size come two lists of offsets and sizes, each ended by zeros: data, metadata.
    places, lists = header + 40, 0
    while lists < 2 and places + 16 <= len(head):
        offset, size = little(head, places, 8), little(head, places + 8, 8)
        places += 16
        if not offset:
            lists += 1
        elif lists == 1 and (text := _text(part, offset, size)):
            return identity, text
    return identity, ""


def _text(part: View, offset: int, size: int) -> str:
    """Return what a metadata area holds: the text lies in a ring behind its header."""
    header = part.at(offset, _HEADER)
    start, length = little(header, 40, 8), little(header, 48, 8)
    if header[4:20] != _MAGIC or checksum(header[4:]) != little(header, 0, 4):
        return ""
    if not length or little(header, 60, 4) & 1:
        return ""
    if not _HEADER <= start < size or length > min(size - _HEADER, MAX_READ):
        raise BadDisk("Its LVM metadata lies outside of where it should be.")
    first = min(length, size - start)
    content = part.at(offset + start, first)
    if first < length:
        content += part.at(offset + _HEADER, length - first)
    if checksum(content) != little(header, 56, 4):
        raise BadDisk("Its LVM metadata has a wrong checksum.")
    return content.rstrip(b"\0").decode("utf-8", "replace")


def _parse(text: str) -> dict[str, Value]:
    words = _words(text)
    found: dict[str, Value] = {}
    for word in words:
        _entry(word, words, found, 0)
    return found


def _words(text: str) -> Iterator[str]:
    """Yield words and marks; a quoted word begins with a quote."""
    at = 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise BadDisk(f"Its LVM metadata is damaged at character {at}.")
        at = match.end()
        if match[1] is not None:
            yield '"' + match[1]
        elif match[2] or match[3]:
            yield match[2] or match[3]


def _entry(name: str, words: Iterator[str], into: dict[str, Value], depth: int) -> None:
    mark = next(words, "")
    if name in "{}[]=," or depth > MAX_DEPTH or mark not in ("{", "="):
        raise BadDisk(f"Its LVM metadata is damaged near {name[:40]!r}.")
    if mark == "=":
        into[name] = _value(words)
        return
    section: dict[str, Value] = {}
    for word in words:
        if word == "}":
            into[name] = section
            return
        _entry(word, words, section, depth + 1)
    raise BadDisk("Its LVM metadata ends too early.")


def _value(words: Iterator[str]) -> Value:
    word = next(words, "")
    if word != "[":
        return _scalar(word)
    found: list[Value] = []
    for each in words:
        if each == "]":
            return found
        if each != ",":
            found.append(_scalar(each))
    raise BadDisk("Its LVM metadata ends too early.")


def _scalar(word: str) -> Value:
    if word.startswith('"'):
        return word[1:]
    # No number of 64 bits is longer.
    return int(word) if word.isascii() and word.isdigit() and len(word) < 20 else word


def _section(parent: Mapping[str, Value], name: str) -> dict[str, Value]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _number(parent: Mapping[str, Value], name: str) -> int:
    found = parent.get(name)
    if not isinstance(found, int):
        raise BadDisk(f"Its LVM metadata has no number for {name}.")
    return found


def _logical(
    name: str, group: dict[str, Value], physical: Mapping[str, tuple[int, int]]
) -> Iterator[LogicalVolume]:
    if "extent_size" not in group:
        return
    unit = _number(group, "extent_size") * SECTOR
    disks: dict[str, tuple[int, int, int]] = {}
    for key, each in _section(group, "physical_volumes").items():
        if isinstance(each, dict):
            place = physical.get(str(each.get("id", "")).replace("-", ""))
            if place is not None:
                disks[key] = (*place, _number(each, "pe_start") * SECTOR)
    for volume, each in _section(group, "logical_volumes").items():
        status = each.get("status") if isinstance(each, dict) else None
        if isinstance(each, dict) and isinstance(status, list) and "VISIBLE" in status:
            found = _extents(each, unit, disks)
            reason = found if isinstance(found, str) else ""
            identity = f"{group.get('id', '')}{each.get('id', '')}".replace("-", "")
            yield LogicalVolume(name, volume, () if isinstance(found, str) else found, reason, identity)


def _extents(
    volume: dict[str, Value], unit: int, disks: Mapping[str, tuple[int, int, int]]
) -> tuple[tuple[int, int], ...] | str:
    """Return a volume's extents, adjacent ones joined, or why it can't be read."""
    segments = [each for key, each in volume.items() if key.startswith("segment") and isinstance(each, dict)]
    if not segments or len(segments) > MAX_SEGMENTS or not unit:
        return "has no segments that make sense"
    segments.sort(key=lambda each: _number(each, "start_extent"))
    found: list[tuple[int, int]] = []
    expected = 0
    for each in segments:
        kind, stripes = each.get("type"), each.get("stripes")
        if kind != "striped" or each.get("stripe_count") != 1 or not isinstance(stripes, list):
            return f"is of the LVM type {kind!s}, and only plain (linear) ones are read"
        if len(stripes) != 2 or not isinstance(stripes[1], int) or not isinstance(stripes[0], str):
            return "has a segment that makes no sense"
        if stripes[0] not in disks:
            return "is in part on another disk"
        offset, size, start = disks[stripes[0]]
        at, length = start + stripes[1] * unit, _number(each, "extent_count") * unit
        if _number(each, "start_extent") * unit != expected or not 0 < at + length <= size or not length:
            return "has segments that overlap or lie outside its partition"
        expected += length
        if found and found[-1][0] + found[-1][1] == offset + at:
            found[-1] = found[-1][0], found[-1][1] + length
        else:
            found.append((offset + at, length))
    return tuple(found)
