"""Clients boot the product's images, from power-on to the login prompt, by every way there is."""

import pytest

from tests.conftest import Boot
from tests.lab.client import Client
from tests.lab.server import Server
from tests.lab.timeline import STAGES, table

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def _came_up(client: Client, name: str) -> None:
    client.login_prompt()
    marks = client.timeline()
    print(f"\n{table({name: marks})}")
    assert set(STAGES) == set(marks)


@pytest.mark.parametrize("transport", ["nbd", "nfs", "http"])
def test_a_bios_client_boots_by_every_transport(boot: Boot, server: Server, transport: str) -> None:
    client = boot(ROOT_TRANSPORT=transport, DEFAULT_IMAGE="bookworm", HOSTNAME=f"pc-{transport}")
    _came_up(client, f"bios {transport}")
    assert f"ltsp.root={transport}" in client.shell("cat /proc/cmdline").split()
    assert client.shell("hostname").strip() == f"pc-{transport}"
    # The root takes changes, and they stay in memory.
    assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
    client.shell("touch /etc/changed && systemctl is-system-running --wait | grep -E 'running|degraded'")
    current = server.run("cat /srv/ltsp/images/bookworm/current/layers").split()
    assert current, "the generation has no layers"


def test_a_uefi_client_boots(boot: Boot) -> None:
    client = boot("uefi", DEFAULT_IMAGE="bookworm")
    _came_up(client, "uefi")
    assert client.shell("test -d /sys/firmware/efi && echo yes").strip() == "yes"


def test_an_image_with_another_initramfs_boots(boot: Boot) -> None:
    client = boot(DEFAULT_IMAGE="trixie")
    _came_up(client, "trixie")
    assert "Debian GNU/Linux 13" in client.console.text


def test_a_client_behind_another_dhcp_server_boots(boot: Boot) -> None:
    client = boot(external=True, mac="52:54:00:67:00:02", DEFAULT_IMAGE="bookworm")
    _came_up(client, "proxy")
    assert "10.0.3.1" in client.shell("ip -4 -br address")
