"""A server that is a machine: Debian's own kernel and systemd in QEMU; a container has the lab's kernel.

It is for what the lab's kernel lacks, as an NFS server. Tests talk to it as to a container, but don't see its
files from outside. Everything takes about ten times as long as in a container.
"""

import lzma
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from base64 import encodebytes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ltspd.initrd import cpio, modules
from tests import REPOSITORY
from tests.lab import trees
from tests.lab.console import Console
from tests.lab.net import SERVER_ADDRESS, Lan, ip
from tests.lab.server import Server
from tests.lab.session import Session, end
from tests.patience import PATIENCE

MAC = "52:54:00:67:00:01"
# What stands between QEMU's disk and the mount of its file system; the rest of that is built in.
_DRIVERS = ("virtio_pci", "virtio_blk")
_INIT = """#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
for module in /modules/*; do $bb insmod "$module"; done
while ! [ -e /dev/vda ]; do $bb usleep 20000; done
$bb mount -t ext4 /dev/vda /root
exec $bb switch_root /root /sbin/init
"""
# In a mount namespace of its own: TREE DIRECTORY REPOSITORY DISK [IMAGE SOURCE]…
_LAY_OUT = f"""set -eu
tree=$1 directory=$2 repository=$3 disk=$4
shift 4
root=$directory/root
mkdir "$root" "$directory/upper" "$directory/work"
mount -t overlay -o "lowerdir=$tree,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
echo ltsp-server >"$root/etc/hostname"
network=$root/etc/systemd/network
printf '[Match]\\nMACAddress={MAC}\\n[Link]\\nName=lan0\\n' >"$network/10-lan.link"
printf '[Match]\\nName=lan0\\n[Network]\\nAddress={SERVER_ADDRESS}/24\\n' >"$network/10-lan.network"
make -C "$repository" --no-print-directory --silent install "DESTDIR=$root"
# Everything takes longer here than systemd waits for a service to start.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\\nDefaultTimeoutStartSec={PATIENCE:.0f}\\n' >"$root/etc/systemd/system.conf.d/lab.conf"
systemctl --root="$root" --quiet enable ltspd.service systemd-networkd.service
# They have nothing to serve yet.
systemctl --root="$root" --quiet disable \\
    krb5-kdc.service krb5-admin-server.service nbd-server.service ssh.service
while [ $# -gt 0 ]; do
    mkdir -p "$root/srv/ltsp/$1"
    mount --bind "$2" "$root/srv/ltsp/$1"
    shift 2
done
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 -m 0 -d "$root" "$disk" 10G
"""


@dataclass(slots=True)
class Machine(Server):
    """A running machine. There is one shell in it, so only one command runs at a time."""

    _shell: Console | None = None
    _lines: list[Console] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def path(self, absolute: str) -> Path:
        """Raise: nobody sees the files of a machine from outside."""
        raise NotImplementedError(absolute)

    def command(self, argv: list[str]) -> list[str]:
        """Raise: nothing enters a machine from outside."""
        raise NotImplementedError(argv)

    def run(self, script: str, *, check: bool = True, timeout: float = PATIENCE, stdin: str = "") -> str:
        """Run a shell script as root in the machine; return what it printed (both streams)."""
        output, status = self._do(script, timeout, stdin)
        if check and status != 0:
            raise RuntimeError(f"on the server, {script!r} ended with {status}: {output.strip()}")
        return output

    def _do(self, script: str, timeout: float, stdin: str = "") -> tuple[str, int]:
        assert self._shell is not None
        command = f"sh -c {shlex.quote(script)}"
        if stdin:
            # A serial line takes no line of more than 4095 characters.
            command = f"base64 -d <<'EOF' | {command}\n{encodebytes(stdin.encode()).decode()}EOF"
        with self._turn:
            return self._shell.run(command, timeout)

    def _true(self, script: str) -> bool:
        return self._do(script, PATIENCE)[1] == 0

    def write(self, absolute: str, text: str) -> None:
        """Write a file of the server as an editor does: a new file, then a rename."""
        path = Path(absolute)
        new = path.with_name(f".{path.name}.lab")
        self.run(f"mkdir -p {path.parent}; cat >{new} && mv {new} {path}", stdin=text or "\n")

    def stop(self) -> None:
        """Cut the power; save the journal first."""
        if self._process.poll() is None:
            try:
                self.save_journal()
            except (OSError, RuntimeError, TimeoutError):
                pass
            end(self._process, signal.SIGKILL)
        for line in self._lines:
            line.close()
        self._lines.clear()


