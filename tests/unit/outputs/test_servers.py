"""Rendered files given to the real servers of root file systems, in a network of their own."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer
from ltspd.model.network import Link, LinkKind
from ltspd.outputs import nbd, nfs_ganesha
from ltspd.paths import Paths
from tests.patience import PATIENCE
from tests.worlds.planning import conf, world

DIGEST = "5e" * 32
# Speaks NBD's fixed newstyle handshake as far as a mount does (the protocol's proto.md): option
# EXPORT_NAME, then one READ of the first 4096 bytes; prints size, flags and the digest of what came.
CLIENT = r"""
import hashlib, socket, struct, sys, time
for _ in range(100):
    try:
        s = socket.create_connection(("127.0.0.1", 10809))
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
f = s.makefile("rwb")
assert f.read(16) == b"NBDMAGICIHAVEOPT"
struct.unpack(">H", f.read(2))
name = sys.argv[1].encode()
f.write(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, len(name)) + name)
f.flush()
size, flags = struct.unpack(">QH", f.read(10))
f.write(struct.pack(">IHHQQI", 0x25609513, 0, 0, 7, 0, 4096))
f.flush()
magic, error, handle = struct.unpack(">IIQ", f.read(16))
assert (magic, error, handle) == (0x67446698, 0, 7), (magic, error)
print(size, flags & 2, hashlib.sha256(f.read(4096)).hexdigest())
"""


@pytest.fixture
def store() -> Iterator[Path]:
    """Make an image store that the servers' own users can reach."""
    with tempfile.TemporaryDirectory(prefix="ltspd-store-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def _own_network(program: str) -> list[str]:
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc"]


def _rendered(store: Path) -> tuple[bytes, bytes]:
    generation = Generation(
        id="g", image="a", created=0.0, source="", architecture="", kernel="", layers=(Layer(DIGEST, 1),),
        source_bytes=0, source_files=0, kernel_bytes=0, initrd_bytes=0, packages_digest="",
    )  # fmt: skip
    facts = Facts(
        links=(Link("eth0", 2, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface("10.0.0.1/24"),)),),
        images=(Image("a", (generation,), "g"),),
    )
    here = world(conf(), facts, Paths(base=str(store)))
    nfs = nfs_ganesha.render(here)
    assert nfs is not None
    return nbd.render(here).files[0].data, nfs.files[0].data


def test_nbd_server_hands_out_a_layer(store: Path) -> None:
    layers = store / "images/a/layers"
    layers.mkdir(parents=True)
    content = os.urandom(8192)
    (layers / f"{DIGEST}.squashfs").write_bytes(content)
    (store / "nbd.conf").write_bytes(_rendered(store)[0])
    script = 'ip link set lo up; nbd-server -C "$1" -d -p "$2" & "$3" -c "$4" "$5"'
    argv = [*_own_network("nbd-server"), script, "sh", str(store / "nbd.conf"), str(store / "pid")]
    done = subprocess.run(
        [*argv, sys.executable, CLIENT, DIGEST], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    size, read_only, digest = done.stdout.split()
    assert (int(size), int(read_only)) == (len(content), 2)
    assert digest == hashlib.sha256(content[:4096]).hexdigest()


def test_ganesha_starts_with_its_file_and_answers(store: Path) -> None:
    (store / "images").mkdir()
    (store / "ganesha.conf").write_bytes(_rendered(store)[1])
    # 2049 is nfs (RFC 7530).
    script = (
        "ip link set lo up; mount -t tmpfs none /var/lib/nfs; "
        'ganesha.nfsd -F -f "$1" -p "$2" -L "$3" & server=$!; '
        'for _ in $(seq 200); do ss -Hltn "sport = :2049" | grep -q . && exit 0; '
        "kill -0 $server || exit 2; sleep 0.05; done; exit 3"
    )
    argv = [*_own_network("ganesha.nfsd"), script, "sh"]
    argv += [str(store / name) for name in ("ganesha.conf", "pid", "log")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    log = (store / "log").read_text() if (store / "log").exists() else ""
    assert done.returncode == 0, log + done.stderr
    # How ganesha reports what it doesn't understand of a file: "Config File (PATH:LINE): …".
    assert f"Config File ({store}" not in log, log
