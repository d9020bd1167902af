"""The steps of a boot, found in packets, and when a replay asks them again."""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

import pytest

from bench import http, rpc
from bench.packets import connections, packets
from bench.room_files import Machine, Room
from bench.steps import Step, plan, steps

SERVER, CLIENT, MAC = "192.168.67.1", "192.168.67.20", "52:54:00:67:be:04"
FIN, SYN, ACK = 1, 2, 16


def datagram(source: tuple[str, int], target: tuple[str, int], data: bytes) -> bytes:
    return frame(
        source[0], target[0], 17, struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data
    )


def segment(
    source: tuple[str, int], target: tuple[str, int], number: int, data: bytes = b"", flags: int = ACK
) -> bytes:
    head = struct.pack("!HHIIBBHHH", source[1], target[1], number, 0, 5 << 4, flags, 0, 0, 0)
    return frame(source[0], target[0], 6, head + data)


def frame(source: str, target: str, protocol: int, body: bytes) -> bytes:
    ends = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends
    return bytes(12) + b"\x08\x00" + head + body


def file(frames: Iterable[tuple[float, bytes]]) -> bytes:
    found = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for time, data in frames:
        found += struct.pack("<IIII", int(time), round(time % 1 * 1e6), len(data), len(data)) + data
    return found


def dhcp(kind: int, transaction: int, address: str = "0.0.0.0") -> bytes:
    mac = bytes.fromhex(MAC.replace(":", ""))
    fixed = struct.pack("!BBBBI", kind, 1, 6, 0, transaction) + bytes(8) + IPv4Address(address).packed
    return fixed + bytes(8) + mac + bytes(202)


ASKED = [
    (1.0, datagram(("0.0.0.0", 68), ("255.255.255.255", 67), dhcp(1, 7))),
    (1.25, datagram((SERVER, 67), (CLIENT, 68), dhcp(2, 7, CLIENT))),
]
UP, DOWN = (CLIENT, 40000), (SERVER, 2049)


def opened(time: float, port: int = 2049) -> list[tuple[float, bytes]]:
    return [
        (time, segment(UP, (SERVER, port), 99, flags=SYN)),
        (time + 0.125, segment((SERVER, port), UP, 999, flags=SYN | ACK)),
    ]


def test_a_file_by_tftp_is_one_step() -> None:
    own, port = (CLIENT, 2070), (SERVER, 5000)
    request = b"\0\1ltsp.ipxe\0octet\0blksize\x001432\0"
    found = steps(
        file(
            [
                *ASKED,
                (2.0, datagram(own, (SERVER, 69), request)),
                (2.5, datagram(port, own, b"\0\6blksize\x001432\0")),
                (2.75, datagram(own, port, b"\0\4\0\0")),
                (3.0, datagram(port, own, b"\0\3\0\1" + bytes(1432))),
                (3.25, datagram(own, port, b"\0\4\0\1")),
                # It comes again, which is no more of the file.
                (3.5, datagram(port, own, b"\0\3\0\1" + bytes(1432))),
                (4.0, datagram(port, own, b"\0\3\0\2" + bytes(10))),
                (4.25, datagram(own, port, b"\0\4\0\2")),
            ]
        ),
        MAC,
        SERVER,
        9.0,
    )
    assert found.address == CLIENT
    assert found.began == 1.0
    asked, fetched = found.steps
    assert (asked.way, asked.start, asked.end) == ("dhcp", 1.0, 1.25)
    assert (fetched.way, fetched.start, fetched.end, fetched.heard) == ("tftp", 2.0, 4.0, 1442)
    assert fetched.said == request
    assert fetched.pace == 0.25
    assert not fetched.aborted


