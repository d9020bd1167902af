"""A machine in the clients' room: which of the server's services answer it. It prints their names.

Run in the machine's network, with the server's address, a name that is outside, and what its page says.
"""

import socket
import struct
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Seconds until something counts as dropped; who expects an answer asks again.
PATIENCE = 4.0
TFTP, NFS, NBD, LOGIN = 69, 2049, 10809, 10822
FILE = "ltsp/ltsp.ipxe"


def main() -> None:
    """Ask all of them at once."""
    server, name, page = sys.argv[1:]
    asked: dict[str, Callable[[], bool]] = {
        "TFTP": lambda: _tftp(server),
        "HTTP": lambda: bool(_fetched(f"http://{server}/{FILE}")),
        "NFS": lambda: _nfs(server),
        "NBD": lambda: _greets(server, NBD, b"NBDMAGIC"),
        "login": lambda: _greets(server, LOGIN, b"SSH-2.0-"),
        "outside": lambda: page in _fetched(f"http://{name}/page"),
    }
    with ThreadPoolExecutor(len(asked)) as pool:
        for each, answers in zip(asked, pool.map(_tried, asked.values()), strict=True):
            if answers:
                print(each)


def _tried(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError as error:
        print(error, file=sys.stderr)
        return False


def _tftp(server: str) -> bool:
    """Return whether the first block of a file comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(b"\0\1" + FILE.encode() + b"\0octet\0", (server, TFTP))
        return sock.recv(600)[:4] == b"\0\3\0\1"


def _fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def _nfs(server: str) -> bool:
    """Return whether NFS 4 answers a call that does nothing (RFC 5531, RFC 7530)."""
    call = struct.pack("!10I", 7, 0, 2, 100003, 4, 0, 0, 0, 0, 0)
    with socket.create_connection((server, NFS), PATIENCE) as sock:
        sock.sendall(struct.pack("!I", 1 << 31 | len(call)) + call)
        return sock.recv(100)[4:12] == struct.pack("!2I", 7, 1)


def _greets(server: str, port: int, words: bytes) -> bool:
    with socket.create_connection((server, port), PATIENCE) as sock:
        return sock.recv(len(words), socket.MSG_WAITALL) == words


if __name__ == "__main__":
    main()
