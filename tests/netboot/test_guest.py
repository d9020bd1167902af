"""Clients boot with the distribution's own initrd, ours being a guest in it: two kinds, two transports."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# The image, what it is made from, and how its root comes. Bookworm's initrd is made by initramfs-tools,
# trixie's by dracut with systemd.
GUESTS = {"guest-initramfs": ("bookworm", "nbd"), "guest-dracut": ("trixie", "nfs")}
# udev and systemd run twice, and both clients at once, on a machine that may have other work.
PATIENCE = 500.0


@pytest.fixture
def guests(server: Server, images: tuple[str, ...]) -> Iterator[None]:
    """Build images of the same sources under other names, so that other tests' stay as they are."""
    del images  # the lab's own are built first, so that nothing of this disturbs them
    for name, (source, _) in GUESTS.items():
        server.run(f"mkdir /srv/ltsp/{name} && mount --bind /srv/ltsp/{source} /srv/ltsp/{name}")
        server.run(f"ltspctl image build {name} --initrd distribution", timeout=300)
    try:
        yield
    finally:
        for name in GUESTS:
            server.run(f"umount /srv/ltsp/{name} && rmdir /srv/ltsp/{name}")


def test_clients_boot_with_the_distributions_initrd(server: Server, guests: None) -> None:
    macs = {name: f"52:54:00:67:f3:{number:02x}" for number, name in enumerate(GUESTS)}
    conf = {
        macs[name]: {"DEFAULT_IMAGE": name, "ROOT_TRANSPORT": transport}
        for name, (_, transport) in GUESTS.items()
    }
    product.configure(server, conf)
    with ExitStack() as undo:
        clients: dict[str, Client] = {}
        for name, mac in macs.items():
            clients[name] = power_on(server.session, server.lan, mac=mac, name=name)
            undo.callback(clients[name].off)
        for name, client in clients.items():
            client.login_prompt(PATIENCE)
            text = client.console.text
            assert f"ltsp: root mounted ({GUESTS[name][1]})" in text
            assert "ltsp: the distribution's own initrd goes on" in text
            assert "ltsp: starting" not in text, "its own init has started the system"
            assert "FAILED" not in text
            product.wait_for_stage(server, client.mac, "login")
        assert "Booting initrd of dracut" in clients["guest-dracut"].console.text
        first = clients["guest-initramfs"]
        assert "Running /scripts/init-bottom" in first.console.text
        assert first.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
        assert first.shell("findmnt -n -o FSTYPE -M /run/initramfs/ltsp").strip() == "tmpfs"
        assert first.shell("getent passwd alice").split(":")[2] == "1500"
        assert first.shell("findmnt -rn -o TARGET | grep ltspd || :").strip() == "", "nothing is left over"
        first.shell("touch /etc/changed")
