"""The whole daemon as nobody, below a directory of its own, on a private bus and a private network."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ltspd.dbus import connection
from ltspd.dbus.connection import Connection
from ltspd.image.store import manifest
from ltspd.model.image import Generation, Layer
from ltspd.paths import Paths
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.bus import ALL_GRANTED, CONFIG, end_bus, get_all
from tests.worlds.fake_systemd import FakeSystemd1

NOBODY = 65534
UNITS = [
    f"ltspd-{name}.service" for name in ("dnsmasq", "gateway", "listener", "login", "nfs", "radvd", "tftp")
]
UNITS.append("ltspd-nbd.socket")
# Not on a link where the server gives addresses.
PROXY = "ltspd-proxy-dhcp.service"
# What lies on a server before the daemon's first start: systemd-tmpfiles' and the packages' part.
DIRECTORIES = [
    "etc/ltsp", "var/lib/dpkg", "var/lib/ltspd/outputs", "run/ltspd", "run/systemd", "srv/ltsp/images",
    "srv/tftp/ltsp", "usr/share/ltspd",
]  # fmt: skip
NETWORK = (
    "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add eth0 type veth peer name far0; "
    "ip address add 192.168.67.1/24 dev eth0; ip link set eth0 up; ip link set far0 up; "
)
# Here every machine has an sshd, which accepts any file; real ones are in the lab.
PROGRAMS = 'mount -t overlay -o "lowerdir=$3:/usr/sbin" overlay /usr/sbin; '

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "setpriv", "dbus-daemon"))),
    reason="needs root (for a network of its own, and to become nobody), iproute2, util-linux and dbus",
)


class World:
    """A server's surroundings: directories, a bus with systemd's stand-in, and daemons in a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths(root=folder / "root")
        for name in DIRECTORIES:
            (self.paths.root / name).mkdir(parents=True)
        (folder / "sbin").mkdir()
        (folder / "sbin/sshd").symlink_to("/bin/true")
        self.write("/etc/passwd", "ada:x:1000:1000:Ada:/home/ada:/bin/bash\n")
        self.write("/etc/group", "ada:x:1000:\n")
        self.write("/etc/resolv.conf", "nameserver 10.0.3.1\n")
        self.write("/etc/ltsp/ltsp.conf", "")
        self.write("/run/systemd/container", "test\n")
        for path in [self.paths.root, *self.paths.root.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        os.chmod(folder / "notify", 0o777)
        self.notify.setblocking(False)
        self.address = f"unix:path={folder / 'bus'}"
        self.bus_process = self._start_bus()
        self.log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.systemd: FakeSystemd1
        self.bus: Connection

    def _start_bus(self) -> "subprocess.Popen[bytes]":
        # A socket in the file system: an abstract one is not there in another network.
        config = self.folder / "bus.conf"
        text = CONFIG.replace("unix:abstract", "unix:path")
        config.write_text(text.format(socket=self.folder / "bus", policy=ALL_GRANTED))
        process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def write(self, name: str, text: str) -> None:
        """Replace a file as editors and package tools do."""
        path = self.paths.at(name)
        new = path.with_name(f".{path.name}.tmp")
        new.write_text(text)
        os.chown(new, NOBODY, NOBODY)
        new.rename(path)

    def install(self, *programs: str) -> None:
        """Install iPXE for some firmware; without, that is a problem (`wrong` leaves it out)."""
        place = self.paths.at("/usr/lib/ipxe")
        place.mkdir(parents=True)
        for name in programs:
            (place / name).touch()

    def publish(self, image: str, number: int, packages_digest: str = "") -> str:
        """Put a generation of an image there, make it the current one and return its id."""
        digest, identity = f"{number:064x}", f"20261121T2048{number:02}Z-{number:08x}"
        facts = Generation(
            id=identity, image=image, created=1000.0 + number, source=f"/srv/ltsp/{image}",
            architecture="x86_64", kernel="6.1", layers=(Layer(digest, 4),), source_bytes=1, source_files=1,
            kernel_bytes=6, initrd_bytes=6, packages_digest=packages_digest,
        )  # fmt: skip
        home = self.paths.images / image
        for name in ("layers", f"generations/{identity}"):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "layers" / facts.layers[0].file_name).write_bytes(b"data")
        for name, text in {
            "vmlinuz": "kernel",
            "initrd.img": "initrd",
            "layers": f"{digest} 4\n",
            "manifest.json": manifest.to_text(manifest.Manifest(facts, {})),
        }.items():
            (home / "generations" / identity / name).write_text(text)
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        (home / ".current").symlink_to(f"generations/{identity}")
        (home / ".current").rename(home / "current")
        return identity

    def start(self, bus: str = "") -> "subprocess.Popen[bytes]":
        """Start a daemon as nobody in a network with one cable."""
        drop = f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs"
        script = f'{PROGRAMS}{NETWORK}{drop} "$0" -m ltspd --root "$1" --bus "$2"'
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *("unshare", "--net", "--mount", "--", "sh", "-euc", script),
                    *(sys.executable, str(self.paths.root), bus or self.address, str(self.folder / "sbin")),
                ],
                cwd=REPOSITORY,
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "NOTIFY_SOCKET": str(self.folder / "notify"),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stderr=log,
            )
        self.processes.append(process)
        return process

    async def heard(self, wanted: str) -> None:
        """Wait until a daemon tells its service manager so."""
        async with asyncio.timeout(PATIENCE):
            while wanted not in (await asyncio.get_running_loop().sock_recv(self.notify, 4096)).decode():
                pass

    async def ready(self) -> "subprocess.Popen[bytes]":
        """Start a daemon and wait until its first pass is over."""
        process = self.start()
        await self.heard("READY=1")
        await self.until(lambda manager: manager["State"] not in ("starting", "applying"))
        return process

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the manager's properties are as wanted, and return them."""
        manager: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(manager := await get_all(self.bus, "Manager")):  # noqa: ASYNC110
                    await asyncio.sleep(0.03)
        except TimeoutError:
            pytest.fail(f"never so: {manager}\n{self.log.read_text()}")
        return manager

    async def settled(self) -> dict[str, Any]:
        """Wait until nothing is wrong but programs that this machine lacks."""
        return await self.until(
            lambda manager: (
                manager["State"] == ("attention" if manager["Problems"] else "in-sync") and not wrong(manager)
            )
        )

    def output(self, name: str) -> str:
        return (self.paths.outputs / name).read_text()

    def disk(self) -> dict[str, tuple[int, int, int]]:
        """Return what no write can leave unchanged: of each file and directory inode and times."""
        return {
            str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
            for path in self.paths.root.rglob("*")
            for stat in [path.lstat()]
        }

    def ip(self, process: "subprocess.Popen[bytes]", command: str) -> None:
        """Change the daemon's network."""
        argv = ["nsenter", f"--net=/proc/{process.pid}/ns/net", "--", "ip", *command.split()]
        subprocess.run(argv, check=True)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
        end_bus(self.bus_process)
        self.notify.close()


def wrong(manager: dict[str, Any]) -> list[str]:
    """Return the problems that are not about programs that this machine happens to lack."""
    return [problem for problem in manager["Problems"] if "not installed" not in problem]


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Make a world with a bus and systemd's stand-in, and end all that ran in it."""
    with tempfile.TemporaryDirectory(prefix="ltspd-daemon-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        world = World(Path(name))
        try:
            systemd_bus = await connection.connect(world.address)
            world.systemd = FakeSystemd1(systemd_bus)
            await world.systemd.start()
            for unit in (*UNITS, PROXY):
                world.systemd.set(unit, "inactive", "dead")
            world.bus = await connection.connect(world.address)
            try:
                yield world
            finally:
                await world.bus.close()
                await systemd_bus.close()
        finally:
            world.close()


def context_switches(pid: int) -> int:
    """Return how often the process's threads went to sleep by themselves since they began."""
    return sum(
        int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
    )


async def idle(pid: int, seconds: float) -> int:
    """Return how often the process woke up within a time, once it has come to rest."""
    async with asyncio.timeout(PATIENCE):
        before = -1
        while before != (before := context_switches(pid)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.4)
    await asyncio.sleep(seconds)
    return context_switches(pid) - before
