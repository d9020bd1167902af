"""A client boots an image of a virtual machine's disk: GPT, LVM and its kernel on a partition of its own."""

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:d1:01"


def test_a_client_boots_from_the_disk_of_a_machine(server: Server, disk: str) -> None:
    server.run(f"ln -s {disk} /srv/ltsp/vm.img")
    try:
        product.build(server, "vm")
        product.configure(server, {MAC: {"DEFAULT_IMAGE": "vm", "HOSTNAME": "from-a-disk"}})
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="disk")
        try:
            client.login_prompt()
            assert "ltsp.image=vm " in client.shell("cat /proc/cmdline")
            assert client.shell("hostname").strip() == "from-a-disk"
            assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
            # Nothing of the disk is missed: what its fstab mounted is not, and nothing failed.
            assert client.shell("grep -v '^#' /etc/fstab || :").strip() == ""
            assert client.shell("systemctl --failed --no-legend --plain").strip() == ""
            assert client.shell("uname -r").strip() in client.shell("ls /lib/modules").split()
        finally:
            client.off()
    finally:
        server.run("rm -r /srv/ltsp/vm.img /srv/ltsp/images/vm; ltspctl apply")
