"""``python -m bench.flood COUNT MEMBER``: a caller with as many pending calls as the bus allows.

Prints a line when it begins, and how many calls were refused when all are answered.
"""

import sys

from ltspd.api import remote as server
from ltspd.dbus import wire
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH, STEM, interface

# dbus-daemon's limit of unanswered calls for a connection.
UNDER_WAY = 128
WHAT: dict[str, tuple[str, str, str, list[str]]] = {
    "GetAll": (server.PROPERTIES, "GetAll", "s", [interface("Manager")]),
    "GetManagedObjects": (server.OBJECT_MANAGER, "GetManagedObjects", "", []),
}


def main(count: int, member: str) -> None:
    """Send ``count`` calls and read all their answers."""
    client = Client()
    sock, buffer, under_way, refused = client._socket, bytearray(), 0, 0
    sock.settimeout(60)
    call = wire.call(1000, STEM, ROOT_PATH, *WHAT[member])
    print("begin", flush=True)
    while count or under_way:
        calls = min(UNDER_WAY - under_way, count)
        # Each with a serial number of its own, which follows the length of the body.
        numbers = range(count, count - calls, -1)
        sock.sendall(b"".join(call[:8] + (1000 + n).to_bytes(4, "little") + call[12:] for n in numbers))
        count -= calls
        under_way += calls
        buffer += sock.recv(1 << 20)
        while len(buffer) >= wire.PREFIX and len(buffer) >= (size := wire.size(bytes(buffer[: wire.PREFIX]))):
            under_way -= buffer[1] in (wire.RETURN, wire.ERROR)
            refused += buffer[1] == wire.ERROR
            del buffer[:size]
    client.close()
    print(refused, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
