"""Clients boot with the distribution's own initrd, ours being a guest in it: two kinds, two transports."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def guests(server: Server, images: tuple[str, ...]) -> Iterator[None]:
    """Images of the same sources under other names, so that other tests' stay as they are."""
    del images  # the lab's own are built first, so that nothing of this disturbs them
    names = {"guest-initramfs": "bookworm", "guest-dracut": "trixie"}
    for name, source in names.items():
        server.run(f"mkdir /srv/ltsp/{name} && mount --bind /srv/ltsp/{source} /srv/ltsp/{name}")
        server.run(f"ltspctl image build {name} --initrd distribution", timeout=300)
    try:
        yield
    finally:
        for name in names:
            server.run(f"umount /srv/ltsp/{name} && rmdir /srv/ltsp/{name}")


@pytest.mark.parametrize(("name", "transport"), [("guest-initramfs", "nbd"), ("guest-dracut", "nfs")])
def test_a_client_boots_with_the_distributions_initrd(
    server: Server, guests: None, name: str, transport: str
) -> None:
    mac = f"52:54:00:67:f3:{len(name):02x}"
    product.configure(server, {mac: {"DEFAULT_IMAGE": name, "ROOT_TRANSPORT": transport}})
    client = power_on(server.session, server.lan, mac=mac, name=name)
    try:
        client.login_prompt()
        text = client.console.text
        assert f"ltsp: root mounted ({transport})" in text
        assert "ltsp: the distribution's own initrd goes on" in text
        assert "ltsp: starting" not in text, "its own init has started the system"
        assert "FAILED" not in text
        if name == "guest-initramfs":
            assert "Running /scripts/init-bottom" in text
            assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
            assert client.shell("findmnt -n -o FSTYPE -M /run/initramfs/ltsp").strip() == "tmpfs"
            assert client.shell("getent passwd alice").split(":")[2] == "1500"
            assert client.shell("findmnt -rn -o TARGET | grep ltspd || :").strip() == "", (
                "nothing is left over"
            )
            client.shell("touch /etc/changed")
        else:
            assert "Debian GNU/Linux 13" in text
    finally:
        client.off()
