"""The few facts of an ELF file that a boot initrd needs. Pure; executes nothing.

The layout is described in the System V ABI (gABI), chapters 4 and 5, and in elf(5).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_PT_INTERP = 3


@dataclass(frozen=True, slots=True)
class Elf:
    """``machine`` is e_machine (62 = x86-64, 183 = AArch64); ``interpreter`` is empty in a static program."""

    machine: int
    interpreter: str


def parse(data: bytes) -> Elf | None:
    """Return the facts of a program or shared library; None if the bytes are no valid ELF file."""
    try:
        machine = _format(data)[3]
        segments = list(_segments(data))
        return Elf(machine, next((_text(data, at) for kind, at in segments if kind == _PT_INTERP), ""))
    except (struct.error, ValueError, IndexError):
        return None


def module_info(data: bytes, key: str) -> tuple[str, ...]:
    """Return the values of a key of a kernel module's ``.modinfo`` section; empty if there is none."""
    try:
        section = _section(data, b".modinfo")
    except (struct.error, ValueError, IndexError):
        return ()
    prefix = key.encode() + b"="
    parts = section.split(b"\0")
    return tuple(
        part[len(prefix) :].decode("utf-8", "surrogateescape") for part in parts if part.startswith(prefix)
    )


def _format(data: bytes) -> tuple[str, bool, int, int]:
    """Return byte order, whether it is 64 bit, the header's size up to the tables, and the machine."""
    if data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ValueError("no ELF file")
    order = "<" if data[5] == 1 else ">"
    return order, data[4] == 2, data[4], int(struct.unpack_from(order + "H", data, 18)[0])


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield type and file offset of each program header."""
    order, wide, _, _ = _format(data)
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    for index in range(count):
        at = start + index * size
        if wide:
            kind, _, offset = struct.unpack_from(order + "IIQ", data, at)
        else:
            kind, offset = struct.unpack_from(order + "II", data, at)
        yield kind, offset


def _section(data: bytes, wanted: bytes) -> bytes:
    order, wide, _, _ = _format(data)
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 40 if wide else 32)[0]
    size, count, names_index = struct.unpack_from(order + "HHH", data, 58 if wide else 46)

    def header(index: int) -> tuple[int, int, int]:
        at = start + index * size
        if wide:
            name, _, _, _, offset, length = struct.unpack_from(order + "IIQQQQ", data, at)
        else:
            name, _, _, _, offset, length = struct.unpack_from(order + "IIIIII", data, at)
        return name, offset, length

    _, names, _ = header(names_index)
    for index in range(count):
        name, offset, length = header(index)
        end = data.index(b"\0", names + name)
        if data[names + name : end] == wanted:
            return data[offset : offset + length]
    return b""


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("utf-8", "surrogateescape")
