"""The gateway as a process of its own and an unprivileged user, for tests that ask it over real sockets."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ltspd.clients.table import Table, dump
from tests import REPOSITORY
from tests.patience import PATIENCE

KERNEL = bytes(range(256)) * 4096


def free_port() -> int:
    """Return a port that is free, and that no connection of this machine gets meanwhile (ip(7))."""
    for port in random.sample(range(20000, 32000), 1000):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


# The newest aiohttp, and the one of Debian 12: the gateway runs with both.
PYTHONS = {"newest": sys.executable, "debian": "/usr/bin/python3"}


def _skip_without(python: str) -> None:
    """Skip where Debian's packages are not installed; the lab's set-up installs them."""
    found = subprocess.run([python, "-c", "import aiohttp, systemd.daemon"], stderr=subprocess.DEVNULL)
    if found.returncode != 0:
        pytest.skip(f"{python} has no aiohttp and systemd (python3-aiohttp, python3-systemd)")


class Gateway:
    """A running gateway. ``values`` replace constants of its modules: ``connections__WAIT_SECONDS``."""

    def __init__(
        self, folder: Path, table: Table, python: str = "newest", nofile: int = 16384, **values: Any
    ) -> None:
        self.folder, self.port = folder, table.port
        _skip_without(PYTHONS[python])
        replaced = ""
        for name, value in values.items():
            module, _, constant = name.partition("__")
            replaced += f"import ltspd.gateway.{module} as m; m.{constant} = {value}\n"
        program = f"import sys\n{replaced}from ltspd.gateway.__main__ import main\nsys.exit(main())"
        self.path = folder / "gateway.json"
        self.log = folder / "log"
        self.write(table)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        os.chmod(folder / "notify", 0o777)
        self._notify.settimeout(1)
        unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(unprivileged if os.geteuid() == 0 else []),
                    *("prlimit", f"--nofile={nofile}:{nofile}"),
                    *(PYTHONS[python], "-c", program, str(self.path)),
                ],
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": str(folder / "notify"),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    # Whatever bus this machine has is no business of a test.
                    "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/no-bus",
                },
                stderr=log,
            )

    def write(self, table: Table) -> None:
        new = self.path.with_suffix(".new")
        new.write_bytes(dump(table))
        new.rename(self.path)

    def heard(self, prefix: str) -> str:
        """Wait for a message to the service manager that begins with ``prefix`` and return it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                message = self._notify.recv(4096).decode()
            except TimeoutError:
                assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
                continue
            if message.startswith(prefix):
                return message
        raise TimeoutError(f"it never said {prefix}: {self.log.read_text()}")

    def hang_up(self, table: Table) -> str:
        self.write(table)
        self.process.send_signal(signal.SIGHUP)
        return self.heard("STATUS=")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self._notify.close()


@contextmanager
def served_folder() -> Iterator[Path]:
    """Make a directory that the gateway's unprivileged user can reach."""
    with tempfile.TemporaryDirectory(prefix="ltspd-gateway-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        path = Path(name)
        (path / "vmlinuz").write_bytes(KERNEL)
        (path / "secret").write_bytes(b"not in the table")
        (path / "private").write_bytes(b"in the table, but root's")
        (path / "private").chmod(0o600)
        yield path


def listed(folder: Path, port: int, **files: str) -> Table:
    names = {"vmlinuz": "vmlinuz", "gone": "gone", "private": "private", **files}
    return Table(("127.0.0.1",), port, {f"/ltsp/{url}": str(folder / file) for url, file in names.items()})


@contextmanager
def running(folder: Path, python: str = "newest", nofile: int = 16384, **values: Any) -> Iterator[Gateway]:
    gateway = Gateway(folder, listed(folder, free_port()), python, nofile, **values)
    try:
        gateway.heard("READY=1")
        yield gateway
    finally:
        gateway.close()


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def ask(port: int, raw: bytes, address: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and return status, headers and body of the answer."""
    with socket.create_connection((address, port), timeout=PATIENCE) as sock:
        sock.sendall(raw)
        answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def request(path: str, method: str = "GET", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: server", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def memory(gateway: Gateway) -> int:
    """Return the resident set, in bytes."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def descriptors(gateway: Gateway) -> list[str]:
    """Return what its descriptors lead to."""
    found = []
    for each in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        try:
            found.append(str(each.readlink()))
        except OSError:
            continue
    return found
