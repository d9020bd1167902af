"""The D-Bus wire format: plain values ↔ bytes. Pure, no sockets here.

Why not dbus-next's: importing that takes longer than a whole ``ltspctl status`` does with this, and it
takes the daemon five times as long to write a signal.
Values: struct, array and body are tuples and lists, a variant to be sent is ``(signature, value)``,
a variant that was received is its bare value.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_AUTO_START, ALLOW_INTERACTIVE = 2, 4

# Type code -> struct format and size, which is also the alignment (D-Bus specification, "Marshaling").
FIXED: Mapping[str, tuple[str, int]] = {
    "y": ("B", 1), "n": ("h", 2), "q": ("H", 2), "i": ("i", 4), "u": ("I", 4), "b": ("I", 4),
    "h": ("I", 4), "x": ("q", 8), "t": ("Q", 8), "d": ("d", 8),
}  # fmt: skip
# Header field code -> name and type.
FIELDS: Mapping[int, tuple[str, str]] = {
    1: ("path", "o"), 2: ("interface", "s"), 3: ("member", "s"), 4: ("error", "s"),
    5: ("reply_to", "u"), 6: ("destination", "s"), 7: ("sender", "s"), 8: ("signature", "g"),
}  # fmt: skip
# Fixed part of the header, in bytes: it ends with the length of the field array.
PREFIX = 16


class Message(NamedTuple):
    """A received message; fields that it lacks are empty."""

    kind: int
    serial: int
    reply_to: int
    path: str
    interface: str
    member: str
    error: str
    sender: str
    body: tuple[Any, ...]


@lru_cache(maxsize=256)
def split(signature: str) -> tuple[str, ...]:
    """Return the single complete types of a signature."""
    return tuple(_split(signature))


def _split(signature: str) -> Iterator[str]:
    start = at = 0
    while at < len(signature):
        if signature[at] == "a":
            at += 1
            continue
        if signature[at] in "({":
            depth = 0
            while True:
                depth += (signature[at] in "({") - (signature[at] in ")}")
                at += 1
                if depth == 0:
                    break
        else:
            at += 1
        yield signature[start:at]
        start = at


@lru_cache(maxsize=256)
def alignment(kind: str) -> int:
    """Return the alignment of a single type in bytes."""
    if kind[0] in "({":
        return 8
    if kind[0] in "gv":
        return 1
    return FIXED[kind][1] if kind in FIXED else 4


def _pad(out: bytearray, to: int) -> None:
    if odd := len(out) % to:
        out.extend(bytes(to - odd))


_Writer = Callable[[bytearray, Any], None]


def write(out: bytearray, kind: str, value: Any) -> None:
    """Append a value of a single complete type, little-endian.

    Text that isn't valid Unicode (a file name with other bytes in it) is written with replacement
    characters: one odd name must not make every message impossible.
    """
    _writer(kind)(out, value)


@lru_cache(maxsize=256)
def _writer(kind: str) -> _Writer:
    """Return what writes a type. Taking types apart takes longer than writing values, so it is done once."""
    if kind in FIXED:
        return _fixed(kind)
    if kind in "so":
        return _text
    if kind == "g":
        return _signature
    if kind == "v":
        return _variant
    return _array(kind[1:]) if kind[0] == "a" else _struct(split(kind[1:-1]))


def _fixed(kind: str) -> _Writer:
    code, size = FIXED[kind]
    pack = struct.Struct("<" + code).pack

    def writes(out: bytearray, value: Any) -> None:
        if odd := len(out) % size:
            out.extend(bytes(size - odd))
        out += pack(value)

    return writes


_LENGTH = struct.Struct("<I")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def _text(out: bytearray, value: Any) -> None:
    text = value.encode("utf-8", "replace")
    if b"\0" in text:
        text = text.replace(b"\0", _REPLACEMENT)
    if odd := len(out) % 4:
        out.extend(bytes(4 - odd))
    out += _LENGTH.pack(len(text))
    out += text
    out.append(0)


def _signature(out: bytearray, value: Any) -> None:
    out.append(len(value))
    out += value.encode()
    out.append(0)


def _variant(out: bytearray, value: Any) -> None:
    kind, inner = value
    _signature(out, kind)
    _writer(kind)(out, inner)


def _array(inner: str) -> _Writer:
    writes_one, to, pairs = _writer(inner), alignment(inner), inner[0] == "{"

    def writes(out: bytearray, value: Any) -> None:
        _pad(out, 4)
        at = len(out)
        out.extend(bytes(4))
        _pad(out, to)
        begin = len(out)
        for each in value.items() if pairs else value:
            writes_one(out, each)
        _LENGTH.pack_into(out, at, len(out) - begin)

    return writes


def _struct(inner: tuple[str, ...]) -> _Writer:
    writers = tuple(map(_writer, inner))

    def writes(out: bytearray, value: Any) -> None:
        if odd := len(out) % 8:
            out.extend(bytes(8 - odd))
        for writes_one, each in zip(writers, value, strict=True):
            writes_one(out, each)

    return writes


def call(
    serial: int,
    destination: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    flags: int = 0,
) -> bytes:
    """Return the bytes of a method call."""
    fields = {1: path, 2: interface, 3: member, 6: destination, 8: signature}
    return assemble(CALL, serial, fields, content(signature, body), flags)


def content(signature: str, body: Sequence[Any]) -> bytes:
    """Return the bytes of a message's body."""
    out = bytearray()
    for kind, value in zip(split(signature), body, strict=True):
        write(out, kind, value)
    return bytes(out)


