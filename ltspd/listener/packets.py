"""Bytes from the network → what a DHCP message or a TFTP request says, or nothing. Pure.

Anybody on the network makes these bytes. So no length in them is believed, the work for one packet is
bounded, and what leaves this module are numbers, addresses and words without blanks.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
SERVER, CLIENT, TFTP, BOOT_SERVER = 67, 68, 69, 4011
_UDP = 17
# RFC 2131, figure 1, and the cookie of RFC 2132.
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
# RFC 2132, RFC 3004 (user class), RFC 4578 (architecture); 175 is iPXE's own.
_ADDRESS, _LEASE, _OVERLOAD, _TYPE, _SERVER_ID, _VENDOR, _FILE, _USER, _ARCHITECTURE, _IPXE = (
    50, 51, 52, 53, 54, 60, 67, 77, 93, 175,
)  # fmt: skip
_PAD, _END = 0, 255
# A real message has some 30 options.
OPTIONS_MOST = 128
_WORD = re.compile(rb"[!-~]{1,128}")
# What stands for text that can't be shown.
UNSHOWN = "?"
NOBODY = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Message:
    """One DHCP message. What it does not say is empty, -1 or 0.

    ``sender`` and ``receiver`` are IP addresses; ``boot_server`` says that it is about port 4011. ``vendor``
    is PXEClient, HTTPClient or nothing. ``server`` is the one that it names, or its sender if it is an
    answer. ``wanted`` is the address that a machine asks for or has, ``given`` the one that it is given.
    """

    kind: int
    answer: bool
    mac: str
    sender: str
    receiver: str
    boot_server: bool = False
    architecture: int = -1
    vendor: str = ""
    ipxe: bool = False
    server: str = ""
    wanted: str = ""
    given: str = ""
    file: str = ""
    lease: int = 0

    @property
    def boots(self) -> bool:
        """Whether a machine says in it that it boots by the network."""
        return bool(self.vendor) or self.ipxe


@dataclass(frozen=True, slots=True)
class Fetch:
    """A request for a file by TFTP."""

    sender: str
    receiver: str
    file: str


def read(data: bytes) -> Message | Fetch | None:
    """Return what an IPv4 packet says; None if it is neither DHCP nor a TFTP request, or is broken."""
    if len(data) < 20 or data[0] >> 4 != 4 or data[9] != _UDP:
        return None
    start = (data[0] & 15) * 4
    if start < 20 or len(data) < start + 8:
        return None
    sender, receiver = _address(data[12:16]), _address(data[16:20])
    source, target, size, _ = struct.unpack_from("!4H", data, start)
    payload = data[start + 8 : start + max(8, size)]
    if target == TFTP:
        return _fetch(payload, sender, receiver)
    if BOOT_SERVER in (source, target) or target in (SERVER, CLIENT):
        return _message(payload, sender, receiver, BOOT_SERVER in (source, target))
    return None


def _fetch(payload: bytes, sender: str, receiver: str) -> Fetch | None:
    # RFC 1350: a read request, the file's name, the mode.
    if payload[:2] != b"\0\1" or payload.count(b"\0", 2) < 2:
        return None
    return Fetch(sender, receiver, _word(payload[2:]))


def _message(payload: bytes, sender: str, receiver: str, boot_server: bool) -> Message | None:
    if len(payload) < _HEADER.size + 4 or payload[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        return None
    code, hardware, length, *_, own, yours, _, _, card, name, file = _HEADER.unpack_from(payload)
    if code not in (1, 2) or (hardware, length) != (1, 6):
        return None
    options = dict(_all(payload[_HEADER.size + 4 :], name, file))
    kind = options.get(_TYPE, b"")
    if len(kind) != 1:
        return None
    answer = code == 2
    named = _optional(options.get(_SERVER_ID, b""))
    overloaded = options.get(_OVERLOAD, b"\0")[:1] in (b"\1", b"\3")
    seconds = options.get(_LEASE, b"")
    return Message(
        kind=kind[0],
        answer=answer,
        mac=card[:6].hex(":"),
        sender=sender,
        receiver=receiver,
        boot_server=boot_server,
        architecture=_number(options.get(_ARCHITECTURE, b"")),
        vendor=_vendor(options.get(_VENDOR, b"")),
        ipxe=_IPXE in options or b"iPXE" in options.get(_USER, b"")[:8],
        server=named or (sender if answer else ""),
        wanted=_optional(options.get(_ADDRESS, b"")) or _optional(own),
        given=_optional(yours),
        file=_word(options.get(_FILE, b"") if overloaded or not file.strip(b"\0") else file),
        lease=int.from_bytes(seconds, "big") if len(seconds) == 4 else 0,
    )


def _all(data: bytes, name: bytes, file: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the options; those that come in parts as a whole (RFC 3396), also from the header's fields."""
    found = dict[int, bytes]()
    left = _parse(data, found, OPTIONS_MOST)
    # RFC 2132, 9.3: which fields of the header hold options, too.
    overload = found.get(_OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        left = _parse(file, found, left)
    if overload in (b"\2", b"\3"):
        _parse(name, found, left)
    yield from found.items()


def _parse(data: bytes, found: dict[int, bytes], most: int) -> int:
    """Add the options of one field; return how many more may come."""
    at = 0
    while at < len(data) and most and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            break
        end = at + 2 + data[at + 1]
        found[data[at]] = found.get(data[at], b"") + data[at + 2 : end]
        at, most = end, most - 1
    return most


def _address(data: bytes) -> str:
    return str(IPv4Address(data))


def _optional(data: bytes) -> str:
    return str(IPv4Address(data)) if len(data) == 4 and any(data) else ""


def _number(data: bytes) -> int:
    return int.from_bytes(data[:2], "big") if len(data) >= 2 else -1


def _vendor(data: bytes) -> str:
    return next((each for each in ("PXEClient", "HTTPClient") if data.startswith(each.encode())), "")


def _word(data: bytes) -> str:
    """Return text up to its end as one word, or what stands for it."""
    text = data.split(b"\0", 1)[0]
    if not text:
        return ""
    return text.decode() if _WORD.fullmatch(text) else UNSHOWN
