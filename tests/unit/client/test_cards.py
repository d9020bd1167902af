"""A client looks for its network card with the drivers of one card alone, by the busybox of clients."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ltspd.paths import client_home

RELEASE = os.uname().release
HOME = f"lib/modules/{RELEASE}"
E1000E = "pci:v00008086d000010D3sv0000sd0000bc02sc00i00"
SCRIPT = """
export PATH=/bin
mac=52:54:00:00:00:01 debug_shell='' said=' '
tick() { read -r clock _ </proc/uptime; clock=${clock%.*}; }
say() { echo "$*"; }
once() { :; }
reboot() { echo rebooted; exit 7; }
. /ltsp/client/boot/net.sh
find_nic && exit 0
leave_slim
echo "globs: $(echo /sys/class/n*)"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a client with one card on the PCI bus, and an index that knows its driver."""
    if os.geteuid() != 0:
        pytest.skip("only root can change its root directory")
    files = {
        "ltsp/client/boot/net.sh": (client_home() / "boot/net.sh").read_text(),
        "sys/bus/pci/devices/0000:00:02.0/modalias": f"{E1000E}\n",
        "sys/bus/pci/devices/0000:00:02.0/class": "0x020000\n",
        "sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
        "sys/bus/pci/devices/0000:00:02.0/device": "0x10d3\n",
        "sys/class/net/lo/address": "00:00:00:00:00:00\n",
        "sys/class/net/lo/type": "772\n",
        f"{HOME}/modules.dep": "kernel/e1000e.ko: kernel/ptp.ko\nkernel/ptp.ko:\n",
        f"{HOME}/modules.alias": "alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n",
        f"{HOME}/modules.softdep": "",
        f"{HOME}/modules.builtin": "",
        "proc/uptime": "5.00 5.00\n",
        "run/nothing": "",
        "dev/null": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "bin/busybox")
    for applet in ("sh", "modprobe", "sleep", "ifconfig"):
        (tmp_path / "bin" / applet).symlink_to("busybox")
    return tmp_path


def looked(root: Path) -> tuple[int, str]:
    """Let the client look for its card, while its clock goes on; return its status and what it said."""
    clock = "while :; do for t in 5 6 7 8 9 12 16 20 24 26; do echo $t.0 >/proc/uptime; sleep 0.1; done; done"
    script = f"({clock}) & c=$!; sh /look; s=$?; kill $c; exit $s"
    (root / "look").write_text(SCRIPT)
    done = subprocess.run(
        ["chroot", str(root), "/bin/sh", "-c", script], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout


def test_a_card_whose_driver_is_not_there_is_told_and_the_client_reboots(root: Path) -> None:
    (root / "ltsp/slim").write_text("virtio_net\n")
    status, said = looked(root)
    assert status == 7
    assert "card is not in its slim initrd (virtio_net); rebooting for the full one. Cards: 8086:10d3" in said


def test_with_all_drivers_no_client_reboots_for_more(root: Path) -> None:
    status, said = looked(root)
    assert (status, said) == (0, "globs: /sys/class/net\n")


def test_whether_a_driver_lacks(root: Path) -> None:
    asked = 'export PATH=/bin; . /ltsp/client/boot/net.sh; seen=" $1 "; is_lacking && echo lacks'
    asked += "; echo /sys/class/n*"

    def lacks(alias: str) -> str:
        argv = ["chroot", str(root), "/bin/sh", "-c", asked, "sh", alias]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert lacks(E1000E) == "lacks\n/sys/class/net\n"
    # What has no driver at all is no reason.
    assert lacks("pci:v00001234d00005678sv0sd0bc03sc00i00") == "/sys/class/net\n"
    (root / HOME / "kernel").mkdir()
    for name in ("e1000e", "ptp"):
        assert lacks(E1000E).startswith("lacks")
        (root / HOME / f"kernel/{name}.ko").write_bytes(b"")
    assert lacks(E1000E) == "/sys/class/net\n"