def assemble(kind: int, serial: int, fields: Mapping[int, Any], body: bytes, flags: int = 0) -> bytes:
    """Return the bytes of a message; ``fields`` are header fields by their code, empty ones left out."""
    # Signals repeat their headers, replies and calls do not.
    head = (_signal_header if kind == SIGNAL else _header)(tuple(fields.items()))
    return _PREFIX.pack(b"l", kind, flags, 1, len(body), serial) + head + body


# What comes before the array of header fields.
_PREFIX = struct.Struct("<cBBBII")


def _header(fields: tuple[tuple[int, Any], ...]) -> bytes:
    """Return the field array as it stands behind the prefix, padded for the body."""
    out = bytearray(_PREFIX.size)
    write(out, "a(yv)", [(code, (FIELDS[code][1], value)) for code, value in fields if value])
    _pad(out, 8)
    return bytes(out[_PREFIX.size :])


# As many as there are objects on a large server; less than 200 bytes each.
_signal_header = lru_cache(maxsize=1024)(_header)


def size(prefix: bytes) -> int:
    """Return the length of the whole message that begins with these PREFIX bytes."""
    (body,) = struct.unpack_from(_order(prefix) + "I", prefix, 4)
    (fields,) = struct.unpack_from(_order(prefix) + "I", prefix, 12)
    return int(PREFIX + fields + -fields % 8 + body)


def head_size(prefix: bytes) -> int:
    """Return the length of the header, without the body, of the message that begins with these bytes."""
    (fields,) = struct.unpack_from(_order(prefix) + "I", prefix, 12)
    return int(PREFIX + fields + -fields % 8)


def _order(data: bytes) -> str:
    return "<" if data[:1] == b"l" else ">"


def parse(data: bytes) -> Message:
    """Return the message of exactly these bytes; header fields that are not known are ignored."""
    return _parse(data, with_body=True)


def parse_head(data: bytes) -> Message:
    """Return the message whose header is in these bytes, as if it had no body."""
    return _parse(data, with_body=False)


def _parse(data: bytes, with_body: bool) -> Message:
    reader = _Reader(data, _order(data))
    reader.at = 8
    serial = reader.read("u")
    found = {FIELDS[code][0]: value for code, value in reader.read("a(yv)") if code in FIELDS}
    reader.align(8)
    body = tuple(reader.read(kind) for kind in split(found.get("signature", ""))) if with_body else ()
    return Message(
        kind=data[1],
        serial=serial,
        reply_to=found.get("reply_to", 0),
        path=found.get("path", ""),
        interface=found.get("interface", ""),
        member=found.get("member", ""),
        error=found.get("error", ""),
        sender=found.get("sender", ""),
        body=body,
    )


class _Reader:
    """A position in a message."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.at = data, order, 0

    def align(self, to: int) -> None:
        self.at += -self.at % to

    def read(self, kind: str) -> Any:
        self.align(alignment(kind))
        if kind in FIXED:
            code, length = FIXED[kind]
            (value,) = struct.unpack_from(self.order + code, self.data, self.at)
            self.at += length
            return bool(value) if kind == "b" else value
        if kind in "so":
            return self._text(self.read("u"))
        if kind == "g":
            return self._text(self.read("y"))
        if kind == "v":
            return self.read(self.read("g"))
        if kind[0] == "a":
            return self._array(kind[1:])
        return tuple(self.read(inner) for inner in split(kind[1:-1]))

    def _text(self, length: int) -> str:
        text = self.data[self.at : self.at + length].decode(errors="replace")
        self.at += length + 1
        return text

    def _array(self, inner: str) -> Any:
        length = self.read("u")
        self.align(alignment(inner))
        end = self.at + length
        items = []
        while self.at < end:
            items.append(self.read(inner))
        return dict(items) if inner[0] == "{" else items
