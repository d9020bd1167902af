"""Signed EFI programs: their table of certificates and their SBAT section. Pure.

Formats: Microsoft's "PE Format" (headers, attribute certificate table) and SBAT.md of shim. This looks at
names, and checks no signature: that is the firmware's work.
"""

import re
import struct
from collections.abc import Iterator

from ltspd.model.menu import Loader

# More of anything no program of the kind has.
MOST_SECTIONS, MOST_SIGNATURES = 96, 16
_SECURITY, _PKCS = 4, 2
# shim holds levels as text: a header with a date, then the lowest generation of each component.
_LEVEL = re.compile(rb"sbat,1,([0-9]{10})\n((?:[a-z0-9._-]{1,64},[0-9]{1,9}\n){0,64})")


def read(data: bytes, names: frozenset[str]) -> Loader:
    """Return what a program says of itself; of the names in signatures, those that are asked for.

    Raises ValueError with the reason.
    """
    try:
        header = struct.unpack_from("<I", data, 0x3C)[0]
        if data[:2] != b"MZ" or data[header : header + 4] != b"PE\0\0":
            raise ValueError("is no EFI program")
        optional = header + 24
        wide = struct.unpack_from("<H", data, optional)[0] == 0x20B
        table, size = struct.unpack_from("<II", data, optional + (112 if wide else 96) + 8 * _SECURITY)
        count, length = struct.unpack_from("<H12xH", data, header + 6)
        sections = optional + length
        return Loader(
            tuple(_signatures(data, table, size, names)),
            _generations(_section(data, sections, min(count, MOST_SECTIONS), b".sbat")),
            _least(data),
        )
    except struct.error:
        raise ValueError("is an EFI program that ends too early") from None


def _signatures(data: bytes, place: int, size: int, names: frozenset[str]) -> Iterator[frozenset[str]]:
    """Yield the names in each certificate; each begins at a multiple of 8."""
    end = min(place + size, len(data))
    for _ in range(MOST_SIGNATURES):
        if place + 8 > end:
            return
        length, kind = struct.unpack_from("<I2xH", data, place)
        if length < 8:
            return
        if kind == _PKCS:
            inside = data[place + 8 : min(place + length, end)]
            yield frozenset(name for name in names if name.encode() in inside)
        place += (length + 7) & ~7


def _section(data: bytes, place: int, count: int, wanted: bytes) -> bytes:
    for number in range(count):
        name, size, _, stored, start = struct.unpack_from("<8sIIII", data, place + 40 * number)
        if name.rstrip(b"\0") == wanted:
            return data[start : start + min(size, stored)]
    return b""


def _generations(section: bytes) -> dict[str, int]:
    rows = re.findall(rb"^([a-z0-9._-]{1,64}),([0-9]{1,9}),", section, re.MULTILINE)
    return {name.decode(): int(number) for name, number in rows}


def _least(data: bytes) -> dict[str, int]:
    """Return the level that shim writes by itself ("automatic"); the later one is only for who asks."""
    levels = sorted((found[1], found[2]) for found in _LEVEL.finditer(data) if found[2])
    if not levels:
        return {}
    rows = levels[0][1].decode().split()
    return {name: int(number) for name, _, number in (row.partition(",") for row in rows)}
