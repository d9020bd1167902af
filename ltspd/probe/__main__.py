"""Ask one of this machine's own servers something harmless; the exit status says whether it answered.

systemd runs it as ``ltspd-probe@QUESTION.service``, as a throwaway user, because the daemon speaks to no
network. A question is ``KIND:LINK:ADDRESS``. It goes to the server's own address, so it never leaves this
machine, and it takes no lease.
"""

import socket
import struct
import sys
import time
from ipaddress import IPv4Address

ANSWERED, UNASKED, SILENT = 0, 1, 3
# Seconds to wait for the answer to each attempt: a busy server drops some requests.
ATTEMPTS = (2.0, 3.0, 5.0)
# A locally administered address (IEEE 802), which no card has; it ends with the letters "ltspd".
_MAC = b"\x02ltspd"
# RFC 2131: from client to server, Ethernet; RFC 2132: 53 message type (3 request, 8 inform), 60 vendor class;
# RFC 4578: 93 architecture (0: BIOS), 94 network interface, 97 machine's id.
_DHCP = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_INFORM = b"\x35\x01\x08\xff"
_REQUEST = (
    b"\x35\x01\x03\x3c\x20PXEClient:Arch:00000:UNDI:002001"
    + b"\x5d\x02\0\0\x5e\x03\1\2\1\x61\x11"
    + bytes(17)
    + b"\xff"
)
TRANSACTION = 0x6C747370
# RFC 1350: a read request of a file of some kilobytes, the beginning of an acknowledgement, and a full block.
_READ = b"\0\1ltsp/ltsp.ipxe\0octet\0"
_ACKNOWLEDGED, _BLOCK = b"\0\4", 516
_MOST_BLOCKS = 1000


def main() -> int:
    """Return ANSWERED, SILENT or UNASKED."""
    kind, _, address = sys.argv[1].split(":")
    try:
        return ANSWERED if ask(kind, address) else SILENT
    except OSError as error:
        print(f"{address} can't be asked for {kind}: {error}", file=sys.stderr)
        return UNASKED


def ask(kind: str, address: str) -> bool:
    """Return whether the server of a kind (``real``, ``proxy``, ``tftp``) answers at an address of ours.

    Raises OSError if it can't be asked.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if kind == "real":
            # The answer comes to this port, where no other program's socket must be in the way.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, 68))
            return _heard(sock, _message(address, _INFORM), (address, 67))
        sock.bind((address, 0))
        if kind == "proxy":
            return _heard(sock, _message(address, _REQUEST), (address, 4011))
        return _heard(sock, _READ, (address, 69))


def _message(address: str, options: bytes) -> bytes:
    zero = bytes(4)
    own = IPv4Address(address).packed
    head = _DHCP.pack(1, 1, 6, 0, TRANSACTION, 0, 0, own, zero, zero, zero, _MAC, b"", b"", _COOKIE)
    return (head + options).ljust(300, b"\0")


def _heard(sock: socket.socket, question: bytes, server: tuple[str, int]) -> bool:
    """Return whether the server answers; of the answer only TFTP's block number is read."""
    for patience in ATTEMPTS:
        sock.sendto(question, server)
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                answer, sender = sock.recvfrom(_BLOCK)
            except TimeoutError:
                break
            if sender[0] == server[0]:
                if server[1] == 69:
                    _take(sock, answer, sender)
                return True
    return False


def _take(sock: socket.socket, block: bytes, sender: tuple[str, int]) -> None:
    """Receive the whole file, because a server logs an aborted transfer as an error."""
    sock.settimeout(ATTEMPTS[0])
    for _ in range(_MOST_BLOCKS):
        sock.sendto(_ACKNOWLEDGED + block[2:4], sender)
        if len(block) < _BLOCK:
            return
        try:
            block = sock.recv(_BLOCK)
        except TimeoutError:
            return


if __name__ == "__main__":
    sys.exit(main())
