"""A client boots images of a machine's disk (GPT, LVM, /boot of its own) and of a live ISO."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import SOURCES
from tests.lab import product, trees
from tests.lab.client import power_on
from tests.lab.disks import make_live
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MACS = {"vm": "52:54:00:67:d1:01", "live": "52:54:00:67:d1:02"}


@pytest.mark.parametrize("image", MACS)
def test_a_client_boots_from_a_disk(server: Server, disk: str, tmp_path: Path, image: str) -> None:
    word, mac = image, MACS[image]
    if image == "live":
        word = "/srv/vm/live.iso"
        shutil.move(make_live(trees.tree(SOURCES["bookworm"]), tmp_path), server.path(word))
    else:
        server.run(f"ln -s {disk} /srv/ltsp/vm.img")
    try:
        product.build(server, word)
        product.configure(server, {mac: {"DEFAULT_IMAGE": image, "HOSTNAME": f"from-{image}"}})
        client = power_on(server.session, server.lan, "bios", mac=mac, name=f"disk-{image}")
        try:
            client.login_prompt()
            assert f"ltsp.image={image} " in client.shell("cat /proc/cmdline")
            assert client.shell("hostname").strip() == f"from-{image}"
            assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
            # Nothing of the disk is missed: what its fstab mounted is not, and nothing failed.
            assert client.shell("grep -v '^#' /etc/fstab || :").strip() == ""
            assert client.shell("systemctl --failed --no-legend --plain").strip() == ""
            assert client.shell("uname -r").strip() in client.shell("ls /lib/modules").split()
        finally:
            client.off()
    finally:
        # A section that names an image which is not there any more would be a problem for all other tests.
        server.conf.pop(mac, None)
        product.configure(server, {})
        server.run(f"rm -rf /srv/ltsp/vm.img /srv/vm/live.iso /srv/ltsp/images/{image}; ltspctl apply")