def test_calls_are_told_apart_by_their_numbers_in_whatever_pieces_they_come() -> None:
    def call(number: int) -> bytes:
        return struct.pack("!IIIIIIII", 1 << 31 | 28, number, 0, 2, 100003, 3, 6, 0)

    def reply(number: int, size: int) -> bytes:
        body = struct.pack("!IIIIIII", number, 1, 0, 0, 0, 0, 0) + bytes(size)
        return struct.pack("!I", 1 << 31 | len(body)) + body

    replies = reply(6, 100) + reply(5, 200)
    found = steps(
        file(
            [
                *ASKED,
                *opened(2.0),
                (3.0, segment(UP, DOWN, 100, call(5) + call(6)[:10])),
                (3.5, segment(UP, DOWN, 142, call(6)[10:])),
                # The second piece comes before the first one, and that comes twice.
                (4.5, segment(DOWN, UP, 1050, replies[50:])),
                (5.0, segment(DOWN, UP, 1000, replies[:50])),
                (5.5, segment(DOWN, UP, 1000, replies[:50])),
                (6.0, segment(UP, DOWN, 164, flags=FIN | ACK)),
            ]
        ),
        MAC,
        SERVER,
        9.0,
    )
    _, begun, first, second, closed = found.steps
    assert (begun.way, begun.start, begun.end) == ("open", 2.0, 2.125)
    assert (first.said, first.start, first.end, first.heard) == (call(5), 3.0, 5.0, 228)
    assert (second.said, second.start, second.end, second.heard) == (call(6), 3.0, 5.0, 128)
    assert (closed.way, closed.start, closed.end) == ("close", 6.0, None)