def start_machine(
    session: Session,
    lan: Lan,
    *,
    tree: str = "nfs-server",
    sources: Mapping[str, str] | None = None,
    memory: int = 1536,
    name: str = "machine",
) -> Machine:
    """Boot a server in QEMU in the place of the LAN's server, and wait until it is up.

    ``sources`` maps image names to root trees: each is in /srv/ltsp/NAME, writable. ``memory`` is in MiB.
    """
    directory = session.directory / name
    directory.mkdir()
    root, disk, initrd = trees.tree(tree), directory / "disk", directory / "initrd"
    arguments = [word for image, recipe in (sources or {}).items() for word in (image, trees.tree(recipe))]
    subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", _LAY_OUT, "lay-out"]
        + [str(word) for word in (root, directory, REPOSITORY, disk, *arguments)],
        check=True,
    )
    shutil.rmtree(directory / "upper")
    (kernel,) = root.glob("boot/vmlinuz-*")
    initrd.write_bytes(_initrd(root, kernel.name.removeprefix("vmlinuz-")))
    # The machine takes the place of the namespace that a container would get.
    ip(lan.server, "link set lan0 down")
    tap = lan.plug()
    ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
    descriptors = [line.fileno() for line in theirs]
    argv = ["qemu-system-x86_64", "-name", f"{session.name}-{name}", "-accel", "tcg,thread=multi"]
    argv += ["-cpu", "max", "-smp", "2", "-m", str(memory), "-nographic", "-monitor", "none"]
    argv += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0,115200 quiet"]
    argv += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
    argv += ["-netdev", f"tap,id=lan,ifname={tap},script=no,downscript=no"]
    argv += ["-device", f"virtio-net-pci,netdev=lan,mac={MAC},romfile="]
    for number, descriptor in enumerate(descriptors):
        argv += ["-chardev", f"socket,id=line{number},fd={descriptor}", "-serial", f"chardev:line{number}"]
    began = time.monotonic()
    try:
        process = session.start(argv, log=f"{name}-qemu.log", netns=lan.switch, pass_fds=descriptors)
    finally:
        for line in theirs:
            line.close()
    shell = Console(ours[1], session.logs / f"{name}-shell.log", began)
    lines = [Console(ours[0], session.logs / f"{name}-console.log", began), shell]
    machine = Machine(session, lan, 0, Path("/nonexistent"), process, _shell=shell, _lines=lines)
    session.stack.callback(machine.stop)
    shell.expect(r"[#$] ?$", PATIENCE)
    shell.settle(PATIENCE)
    # Not asked again and again, which would cost an emulated processor as much as the start itself.
    machine.run("systemctl is-system-running --wait || :")
    machine.make_patient(*(sources or ()))
    return machine


def _initrd(root: Path, release: str) -> bytes:
    """Return an initrd that mounts the disk with drivers of a tree's kernel."""
    place = root / "lib/modules" / release
    index = modules.parse((place / "modules.dep").read_text(), "", "", "")
    order: list[str] = []

    def need(path: str) -> None:
        # modules.dep names all that a module needs, from the nearest to the farthest.
        for each in reversed((path, *index.dependencies[path])):
            if each not in order:
                order.append(each)

    for path in index.dependencies:
        if modules.name_of(path) in _DRIVERS:
            need(path)
    files = []
    for number, path in enumerate(order):
        data = (place / path).read_bytes()
        data = lzma.decompress(data) if path.endswith(".xz") else data
        files.append(cpio.file(f"modules/{number:02}.ko", data))
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    return cpio.archive(
        (
            cpio.directory("dev"),
            cpio.directory("root"),
            cpio.file("bin/busybox", busybox, 0o755),
            cpio.file("init", _INIT.encode(), 0o755),
            *files,
        )
    )
