"""The server's side of clients' swap, with the real nbd-server: who gets a file, and when it goes.

In a network and a /var/lib of their own, with a listener in the place of systemd's. A client is an address.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltspd.model.facts import Facts
from ltspd.outputs import outputs
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.planning import conf, link, programs, world

CONF = "[server]\nNBD_SWAP=16M\nNBD_SWAP_CLIENTS=2\nNBD_SWAP_KEEP=1\n"
PROGRAM = REPOSITORY / "nbd/nbd-swap"
# Before the lines of a test: what listens as ltspd-swap.socket does, and clients.
STAGE = f"""import os, pathlib, socket, struct, subprocess, sys, threading, time
addresses = ("127.0.0.1/8", "10.9.9.1/24", "10.9.9.2/24", "10.9.9.3/24", "10.8.8.1/24")
for words in ("link set lo up", *(f"address replace {{each}} dev lo" for each in addresses)):
    subprocess.run(["ip", *words.split()], check=True)
subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "swap", "/var/lib"], check=True)
outputs, files, run = (pathlib.Path("/var/lib") / each for each in ("ltspd/outputs", "ltspd/swap", "run"))
for each in (outputs, files, run):
    each.mkdir(parents=True)
for each in pathlib.Path(sys.argv[2]).iterdir():
    (outputs / each.name).write_bytes(each.read_bytes())
listener = socket.create_server(("0.0.0.0", 10808))
served, words = [], {{**os.environ, "KEEP": "1", "RUNTIME_DIRECTORY": str(run)}}

def serve():
    while True:
        line, (address, _) = listener.accept()
        with line:
            served.append(subprocess.Popen([sys.argv[1], "serve"], stdin=line, stdout=line,
                env=words | {{"REMOTE_ADDR": address}}, start_new_session=True))

threading.Thread(target=serve, daemon=True).start()

def connect(address, name):
    "Return a client's connection, and the size of what it has; 0 if it is refused."
    line = socket.create_connection(("127.0.0.1", 10808), {PATIENCE}, (address, 0))
    assert take(line, 18)[:16] == b"NBDMAGICIHAVEOPT"
    name = name.encode()
    line.sendall(struct.pack(">I8sIIH", 3, b"IHAVEOPT", 7, len(name) + 6, 0)[:20])
    line.sendall(struct.pack(">I", len(name)) + name + bytes(2))
    size = 0
    try:
        while True:
            _, _, kind, length = struct.unpack(">QIII", take(line, 20))
            data = take(line, length)
            if kind == 3 and data[:2] == bytes(2):
                (size,) = struct.unpack(">Q", data[2:10])
            if kind == 1 or kind >> 31:
                return line, size if kind == 1 else 0
    except EOFError:
        return line, 0

def take(line, count):
    data = b""
    while len(data) < count:
        piece = line.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data

def ask(line, command, at, data=b"", count=0):
    line.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, 0, at, len(data) or count) + data)
    assert take(line, 16)[4:8] == bytes(4)
    return take(line, count)

def there():
    return sorted(each.name for each in files.iterdir())

def alive():
    return [each for each in served if each.poll() is None]

def waiting(process):
    "Whether a process waits for the end of all connections."
    try:
        children = pathlib.Path(f"/proc/{{process.pid}}/task/{{process.pid}}/children").read_text().split()
        lines = [pathlib.Path(f"/proc/{{each}}/cmdline").read_bytes() for each in children]
    except OSError:
        return False  # one that has just ended
    return any(b"--exclusive" in each for each in lines)

def until(what):
    deadline = time.monotonic() + {PATIENCE}
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)