def test_requests_of_http_follow_each_other_on_a_connection() -> None:
    port = (SERVER, 80)
    asked = b"GET /ltsp/boot HTTP/1.1\r\n\r\n"
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n" + bytes(1 << 21)
    frames = [
        *ASKED,
        *opened(2.0, 80),
        (3.0, segment(UP, port, 100, asked)),
        (4.0, segment(port, UP, 1000, large[:60000])),
    ]
    times = [4.0 + at / len(large) for at in range(60000, len(large), 60000)]
    for number, time in enumerate(times, 1):
        frames.append((time, segment(port, UP, 1000 + 60000 * number, large[60000 * number :][:60000])))
    frames.append((6.0, segment(UP, port, 100 + len(asked), asked)))
    frames.append(
        (6.5, segment(port, UP, 1000 + len(large), b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"))
    )
    found = steps(file(frames), MAC, SERVER, 9.0)
    _, _, first, second = found.steps
    assert (first.start, first.heard, first.answer) == (3.0, len(large), b"200")
    assert first.end == pytest.approx(times[-1], abs=1e-5)
    assert first.pace == pytest.approx((times[-1] - 4.0) / len(large), rel=1e-3)
    assert (second.start, second.end, second.answer, second.pace) == (6.0, 6.5, b"404", 0.0)


def test_nbd_is_a_handshake_and_requests() -> None:
    port = (SERVER, 10809)
    greeting = b"NBDMAGICIHAVEOPT\0\3"
    asked = b"\0\0\0\3IHAVEOPT" + struct.pack("!II", 1, 3) + b"abc"
    size = struct.pack("!QH", 4096, 3)

    def request(cookie: int, kind: int, length: int) -> bytes:
        return struct.pack("!IHHQQI", 0x25609513, 0, kind, cookie, 0, length)

    answer = (
        struct.pack("!IIQ", 0x67446698, 0, 2)
        + bytes(512)
        + struct.pack("!IIQ", 0x67446698, 0, 1)
        + bytes(1024)
    )
    said = request(1, 0, 1024) + request(2, 0, 512)
    found = steps(
        file(
            [
                *ASKED,
                *opened(2.0, 10809),
                (2.25, segment(port, UP, 1000, greeting)),
                (2.5, segment(UP, port, 100, asked)),
                (2.75, segment(port, UP, 1018, size)),
                (3.0, segment(UP, port, 100 + len(asked), said)),
                (3.5, segment(port, UP, 1028, answer[:528])),
                (4.0, segment(port, UP, 1556, answer[528:])),
            ]
        ),
        MAC,
        SERVER,
        9.0,
    )
    _, _, handshake, first, second = found.steps
    assert (handshake.way, handshake.said, handshake.heard, handshake.end) == ("raw", asked, 28, 2.75)
    assert (first.end, first.heard) == (4.0, 1040)
    assert (second.end, second.heard) == (3.5, 528)


def test_a_question_is_asked_again_after_all_answers_that_had_come_before_it() -> None:
    def step(start: float, end: float | None) -> Step:
        return Step("call", 1, 2049, start, end)

    planned = plan([step(0.0, 1.0), step(0.5, 3.0), step(1.25, 2.0), step(2.5, None), step(4.0, 5.0)])
    assert [each.needs for each in planned] == [(), (), (0,), (2,), (1,)]
    assert [each.think for each in planned] == [0.0, 0.5, 0.25, 0.5, 1.0]


def compound(status: int, *results: bytes) -> bytes:
    """Return a reply of NFSv4.1, with a tag of three bytes."""
    head = struct.pack("!IIIIII", 9, 1, 0, 0, 0, 0)
    return (
        head + struct.pack("!II", status, 3) + b"tag\0" + struct.pack("!I", len(results)) + b"".join(results)
    )


def test_what_a_server_gives_out_is_found_in_its_replies() -> None:
    sequence = struct.pack("!II", 53, 0) + bytes(36)
    opened_file = struct.pack("!III", 18, 0, 1) + b"other-12byte" + bytes(20)
    assert list(rpc.tokens(compound(0, sequence, struct.pack("!II", 22, 0), opened_file))) == [
        b"other-12byte"
    ]
    assert list(rpc.tokens(compound(0, struct.pack("!II", 42, 0) + b"clientid" + bytes(8)))) == [b"clientid"]
    assert list(rpc.tokens(compound(0, struct.pack("!II", 43, 0) + b"session-16-bytes"))) == [
        b"session-16-bytes"
    ]
    assert list(rpc.tokens(compound(10008, sequence))) == []
    assert rpc.result(compound(10008)) == struct.pack("!II", 0, 10008)


def test_the_boot_of_a_client_is_found_in_its_first_call_alone() -> None:
    head = struct.pack("!IIIIII", 9, 0, 2, 100003, 4, 1) + struct.pack("!II", 1, 4) + bytes(4) + bytes(8)
    first = head + struct.pack("!III", 0, 1, 1) + struct.pack("!I", 42) + b"verifier" + bytes(8)
    assert rpc.verifier(first) == b"verifier"
    assert rpc.verifier(head + struct.pack("!III", 0, 1, 1) + struct.pack("!I", 53) + bytes(40)) == b""


def test_a_request_has_the_length_that_its_other_words_need() -> None:
    said = b"POST /ltsp/report HTTP/1.1\r\nContent-Length: 5\r\n\r\na=b.4"
    assert http.addressed(said, [(b"b.4", b"b.123")]) == (
        b"POST /ltsp/report HTTP/1.1\r\nContent-Length: 7\r\n\r\na=b.123"
    )


def test_fragments_are_not_taken_for_packets() -> None:
    whole = datagram((CLIENT, 1), (SERVER, 2), b"data")
    with pytest.raises(ValueError, match="fragments"):
        list(packets(file([(1.0, whole[:20] + b"\x20\0" + whole[22:])])))


def test_a_port_that_is_used_again_is_another_connection() -> None:
    frames = [*opened(1.0), (2.0, segment(UP, DOWN, 100, flags=FIN | ACK)), *opened(3.0)]
    assert [(one.asked, one.closed) for one in connections(packets(file(frames)), CLIENT)] == [
        (1.0, 2.0),
        (3.0, None),
    ]


def test_each_client_speaks_for_itself() -> None:
    room = Room(SERVER, Machine("", MAC, CLIENT), (), (), 0.0, "")
    said = (
        b"mac=52%3A54%3A00%3A67%3Abe%3A04"
        + b"52:54:00:67:be:04"
        + bytes.fromhex(MAC.replace(":", ""))
        + IPv4Address(CLIENT).packed
    )
    for old, new in room.changes(Machine("mv0", "52:54:00:68:00:07", "192.168.64.80")):
        said = said.replace(old, new)
    assert said == b"mac=52%3A54%3A00%3A68%3A00%3A07" + b"52:54:00:68:00:07" + bytes.fromhex(
        "525400680007"
    ) + bytes((192, 168, 64, 80))
