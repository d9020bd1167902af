"""A client of NBD in a few lines, for scripts that run on a server: its protocol's doc/proto.md."""

from tests.patience import PATIENCE

# The export is the argument. `read` asks for its first four bytes; a squashfs begins with b"hsqs".
CLIENT = f"""import socket, struct, sys
line = socket.create_connection(("127.0.0.1", 10809), {PATIENCE})
def take(count):
    data = b""
    while len(data) < count:
        piece = line.recv(count - len(data))
        assert piece, "the server hung up"
        data += piece
    return data
def read(number):
    line.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, number, 0, 4))
    assert take(16)[4:8] == bytes(4), "the server can't read the export"
    return take(4)
# The fixed newstyle handshake.
assert take(16) == b"NBDMAGICIHAVEOPT", "no NBD server"
take(2)
name = sys.argv[1].encode()
line.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, len(name)) + name)
take(10)
"""
