"""What a client asked its server, found in the packets of its boot, and when to ask it again. Pure.

A step is one question, with its answer if it waits for one. Questions are kept as they were asked, so a
replay asks the same. What differs from client to client is put in by whoever replays it: MAC and IP address,
and what the server itself gave out (`bench.rpc.tokens`).
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench import http, rpc
from bench.packets import UDP, Connection, End, Packet, connections, packets

# Ports of DHCP's server, TFTP's and NBD's.
DHCP, BOOT_SERVER, TFTP, NBD = 67, 4011, 69, 10809
_BOOTP_ANSWER = 2
# From so many bytes on, how fast a client could take them says something about the client.
LARGE = 1 << 20
_TFTP_READ, _TFTP_DATA, _TFTP_ACK, _TFTP_ERROR = 1, 3, 4, 5
_HANDSHAKE = b"NBDMAGIC"
_REQUEST, _REPLY, _READ = b"\x25\x60\x95\x13", b"\x67\x44\x66\x98", b"\0\0"


@dataclass(frozen=True, slots=True)
class Step:
    """One question. ``start`` is when it was asked, ``end`` when all of its answer was there, if it had one.

    ``way`` is how: dhcp, datagram, tftp, open, close, call, nbd, http, raw. ``line`` is the number of the
    connection, or of the file by TFTP. ``heard`` is the bytes of the answer, ``answer`` how it must begin.
    ``pace`` is seconds: of TFTP from a block to its acknowledgement, of HTTP for each byte.
    """

    way: str
    line: int
    port: int
    start: float
    end: float | None
    said: bytes = b""
    heard: int = 0
    pace: float = 0.0
    answer: bytes = b""
    tokens: tuple[bytes, ...] = ()
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, the steps whose answers it needs, and the seconds that the client thinks after all of them."""

    step: Step
    needs: tuple[int, ...]
    think: float


@dataclass(slots=True)
class Found:
    """What a boot consists of: its steps in their order, and what of it the replay leaves out, in words."""

    address: str
    began: float
    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def steps(file: bytes, mac: str, server: str, until: float) -> Found:
    """Return the steps of the boot of one client, until a time in seconds since 1970.

    ValueError if the client never got an address.
    """
    every = [each for each in packets(file) if each.time <= until]
    asked = list(_dhcp(every, bytes.fromhex(mac.replace(":", ""))))
    addresses = [packet.data[16:20] for packet, _ in asked if packet.data[0] == _BOOTP_ANSWER]
    address = next((".".join(map(str, each)) for each in reversed(addresses) if any(each)), "")
    if not address:
        raise ValueError(f"{mac} never got an address")
    began = min(packet.time for packet, _ in asked)
    found = Found(address, began)
    found.steps += _datagram_steps(asked)
    own = [each for each in every if address in (each.source.address, each.target.address)]
    found.steps += _tftp(own, address, found.left)
    found.steps += _datagrams(own, address, server, found.left)
    for number, one in enumerate(connections(own, address), 1 << 16):
        if one.server.address == server:
            found.steps += _connection(number, one, found.left)
        else:
            found.left.append(f"TCP to {one.server.address}:{one.server.port}")
    found.steps.sort(key=lambda step: step.start)
    return found


def plan(found: Sequence[Step]) -> list[Planned]:
    """Return when to ask each question again: after all answers that had come before it, and some thought."""
    planned: list[Planned] = []
    waiting: dict[int, float] = {}
    latest = found[0].start if found else 0.0
    for number, step in enumerate(found):
        needs = sorted(each for each, end in waiting.items() if end <= step.start)
        latest = max([latest, *(waiting.pop(each) for each in needs)])
        planned.append(Planned(step, tuple(needs), step.start - latest))
        latest = step.start
        if step.end is not None:
            waiting[number] = step.end
    return planned


def _dhcp(every: Iterable[Packet], mac: bytes) -> Iterator[tuple[Packet, int]]:
    """Yield the client's packets of DHCP and their answers, with the number of the transaction."""
    for packet in every:
        ports = {packet.source.port, packet.target.port}
        if packet.protocol == UDP and ports & {DHCP, BOOT_SERVER} and packet.data[28:34] == mac:
            yield packet, int.from_bytes(packet.data[4:8])


def _datagram_steps(asked: Sequence[tuple[Packet, int]]) -> Iterator[Step]:
    for number, (packet, transaction) in enumerate(asked):
        if packet.data[0] == _BOOTP_ANSWER:
            continue
        end = None
        for answer, of in asked[number + 1 :]:
            if answer.data[0] != _BOOTP_ANSWER:
                if of == transaction:
                    break
            elif of == transaction:
                end = answer.time
                break
        yield Step("dhcp", 0, packet.target.port, packet.time, end, packet.data)


def _tftp(own: Sequence[Packet], address: str, left: list[str]) -> Iterator[Step]:
    files: dict[End, list[Packet]] = {}
    for packet in own:
        if packet.protocol != UDP:
            continue
        up = packet.source.address == address
        client = packet.source if up else packet.target
        if up and packet.target.port == TFTP and packet.data[:2] == b"\0\1":
            files.setdefault(client, []).append(packet)
        elif client in files and 67 not in (packet.source.port, packet.target.port):
            files[client].append(packet)
    for number, (client, seen) in enumerate(files.items(), 1):
        step = _file(number, client, seen)
        if step is None:
            left.append(f"a file by TFTP without an end: {seen[0].data[2:80]!r}")
        else:
            yield step


