"""The key of a client: made by the real ssh-keygen, kept on a real file system, told in a real report."""

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ltspd.clients.fields import is_sound
from ltspd.gateway.reports import Report, parse
from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
NEEDED = ("busybox", "ssh-keygen", "mkfs.ext4", "losetup", "unshare", "debugfs")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)), reason=f"needs root and {', '.join(NEEDED)}"
)


class Server(HTTPServer):
    """Takes reports as the gateway does, and refuses the first ones if it is to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reports: list[Report] = []
        self.refuse = 0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        report = parse(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.refuse -= 1
        if self.server.refuse < 0:
            self.server.reports.append(report)
        self.send_response(503 if self.server.refuse >= 0 else 204)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Client:
    """A machine that boots again and again; its disk is a file."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home, self.server = home, server
        self.boots = 0
        # No udev runs here, which names disks: the client is told the device.
        (home / "bin").mkdir()
        (home / "bin/udevadm").symlink_to("/bin/true")

    def boot(self, before: str = "", *, alone: bool = False) -> Path:
        """Run what ltsp-key.service runs, in mounts of its own as that has, and return its directory.

        ``alone``: it has a network of its own, so that no server is there.
        """
        self.boots += 1
        login = self.home / f"boot{self.boots}"
        login.mkdir()
        known = {
            "base": f"http://127.0.0.1:{self.server.server_port}/ltsp", "mac": "52:54:00:00:00:01",
            "login": str(login), "busybox": shutil.which("busybox") or "", "disks": str(self.home),
            "address": "192.168.67.20", "hostname": "pc01", "marks": "init=1.00 ",
        }  # fmt: skip
        script = f"{before}\n. {CLIENT}/boot/report.sh; . {CLIENT}/live/key.sh"
        own = ["--net"] if alone else []
        words = ["unshare", "--mount", *own, "--propagation=private", "busybox", "sh", "-c", script]
        self.said = subprocess.run(
            words,
            env={"PATH": f"{self.home}/bin:{os.environ['PATH']}", **known},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        return login

    def key(self) -> str:
        """Return what the last boot has told, which is what it has."""
        login, report = self.home / f"boot{self.boots}", self.server.reports[-1]
        assert stat.S_IMODE((login / "key").stat().st_mode) == 0o600
        assert (login / "key.pub").read_text().split("\n") == [report.key, ""]
        assert (login / "kept").read_text().strip() == report.kept
        assert sorted(each.name for each in login.iterdir() if each.is_file()) == ["kept", "key", "key.pub"]
        words = ["ssh-keygen", "-y", "-P", "", "-f", str(login / "key")]
        made = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert made.split()[:2] == report.key.split()
        assert is_sound("key", report.key)
        return report.key


@pytest.fixture
def client(tmp_path: Path, server: Server) -> Client:
    return Client(tmp_path, server)


@contextmanager
def disk(client: Client, make: str = "mkfs.ext4 -q", label: str = "ltsp-keys") -> Iterator[Path]:
    """Give a client a disk; the path is where it can be looked into between boots."""
    image = client.home / "disk"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    if make:
        subprocess.run([*make.split(), image], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    (client.home / label).symlink_to(device)
    try:
        yield image
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def on(image: Path, command: str) -> str:
    """Run a command of debugfs(8) on the disk and return what it says."""
    words = ["debugfs", "-w", "-R", command, str(image)]
    return subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout


def test_without_a_disk_each_boot_has_a_key_of_its_own(client: Client) -> None:
    client.boot()
    first = client.key()
    assert client.server.reports[-1].kept == "0"
    assert (client.server.reports[-1].stage, client.server.reports[-1].hostname) == ("root", "pc01")
    client.boot()
    assert client.key() != first
    assert client.said == ""


def test_the_first_boot_writes_the_key_and_later_ones_have_it(client: Client) -> None:
    with disk(client) as image:
        client.boot()
        first = client.key()
        assert client.server.reports[-1].kept == "1"
        subprocess.run(["sync", client.home / "ltsp-keys"], check=True)
        assert "OPENSSH PRIVATE KEY" in on(image, "cat /ltsp-key")
        assert "0600" in on(image, "stat /ltsp-key")
        assert ".ltsp-key.new" not in on(image, "ls /")
        for _ in range(2):
            client.boot()
            assert client.key() == first
        assert client.said == ""


def test_what_a_loss_of_power_left_is_no_key_and_the_next_boot_writes_one(client: Client) -> None:
    with disk(client) as image:
        (client.home / "part").write_text("-----BEGIN OPENSSH")
        on(image, f"write {client.home}/part .ltsp-key.new")
        client.boot()
        first = client.key()
        client.boot()
        assert client.key() == first
        assert "0600" in on(image, "stat /ltsp-key")


@pytest.mark.parametrize("what", ["broken", "ecdsa", "link", "directory"])
def test_what_is_no_key_stays_as_it_is(client: Client, what: str) -> None:
    with disk(client) as image:
        file = client.home / "file"
        if what == "ecdsa":
            subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", file], check=True)
        else:
            file.write_text("no key")
        commands = {"link": "symlink ltsp-key /etc/shadow", "directory": "mkdir ltsp-key"}
        on(image, commands.get(what, f"write {file} ltsp-key"))
        before = on(image, "stat /ltsp-key")
        client.boot()
        client.key()
        assert client.server.reports[-1].kept == "0"
        assert "no Ed25519 key" in client.said
        assert on(image, "stat /ltsp-key") == before


def test_an_empty_disk_is_not_formatted(client: Client) -> None:
    with disk(client, make="") as image:
        client.boot()
        client.key()
        assert client.server.reports[-1].kept == "0"
        assert "can't be mounted" in client.said
        assert not any(image.read_bytes())


def test_a_full_disk_is_said_and_the_boot_has_a_key(client: Client) -> None:
    with disk(client) as image:
        fill = client.home / "fill"
        fill.write_bytes(b"x" * (7 << 20))
        on(image, f"write {fill} fill")
        on(image, f"write {fill} fill2")
        client.boot()
        client.key()
        assert client.server.reports[-1].kept == "0"
        assert "can't be written" in client.said


def test_a_busy_server_is_told_again_and_one_that_is_away_ends_nothing(client: Client) -> None:
    client.server.refuse = 2
    client.boot()
    client.key()
    assert client.said == ""
    client.server.refuse = 3
    login = client.boot()
    assert (login / "key").exists()
    assert "did not take the key" in client.said


@pytest.mark.skipif(
    not all(map(shutil.which, ("swtpm", "tpm2_hmac", "openssl", "ip"))),
    reason="needs swtpm, tpm2-tools, openssl",
)
def test_a_tpm_gives_the_same_key_at_each_boot_and_another_tpm_another_one(client: Client) -> None:
    def boot(machine: str) -> str:
        """Boot a machine with this TPM, whose state lies in a directory, and return its public key."""
        state = client.home / machine
        state.mkdir(exist_ok=True)
        before = f"""
            ip link set lo up
            swtpm socket --tpm2 --tpmstate dir={state} \\
                --server type=tcp,port=2321 --ctrl type=tcp,port=2322 \\
                --flags not-need-init,startup-clear --daemon --pid file={state}/pid
            trap 'kill $(cat {state}/pid); while [ -e {state}/pid ]; do sleep 0.1; done' EXIT
            chip=/dev/null tcti=swtpm:host=127.0.0.1,port=2321"""
        login = client.boot(before, alone=True)
        assert (login / "kept").read_text() == "1\n"
        assert sorted(each.name for each in login.iterdir()) == ["kept", "key", "key.pub"]
        words = ["ssh-keygen", "-y", "-P", "", "-f", str(login / "key")]
        made = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert made.strip() == (login / "key.pub").read_text().strip()
        assert is_sound("key", made.strip())
        # The two halves belong together: what one signs, the other knows.
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "test", "-f", str(login / "key")]
        signed = subprocess.run(sign, input=b"text", stdout=subprocess.PIPE, check=True).stdout
        (login / "signature").write_bytes(signed)
        (login / "allowed").write_text(f"me {made}")
        verify = ["ssh-keygen", "-q", "-Y", "verify", "-n", "test", "-I", "me", "-f", str(login / "allowed")]
        subprocess.run(
            [*verify, "-s", str(login / "signature")], input=b"text", check=True, stdout=subprocess.DEVNULL
        )
        return made

    first = boot("one")
    assert boot("one") == first
    assert boot("two") != first
