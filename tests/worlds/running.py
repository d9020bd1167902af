"""Running clients: the real script of ltsp-live.service in a mount namespace, beside a real gateway."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ltspd.clients.documents import accounts_text, numbered
from ltspd.model.account import Account, Group
from ltspd.system import sshkeys
from tests.worlds.features import NEEDS_BUSYBOX, run

NEEDS_NAMESPACES = [
    NEEDS_BUSYBOX,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare"),
]
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nlocal:x:1005:1005::/home/local:/bin/sh\n",
    "etc/group": "root:x:0:\nsudo:x:27:local\nlocal:x:1005:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nlocal:secret:19000:0:99999:7:::\n",
}
# Programs of the image that are called, and that only write down how.
RECORDED = {"systemctl": "bin/systemctl", "/usr/bin/busctl": "bin/busctl"}


class Server:
    """What the daemon does for running clients: signed documents in a folder that a gateway serves."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder, self.key = folder, keys / "orders"
        asyncio.run(sshkeys.make(self.key, "test"))
        self.signers = f'ltsp-server namespaces="ltspd" {sshkeys.public(self.key)}\n'

    def document(self, accounts: tuple[Account, ...], groups: tuple[Group, ...], number: int) -> bytes:
        return numbered("accounts", accounts_text(accounts, groups), b"", number)

    def publish(self, name: str, data: bytes, key: Path | None = None) -> None:
        signature = asyncio.run(sshkeys.sign(key or self.key, "ltspd", data))
        for file, content in ((f"{name}.sig", signature), (name, data)):
            new = self.folder / f".{file}.new"
            new.write_bytes(content)
            new.chmod(0o644)
            new.rename(self.folder / file)


class Running:
    """A client whose files are in ``root``; what it calls is in ``calls``, what it says in ``said``."""

    def __init__(
        self, root: Path, port: int, signers: str, document: bytes, conf: str = "", mac: str = ""
    ) -> None:
        self.root, self.store = root, root / "run/initramfs/ltsp"
        before: Mapping[str, bytes] = {
            **{path: text.encode() for path, text in FILES.items()},
            "ltsp/accounts": document,
            "ltsp/login/allowed_signers": signers.encode(),
        }
        for path, data in before.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        (root / "etc/shadow").chmod(0o640)
        facts = {"base": f"http://127.0.0.1:{port}/ltsp", "mac": mac or "52:54:00:00:00:01"}
        run(root, ("20-hosts", "40-accounts", "85-live"), conf, facts)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, self.store / "busybox")
        (root / "run/systemd/users").mkdir(parents=True)
        (root / "bin").mkdir()
        for path in RECORDED.values():
            (root / path).write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>{root}/calls\n')
            (root / path).chmod(0o755)
        (root / "calls").touch()
        self.log = root / "said"

    def command(self, *words: str) -> list[str]:
        mounts = [(self.root / "etc", "/etc"), (self.root / "run/systemd", "/run/systemd")]
        mounts += [(self.root / path, name) for name, path in RECORDED.items() if name.startswith("/")]
        lines = [f"mount --bind {place} {name}" for place, name in mounts]
        busybox = self.store / "busybox"
        script = " && ".join([*lines, f"exec {busybox} sh {self.store}/news/live {' '.join(words)}"])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]

    def start(self, inside: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """Run the script; ``inside`` are words before it that put it into a network."""
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*inside, *self.command()], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def gone(self, uid: int) -> None:
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            words = self.command("gone", str(uid))
            subprocess.run(words, env=environment, stdout=log, stderr=log, check=True)

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def lines(self, path: str) -> list[str]:
        return self.text(path).splitlines()
