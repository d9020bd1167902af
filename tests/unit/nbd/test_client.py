"""Our nbd-client talks to servers: what it asks for, and that nothing that a server says harms it.

In a network of its own, where the kernel offers no devices; so a negotiation that went well ends with that.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ltspd.initrd import elf
from tests import REPOSITORY
from tests.patience import PATIENCE

SOURCES = [REPOSITORY / "nbd" / name for name in ("nbd-client.c", "encrypt.c", "resident.c")]
NAME = "5e" * 32
HELLO = b"NBDMAGICIHAVEOPT\0\3"
# Says the second argument to whoever connects, as an answer to the request if that begins with a greeting,
# and prints what was asked for. The third one says whether it then hangs up.
SERVER = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
words = bytes.fromhex(sys.argv[2])
with socket.create_server(("127.0.0.1", 10809)) as server:
    ours = [sys.argv[1], "127.0.0.1", "10809", "/dev/nbd0", "-N", sys.argv[4]]
    client = subprocess.Popen([*ours, "-nonetlink", "-persist", "-systemd-mark", "-readonly"])
    line, _ = server.accept()
    with line:
        line.sendall(words[:18])
        asked = line.recv(4096) if words[:8] == b"NBDMAGIC" and len(words) >= 18 else b""
        print(asked.hex(), flush=True)
        try:
            line.sendall(words[18:])
        except OSError:
            pass
        if sys.argv[3] == "stays":
            client.wait()
    sys.exit(client.wait())
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile it as `make install` does."""
    target = tmp_path_factory.mktemp("nbd")
    flags = ["-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run(["cc", *flags, "-o", target / "nbd-client", *SOURCES], check=True)
    return target / "nbd-client"


def talk(program: Path, words: bytes, then: str = "hangs up") -> tuple[bytes, str]:
    """Return what the program asked a server for that answers with ``words``, and what it said in the end."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    argv = ["unshare", "--net", sys.executable, "-c", SERVER, str(program), words.hex(), then, NAME]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1, done.stderr
    return bytes.fromhex(done.stdout.strip()), done.stderr


def reply(kind: int, data: bytes = b"", magic: int = 0x3E889045565A9, option: int = 7) -> bytes:
    return struct.pack(">QIII", magic, option, kind, len(data)) + data


def export(size: int = 8192) -> bytes:
    return reply(3, struct.pack(">HQH", 0, size, 3))


ACK = reply(1)


def test_it_asks_for_the_export_and_gives_it_to_the_kernel(program: Path) -> None:
    asked, said = talk(program, HELLO + export() + ACK)
    assert asked == (
        struct.pack(">I", 1)
        + b"IHAVEOPT"
        + struct.pack(">III", 7, len(NAME) + 6, len(NAME))
        + NAME.encode()
        + b"\0\0"
    )
    assert said == "nbd0: this kernel has no NBD: No such file or directory\n"


def test_other_informations_are_passed_over(program: Path) -> None:
    others = reply(3, b"\0\1nothing") + export() + reply(3, struct.pack(">HIII", 3, 1, 4096, 1 << 25))
    assert "this kernel has no NBD" in talk(program, HELLO + others + ACK)[1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (b"", "it hung up"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak NBD's fixed newstyle"),
        (b"NBDMAGICIHAVEOPT\0\0", "does not speak NBD's fixed newstyle"),
        (HELLO, "it hung up"),
        (HELLO + reply(1 << 31 | 6, b"unknown"), "it does not have this export"),
        (HELLO + reply(1 << 31 | 2), "it refuses"),
        (HELLO + ACK, "it does not tell the export's size"),
        (HELLO + reply(3, b"\0\0\0") + ACK, "it does not tell the export's size"),
        (HELLO + export(0) + ACK, "it does not tell the export's size"),
        (HELLO + export(1 << 63) + ACK, "it does not tell the export's size"),
        (HELLO + export() + reply(1, option=6), "none of NBD's"),
        (HELLO + reply(1, magic=7), "none of NBD's"),
        (HELLO + reply(3, bytes(4096)), "none of NBD's"),
        (HELLO + reply(3, bytes(1024))[:60], "it hung up"),
        (HELLO + export() * 64, "it does not come to an end"),
    ],
)
def test_nothing_that_a_server_says_is_believed_beyond_measure(program: Path, words: bytes, why: str) -> None:
    assert why in talk(program, words, "hangs up" if "hung up" in why else "stays")[1]


def test_nbd_server_understands_it(program: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("nbd-server") is None:
        pytest.skip("needs root and nbd-server")
    (tmp_path / "layer").write_bytes(bytes(8192))
    conf = f"[generic]\n[{NAME}]\n    exportname = {tmp_path}/layer\n    readonly = true\n"
    (tmp_path / "conf").write_text(conf)
    # In the foreground it serves one connection and ends.
    script = (
        'ip link set lo up; for name in "$3" "00$3"; do nbd-server -C "$1" -d -p "$1.pid" & '
        'until ss -Hltn "sport = :10809" | grep -q .; do sleep 0.05; done; '
        '"$2" 127.0.0.1 10809 /dev/nbd0 -N "$name"; wait; done'
    )
    argv = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        script,
    ]
    done = subprocess.run(
        [*argv, "sh", str(tmp_path / "conf"), str(program), NAME],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("nbd0: ")]
    assert len(lines) == 2, done.stderr
    assert "this kernel has no NBD" in lines[0]
    assert "it does not have this export" in lines[1]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["127.0.0.1", "10809", "/dev/nbd0", "-N"],
        ["server", "10809", "/dev/nbd0", "-N", NAME],
        ["127.0.0.1", "10809", "/dev/sda", "-N", NAME],
        ["127.0.0.1", "10809", "/dev/nbd0", "-N", "5" * 129],
    ],
)
def test_words_that_it_does_not_understand_are_refused(program: Path, words: list[str]) -> None:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_it_needs_nothing_but_the_kernel(program: Path) -> None:
    facts = elf.parse(program.read_bytes())
    assert facts is not None
    assert facts.interpreter == ""


def test_it_prints_which_files_are_in_memory(program: Path, tmp_path: Path) -> None:
    # In a file system of its own: of others, other programs may read anything meanwhile.
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    tree, layer, place = tmp_path / "tree", tmp_path / "layer", tmp_path / "place"
    for name, size in (("a/read", 300_000), ("a/not read", 300_000), ("begun", 3_000_000), ("empty", 0)):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(os.urandom(size))
    (tree / "link").symlink_to("a/read")
    os.mkfifo(tree / "fifo")
    place.mkdir()
    subprocess.run(["mksquashfs", tree, layer, "-quiet", "-no-progress"], check=True)
    script = """mount -t squashfs -o loop,ro "$1" "$2" && cat "$2/a/read" "$2/empty" >/dev/null &&
        dd if="$2/begun" of=/dev/null bs=4k count=1 skip=700 status=none &&
        exec "$0" --resident "$2" "$2/a" """
    argv = ["unshare", "--mount", "sh", "-c", script, str(program), str(layer), str(place)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["a/read", "begun", "read"]
