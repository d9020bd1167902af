"""Clients boot the product's images, from power-on to the login prompt, by every way there is."""

from collections.abc import Iterator

import pytest

from tests.lab.client import Client
from tests.lab.server import Server
from tests.lab.timeline import STAGES, table
from tests.netboot.fleet import Fleet, Machine, wanted

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_TRANSPORTS = ("nbd", "nfs", "http")
MACHINES = {
    **{
        f"bios-{transport}": Machine(
            {"ROOT_TRANSPORT": transport, "DEFAULT_IMAGE": "bookworm", "HOSTNAME": f"pc-{transport}"}
        )
        for transport in _TRANSPORTS
    },
    "uefi": Machine({"DEFAULT_IMAGE": "bookworm"}, firmware="uefi"),
    "trixie": Machine({"DEFAULT_IMAGE": "trixie"}),
    "proxy": Machine({"DEFAULT_IMAGE": "bookworm"}, external=True),
}


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, server: Server, images: tuple[str, ...]) -> Iterator[Fleet]:
    del images  # they must be built, that is all
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if item.function is test_a_client_boots]
    fleet = Fleet(server, wanted(MACHINES, names))
    try:
        yield fleet
    finally:
        fleet.close()


@pytest.mark.parametrize("name", MACHINES)
def test_a_client_boots(fleet: Fleet, server: Server, name: str) -> None:
    with fleet.take(name) as client:
        marks = client.timeline()
        print(f"\n{table({name: marks})}")
        assert set(STAGES) == set(marks)
        # The root takes changes, and they stay in memory.
        assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
        client.shell("touch /etc/changed /usr/changed")
        words = client.shell("cat /proc/cmdline").split()
        image = MACHINES[name].conf["DEFAULT_IMAGE"]
        generation = (
            server.run(f"readlink /srv/ltsp/images/{image}/current").strip().removeprefix("generations/")
        )
        assert {f"ltsp.image={image}", f"ltsp.generation={generation}"} <= set(words)
        _look_closer(client, name, words)


def _look_closer(client: Client, name: str, words: list[str]) -> None:
    """Check what is true of this machine alone."""
    if transport := MACHINES[name].conf.get("ROOT_TRANSPORT"):
        assert f"ltsp.root={transport}" in words
        assert client.shell("hostname").strip() == f"pc-{transport}"
    if name == "bios-http":
        # All of the image is in memory: the server may go.
        assert "nfs" not in client.shell("cat /proc/mounts")
    if name == "uefi":
        client.shell("test -d /sys/firmware/efi")
    if name == "trixie":
        assert "Debian GNU/Linux 13" in client.console.text
    if name == "proxy":
        assert "10.0.3." in client.shell("ip -4 -br address show eth0 || ip -4 -br address")