NEW, AGAIN = "swap-16M-new", "swap-16M"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what the daemon would write, with the script of this tree."""
    place = tmp_path_factory.mktemp("swap")
    facts = Facts(links=(link("eth0", "10.9.9.1/24"),), programs=programs("nbd-server"))
    for file in (
        each for found in outputs(world(conf(CONF), facts)) if found.name == "swap" for each in found.files
    ):
        text = file.data.replace(b"/usr/lib/ltspd/nbd-swap", bytes(PROGRAM))
        (place / Path(file.path).name).write_bytes(text)
    return place


def play(made: Path, lines: str) -> str:
    """Run the lines of a test on the stage, and return what the script said."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    inside = [sys.executable, "-c", STAGE + lines + "\nos._exit(0)\n", str(PROGRAM), str(made)]
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", *inside]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_file_is_a_clients_own_and_outlives_a_connection_for_a_while(made: Path) -> None:
    play(
        made,
        """
line, size = connect("10.9.9.1", AGAIN)
assert size == 0 and there() == []
line, size = connect("10.9.9.1", NEW)
assert size == 16 << 20 and there() == ["10.9.9.1"]
assert (files / "10.9.9.1").stat().st_blocks == 0
ask(line, 1, 4096, b"mine" * 1024)
other, size = connect("10.9.9.2", NEW)
assert size == 16 << 20 and ask(other, 0, 4096, count=4096) == bytes(4096)
line.close()
line, size = connect("10.9.9.1", AGAIN)
assert size == 16 << 20 and ask(line, 0, 4096, count=4) == b"mine"
# One process waits for the end of this connection, and however many have ended, one is enough.
until(lambda: sum(map(waiting, alive())) == 1 and len(alive()) == 3)
assert ask(line, 0, 4096, count=4) == b"mine" and "10.9.9.1" in there()
line.close()
until(lambda: there() == ["10.9.9.2"] and len(alive()) == 1)
assert connect("10.9.9.1", AGAIN)[1] == 0
# One that has booted again gets an empty one.
ask(other, 1, 0, b"old!" * 1024)
other, size = connect("10.9.9.2", NEW)
assert ask(other, 0, 0, count=4096) == bytes(4096)
""",
    )


def test_files_are_bounded_and_only_served_networks_have_them(made: Path) -> None:
    said = play(
        made,
        """
assert connect("10.8.8.1", NEW)[1] == 0 and there() == []
held = [connect("10.9.9.1", NEW), connect("10.9.9.2", NEW)]
assert [size for _, size in held] == [16 << 20] * 2
assert connect("10.9.9.3", NEW)[1] == 0 and there() == ["10.9.9.1", "10.9.9.2"]
# One of those that have a file boots again: in the same file, or an old connection could fill another one.
(old, _), place = held[1], files / "10.9.9.2"
ask(old, 1, 0, b"more" * 1024)
number = place.stat().st_ino
assert connect("10.9.9.2", NEW)[1] == 16 << 20
assert (place.stat().st_ino, place.stat().st_blocks) == (number, 0)
(files / "10.9.9.1").unlink()
# 30 MB are free, of which 16 are promised to the other one.
(pathlib.Path("/var/lib") / "else").write_bytes(bytes(10 << 20))
assert connect("10.9.9.3", NEW)[1] == 0 and there() == ["10.9.9.2"]
""",
    )
    assert "<4>No swap for 10.9.9.3: 2 clients have some already, and NBD_SWAP_CLIENTS=2.\n" in said
    left = "the file system of /var/lib has less than 16777216 bytes left for it."
    assert f"<4>No swap for 10.9.9.3: {left}\n" in said


def test_what_nobody_comes_back_for_after_a_restart_goes(made: Path) -> None:
    play(
        made,
        """
line, size = connect("10.9.9.1", NEW)
ask(line, 1, 0, b"kept" * 1024)
connect("10.9.9.2", NEW)
for each in served:
    os.killpg(each.pid, 9)
assert there() == ["10.9.9.1", "10.9.9.2"]
left = subprocess.Popen([sys.argv[1], "left"], env=words)
line, size = connect("10.9.9.1", AGAIN)
assert left.wait() == 0 and there() == ["10.9.9.1"]
assert ask(line, 0, 0, count=4) == b"kept"
""",
    )
