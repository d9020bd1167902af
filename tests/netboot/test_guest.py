"""Clients boot with the distribution's own initrd, ours being a guest in it: two kinds, two transports."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# The images and what they are made from. Bookworm's initrd is made by initramfs-tools, trixie's by dracut
# with systemd.
IMAGES = {"guest-initramfs": "bookworm", "guest-dracut": "trixie"}
# How their roots come. systemd stops every process when it hands over, which no connection may depend on.
GUESTS = (("guest-initramfs", "nbd"), ("guest-dracut", "nfs"), ("guest-dracut", "nbd"))


@pytest.fixture
def guests(server: Server, images: tuple[str, ...]) -> Iterator[None]:
    """Build images of the same sources under other names, so that other tests' stay as they are."""
    del images  # the lab's own are built first, so that nothing of this disturbs them
    try:
        for name, source in IMAGES.items():
            server.run(f"mkdir /srv/ltsp/{name} && mount --bind /srv/ltsp/{source} /srv/ltsp/{name}")
            server.run(f"ltspctl image build {name} --initrd distribution")
        yield
    finally:
        for name in IMAGES:
            server.run(f"umount /srv/ltsp/{name} && rmdir /srv/ltsp/{name}", check=False)


def test_clients_boot_with_the_distributions_initrd(server: Server, guests: None) -> None:
    macs = {guest: f"52:54:00:67:f5:{number:02x}" for number, guest in enumerate(GUESTS)}
    conf = {
        mac: {"DEFAULT_IMAGE": image, "ROOT_TRANSPORT": transport} for (image, transport), mac in macs.items()
    }
    with ExitStack() as undo:
        undo.enter_context(product.configured(server, conf))
        clients: dict[tuple[str, str], Client] = {}
        for guest, mac in macs.items():
            clients[guest] = power_on(server.session, server.lan, mac=mac, name="-".join(guest))
            undo.callback(clients[guest].off)
        for (image, transport), client in clients.items():
            # Not its prompt: on a busy machine udev finds the serial line too late for systemd.
            product.wait_for_stage(server, client.mac, "login")
            text = client.console.text
            assert f"ltsp: root mounted ({transport})" in text
            assert "ltsp: the distribution's own initrd goes on" in text
            assert "ltsp: starting" not in text, "its own init has started the system"
            assert "FAILED" not in text
            assert "I/O error" not in text
            assert "SQUASHFS error" not in text
            assert ("Booting initrd of dracut" in text) == (image == "guest-dracut")
        first = clients[GUESTS[0]]
        assert "Running /scripts/init-bottom" in first.console.text
        assert first.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
        assert first.shell("findmnt -n -o FSTYPE -M /run/initramfs/ltsp").strip() == "tmpfs"
        assert first.shell("getent passwd alice").split(":")[2] == "1500"
        assert first.shell("findmnt -rn -o TARGET | grep ltspd || :").strip() == "", "nothing is left over"
        first.shell("touch /etc/changed")
