"""A machine on the lab's LAN that asks the server's logins by ssh, as clients do."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.net import SERVER_ADDRESS, ip
from tests.lab.server import Server
from tests.patience import PATIENCE

PORT = 10822
# Addresses of machines: one that people sit at, one of somebody else, and one that no served network has.
DESK, OTHER, STRANGER = "192.168.67.50", "192.168.67.51", "172.16.9.9"
HOST = "ltsp-login"
_CONFIG = """Host {host}
HostName {address}
HostKeyAlias {host}
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile none
StrictHostKeyChecking yes
NumberOfPasswordPrompts 1
"""
# One after the other, so that no connection waits for room in the listener's queue.
_HOLD = """import socket, sys
source, address, port, count = sys.argv[1:]
held, greeted = [], 0
for _ in range(int(count)):
    held.append(socket.create_connection((address, int(port)), source_address=(source, 0)))
    try:
        greeted += held[-1].recv(100).startswith(b"SSH-2.0")
    except ConnectionError:
        pass
print(greeted, flush=True)
sys.stdin.read()
"""
_ASKPASS = """#!/bin/sh
cd "${0%/*}"
printf '%s\\0' "$1" >>prompts
head -n 1 answers
sed -i 1d answers
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it: the prompts, without ``(user@host)``, what ssh said, its exit status and output."""

    prompts: tuple[str, ...]
    said: str
    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A machine that knows the server by its host key; its files lie in ``folder``."""

    server: Server
    folder: Path

    def command(
        self, user: str, *words: str, program: str = "ssh", port: int = PORT, source: str = DESK
    ) -> list[str]:
        """Return the command of ssh, or of a program with its options, that ends with these ``words``."""
        options = [f"User={user}", f"Port={port}", f"BindAddress={source}"]
        ssh = ["setsid", "--wait", program, "-F", f"{self.folder}/config"]
        return [*self._net(), *ssh, *(f"-o{each}" for each in options), *words]

    def ask(
        self,
        user: str,
        *answers: str,
        words: tuple[str, ...] = ("-s", HOST, "sftp"),
        program: str = "ssh",
        stdin: str = "",
        port: int = PORT,
        source: str = DESK,
    ) -> Asked:
        """Try to log in, with one answer for each prompt; what is asked beyond gets an empty one.

        ``words`` end the command, see there. Without any, ssh opens SFTP and ends at once.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            done = subprocess.run(
                self.command(user, *words, program=program, port=port, source=source),
                input=stdin.encode(),
                capture_output=True,
                check=False,
                timeout=PATIENCE,
                env=self.askpass(Path(name), *answers),
            )
            asked = (Path(name) / "prompts").read_text().split("\0")[:-1]
        texts = tuple(re.sub(r"^\([^)]*\) ", "", each) for each in asked)
        said = done.stderr.decode().replace("\r", "")
        return Asked(texts, said, done.returncode, done.stdout.decode(errors="replace"))

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run another program on this machine."""
        return subprocess.run([*self._net(), *argv], capture_output=True, text=True, check=False)

    @contextmanager
    def held(self, source: str, count: int) -> Iterator[int]:
        """Hold so many connections that say nothing, for a while; how many of them the server greets."""
        argv = [*self._net(), sys.executable, "-c", _HOLD, source, SERVER_ADDRESS, str(PORT), str(count)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.communicate()

    @contextmanager
    def session(self, user: str, *answers: str) -> Iterator[Callable[[str], str]]:
        """Open a session by SFTP, for a while: it runs a command of sftp and returns what that printed."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            process = subprocess.Popen(
                self.command(user, HOST, program="sftp"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self.askpass(Path(name), *answers),
            )

            def run(command: str) -> str:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{command}\n!echo done\n")
                process.stdin.flush()
                lines: list[str] = []
                for line in process.stdout:
                    if line == "done\n":
                        return "".join(each for each in lines if not each.startswith("sftp> "))
                    lines.append(line)
                raise RuntimeError(f"the session ended: {lines}")

            try:
                yield run
            finally:
                process.communicate()

    def _net(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.server.lan.switch}", "--"]

    def askpass(self, folder: Path, *answers: str) -> Mapping[str, str]:
        """Return the environment in which ssh gets these answers, one for each prompt."""
        (folder / "askpass").write_text(_ASKPASS)
        (folder / "askpass").chmod(0o755)
        (folder / "prompts").touch()
        (folder / "answers").write_text("".join(f"{each}\n" for each in answers))
        ours = {"SSH_ASKPASS": str(folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force", "LC_ALL": "C.UTF-8"}
        return {"PATH": os.environ["PATH"], **ours}


def desk(server: Server, folder: Path) -> Desk:
    """Put such a machine on the server's LAN, for the rest of the run."""
    public = server.run("cut -d ' ' -f 1,2 /var/lib/ltspd/keys/login.pub")
    (folder / "known_hosts").write_text(f"{HOST} {public}")
    (folder / "config").write_text(_CONFIG.format(host=HOST, address=SERVER_ADDRESS, folder=folder))
    ip(server.lan.switch, *(f"address add {each}/24 dev lan" for each in (DESK, OTHER, STRANGER)))
    ip(server.lan.server, f"route add {STRANGER}/32 dev lan0")
    return Desk(server, folder)
