"""Debian's unstable release of today as server and as client: each transport, each initrd."""

from contextlib import ExitStack

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.reading import SHELL, survives
from tests.lab.server import Server
from tests.next.conftest import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_the_server_is_in_sync(server: Server, images: tuple[str, ...]) -> None:
    status = product.status(server)
    assert (status["State"], status["Problems"]) == ("in-sync", [])
    print(server.run("cat /etc/os-release; systemctl --version; busybox | head -n 1; ls /usr/lib/modules"))


@pytest.mark.parametrize("transport", ["nfs", "nbd", "http"])
@pytest.mark.parametrize("image", ["sid", "sid-dracut", "sid-initramfs"])
def test_a_client_boots(server: Server, images: tuple[str, ...], image: str, transport: str) -> None:
    number = images.index(image) * 3 + ["nfs", "nbd", "http"].index(transport)
    mac = f"52:54:00:67:f9:{number:02x}"
    with ExitStack() as undo:
        conf = {"DEFAULT_IMAGE": image, "ROOT_TRANSPORT": transport, "KERNEL_PARAMETERS": SHELL}
        undo.enter_context(product.configured(server, {mac: conf}))
        client = power_on(server.session, server.lan, mac=mac, name=f"{image}-{transport}", memory=1536)
        undo.callback(client.off)
        # Not its prompt: on a busy machine udev finds the serial line too late for systemd.
        product.wait_for_stage(server, mac, "login", PATIENCE)
        text = client.console.text
        assert f"ltsp: root mounted ({transport})" in text
        assert ("ltsp: starting" in text) == (image == "sid")
        assert ("ltsp: the distribution's own initrd goes on" in text) == (image != "sid")
        assert "I/O error" not in text
        assert "SQUASHFS error" not in text
        assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
        assert client.shell("systemctl list-units --state=failed --plain --no-legend").strip() == ""
        assert product.client(server, mac)["Error"] == ""


def test_reads_by_nbd_wait_for_their_server(server: Server, images: tuple[str, ...]) -> None:
    survives(server, "52:54:00:67:f9:f0", images[1], SHELL)
