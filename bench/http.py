"""HTTP/1 as it went over a connection: where each request and each answer begins and ends. Pure."""

import re
from collections.abc import Iterator, Sequence

_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT) ")
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding: *chunked")
_END = b"\r\n\r\n"


def is_request(data: bytes | bytearray) -> bool:
    """Tell whether a connection begins with a request."""
    return _REQUEST.match(data) is not None


def requests(data: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
    """Yield where each whole request begins, and what it is."""
    at = 0
    while (head := data.find(_END, at)) >= 0:
        found = _LENGTH.search(data, at, head)
        end = head + 4 + (int(found[1]) if found else 0)
        if end > len(data):
            return
        yield at, bytes(data[at:end])
        at = end


def length(head: bytes | bytearray, *, headless: bool) -> int | None:
    """Return the bytes behind the head of an answer; -1 if they come in chunks, None if the end tells."""
    if headless or head[9:12] in (b"204", b"304") or head[9:10] == b"1":
        return 0
    if _CHUNKED.search(head):
        return -1
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


def answers(data: bytes | bytearray, headless: Sequence[bool]) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each whole answer begins and ends, and its status; ``headless``: which have no body."""
    at = 0
    for without in headless:
        head = data.find(_END, at)
        if head < 0:
            return
        status, body = bytes(data[at + 9 : at + 12]), length(bytes(data[at : head + 4]), headless=without)
        end = head + 4
        if body is None:
            end = len(data)
        elif body >= 0:
            end += body
        else:
            last = data.find(b"\r\n0\r\n\r\n", head + 2)
            end = last + 7 if last >= 0 else len(data) + 1
        if end > len(data):
            return
        yield at, end, status
        at = end


def addressed(request: bytes, changes: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a request with other words in it, and with the length that its body has then."""
    head, _, body = request.partition(_END)
    for old, new in changes:
        head, body = head.replace(old, new), body.replace(old, new)
    if body:
        head = _LENGTH.sub(b"Content-Length: %d" % len(body), head)
    return head + _END + body
