"""What the listener reads of packets: real messages as they are meant, and any bytes without harm."""

import re
import struct

from hypothesis import given
from hypothesis import strategies as st

from ltspd.listener.packets import DISCOVER, OFFER, UNSHOWN, Fetch, Message, read
from tests.lab.dhcp import FULL, Machine, message

HEADER = message(DISCOVER, Machine(), 1, {})[:236]
COOKIE = b"\x63\x82\x53\x63"


def packet(payload: bytes, source: int = 68, target: int = 67) -> bytes:
    """Return an IPv4 packet with this in it."""
    udp = struct.pack("!4H", source, target, 8 + len(payload), 0) + payload
    ends = bytes((10, 0, 0, 1, 10, 0, 0, 2))
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends + udp


def heard(payload: bytes, source: int = 68, target: int = 67) -> Message:
    found = read(packet(payload, source, target))
    assert isinstance(found, Message)
    return found


def answer(options: bytes, *, file: bytes = b"", given: bytes = b"\x0a\0\0\x14") -> bytes:
    head = b"\2" + HEADER[1:16] + given + HEADER[20:108] + file.ljust(128, b"\0")
    return head + COOKIE + options + b"\xff"


def test_what_asks_is_known_by_what_it_says() -> None:
    found = heard(message(DISCOVER, Machine(7), 1, {}))
    assert (found.kind, found.answer, found.mac) == (DISCOVER, False, "52:54:00:0d:00:01")
    assert (found.architecture, found.vendor, found.ipxe, found.boots) == (7, "PXEClient", False, True)
    assert heard(message(DISCOVER, Machine(16, "HTTPClient"), 1, {})).vendor == "HTTPClient"
    assert heard(message(DISCOVER, Machine(0, features=FULL), 1, {})).ipxe
    assert heard(message(DISCOVER, Machine(), 1, {77: b"iPXE"})).ipxe
    assert not heard(message(DISCOVER, Machine(), 1, {60: b"MSFT 5.0"})).boots


def test_answers_are_read_whole() -> None:
    options = b"\x35\1\2\x36\4\x0a\0\0\1\x33\4\0\0\x0e\x10\x3c\x09PXEClient"
    found = heard(answer(options, file=b"ltsp/snponly.efi"), 67, 68)
    assert (found.kind, found.answer, found.server) == (OFFER, True, "10.0.0.1")
    assert (found.given, found.file, found.lease) == ("10.0.0.20", "ltsp/snponly.efi", 3600)
    assert heard(answer(b"\x35\1\5", given=bytes(4)), 4011, 68).boot_server
    # Without a name of its own, the sender is the server.
    assert heard(answer(b"\x35\1\2"), 67, 68).server == "10.0.0.1"
    # RFC 2132, 9.3 and 9.5: the file in an option, and options in the file's field.
    assert heard(answer(b"\x35\1\2\x43\5other"), 67, 68).file == "other"
    overloaded = answer(b"\x35\1\2\x34\1\1", file=b"\x43\5again\x36\4\x0a\0\0\7\xff")
    assert (heard(overloaded, 67, 68).file, heard(overloaded, 67, 68).server) == ("again", "10.0.0.7")
    # RFC 3396: one option in two parts.
    assert heard(answer(b"\x35\1\2\x43\3oth\x43\2er"), 67, 68).file == "other"


def test_no_word_has_what_cant_be_shown() -> None:
    for file in (b"a b", b"a\nb", b"\xff\xfe", b"\x1b[2J"):
        assert heard(answer(b"\x35\1\2", file=file), 67, 68).file == UNSHOWN
    assert read(packet(b"\0\1ltsp/x\0octet\0", 1024, 69)) == Fetch("10.0.0.1", "10.0.0.2", "ltsp/x")
    for wrong in (b"", b"\0\2ltsp/x\0octet\0", b"\0\1ltsp/x", b"\0\1"):
        assert read(packet(wrong, 1024, 69)) is None


def test_cut_packets_are_no_messages() -> None:
    whole = packet(message(DISCOVER, Machine(7), 1, {}))
    for size in range(20 + 8 + 240):
        assert read(whole[:size]) is None
    assert read(whole[:9] + b"\6" + whole[10:]) is None


def _harmless(found: Message | Fetch | None) -> None:
    if found is None:
        return
    for word in (getattr(found, name) for name in found.__slots__):
        if isinstance(word, str):
            assert re.fullmatch(r"[!-~]{0,128}", word)
        else:
            assert -1 <= word < 1 << 32


@given(st.binary(max_size=1500))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    _harmless(read(data))
    for ports in ((68, 67), (67, 68), (4011, 68), (1024, 69)):
        _harmless(read(packet(data, *ports)))


@given(st.sampled_from((1, 2)), st.binary(max_size=600), st.binary(max_size=192))
def test_any_options_do_no_harm(code: int, options: bytes, fields: bytes) -> None:
    head = bytes((code,)) + HEADER[1:44] + fields.ljust(192, b"\0")
    for more in (b"", b"\x35\1\2\x34\1\3"):
        _harmless(read(packet(head + COOKIE + more + options)))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_changed_bytes_of_a_real_message_do_no_harm(changes: list[tuple[int, int]]) -> None:
    data = bytearray(packet(message(DISCOVER, Machine(7, features=FULL), 1, {})))
    for at, value in changes:
        if at < len(data):
            data[at] = value
    _harmless(read(bytes(data)))