def _file(number: int, client: End, seen: Sequence[Packet]) -> Step | None:
    heard, turns, end, aborted, came = 0, [], None, False, 0.0
    last = b""
    for packet in seen:
        kind = int.from_bytes(packet.data[:2])
        if packet.source == client:
            aborted |= kind == _TFTP_ERROR
            if came and kind == _TFTP_ACK:
                turns.append(packet.time - came)
                came = 0.0
            continue
        if packet.data[:4] != last:
            heard += len(packet.data) - 4 if kind == _TFTP_DATA else 0
            last, came, end = packet.data[:4], packet.time, packet.time
    if end is None:
        return None
    pace = median(turns) if turns else 0.0
    refused = b"\0\5" if last[:2] == b"\0\5" else b""
    return Step("tftp", number, TFTP, seen[0].time, end, seen[0].data, heard, pace, refused, aborted=aborted)


def _datagrams(own: Sequence[Packet], address: str, server: str, left: list[str]) -> Iterator[Step]:
    """Yield what else was asked by UDP. A question that was asked again is one."""
    known: dict[tuple[End, End, bytes], Packet] = {}
    answers: dict[tuple[End, End, bytes], Packet] = {}
    transfers = {each.source for each in own if each.target.port == TFTP}
    for packet in own:
        if packet.protocol != UDP or {packet.source, packet.target} & transfers:
            continue
        if {packet.source.port, packet.target.port} & {DHCP, BOOT_SERVER}:
            continue
        if packet.source.address == server:
            answers.setdefault((packet.target, packet.source, packet.data[:4]), packet)
        elif packet.target.address == server:
            known.setdefault((packet.source, packet.target, packet.data[:4]), packet)
        elif packet.source.address == address:
            left.append(f"UDP to {packet.target.address}:{packet.target.port}")
    for key, packet in known.items():
        answer = answers.get(key)
        end = answer.time if answer else None
        heard = len(answer.data) if answer else 0
        yield Step("datagram", 0, packet.target.port, packet.time, end, packet.data, heard)


def _connection(number: int, one: Connection, left: list[str]) -> Iterator[Step]:
    port = one.server.port
    if one.opened is None:
        left.append(f"a connection to port {port} that was not taken")
        return
    yield Step("open", number, port, one.asked, one.opened)
    if one.up.data or one.down.data:
        if one.down.data.startswith(_HANDSHAKE):
            yield from _nbd(number, one)
        elif rpc.is_call(one.up.data):
            yield from _calls(number, one)
        elif http.is_request(one.up.data):
            yield from _requests(number, one)
        else:
            left.append(f"an unknown protocol on port {port}, {len(one.down.data)} bytes")
    if one.closed is not None:
        yield Step("close", number, port, one.closed, None)


def _calls(number: int, one: Connection) -> Iterator[Step]:
    replies = {}
    for _, end, record in rpc.records(one.down.data):
        if record[4:8] == rpc.REPLY:
            replies[record[:4]] = (end, record)
    for begin, end, record in rpc.records(one.up.data):
        if record[4:8] != rpc.CALL:
            continue
        start = one.up.first(begin)
        said = bytes(one.up.data[begin:end])
        answer = replies.get(record[:4])
        if answer is None:
            yield Step("call", number, one.server.port, start, None, said)
            continue
        came, reply = one.down.first(answer[0] - 1), answer[1]
        yield Step(
            *("call", number, one.server.port, start, came, said, len(reply)),
            answer=rpc.result(reply),
            tokens=tuple(rpc.tokens(reply)),
        )  # fmt: skip


def _requests(number: int, one: Connection) -> Iterator[Step]:
    answers = list(
        http.answers(one.down.data, [said[:5] == b"HEAD " for _, said in http.requests(one.up.data)])
    )
    for index, (at, said) in enumerate(http.requests(one.up.data)):
        start = one.up.first(at)
        if index >= len(answers):
            yield Step("http", number, one.server.port, start, None, said)
            continue
        begin, end, status = answers[index]
        first, came = one.down.first(begin), one.down.first(end - 1)
        pace = (came - first) / (end - begin) if end - begin >= LARGE else 0.0
        yield Step("http", number, one.server.port, start, came, said, end - begin, pace, status)


def _nbd(number: int, one: Connection) -> Iterator[Step]:
    """Yield the handshake, as one question after the server's first words, then each request."""
    up, down = bytes(one.up.data), one.down.data
    at = 4
    while up[at : at + 8] == b"IHAVEOPT":
        kind, length = struct.unpack_from("!II", up, at + 8)
        at += 16 + length
        if kind in (1, 7):
            break
    asked = [up[each : each + 28] for each in range(at, len(up) - 27, 28)]
    # A cookie comes again when its request has been answered.
    sizes: dict[bytes, deque[tuple[int, int]]] = {}
    for index, each in enumerate(asked):
        size = int.from_bytes(each[24:28]) if each[6:8] == _READ else 0
        sizes.setdefault(each[8:16], deque()).append((index, size))
    spot = first = found if (found := down.find(_REPLY, 18)) >= 0 else len(down)
    ends: dict[int, tuple[int, int]] = {}
    while spot + 16 <= len(down):
        if down[spot : spot + 4] != _REPLY:
            raise ValueError("an NBD server's answer is of an unknown kind")
        index, size = sizes[bytes(down[spot + 8 : spot + 16])].popleft()
        end = spot + 16 + (0 if any(down[spot + 4 : spot + 8]) else size)
        if end > len(down):
            break
        ends[index] = (end, end - spot)
        spot = end
    if first <= 18 or not asked:
        return
    yield Step("raw", number, NBD, one.up.first(0), one.down.first(first - 1), up[:at], first)
    for index, request in enumerate(asked):
        start = one.up.first(at + 28 * index)
        if request[:4] != _REQUEST:
            raise ValueError("an NBD client's request is of an unknown kind")
        end, heard = ends.get(index, (0, 0))
        yield Step("nbd", number, NBD, start, one.down.first(end - 1) if end else None, request, heard)
