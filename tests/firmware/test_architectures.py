"""Machines of other architectures than the server boot images of their own, from power-on to the login."""

import shutil
from collections.abc import Iterator

import pytest

from tests.lab import product, releases
from tests.lab.client import Firmware, power_on
from tests.lab.net import make_lan
from tests.lab.product import CONSOLE
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session
from tests.lab.timeline import STAGES, table

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SOURCES = {"i386": "client-i386", "arm64": "client-arm64"}
# What DHCP calls the firmware (option 93), and systemd the processor.
MACHINES: dict[str, tuple[Firmware, int, str]] = {
    "i386": ("bios32", 0, "x86"),
    "arm64": ("arm", 11, "arm64"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Boot a server with Debian 13's iPXE for ARM, which Debian 12 lacks."""
    with open_session() as session:
        server = start_server(session, make_lan(session), sources=SOURCES)
        own = server.path("/usr/local/lib/ipxe")
        own.mkdir(parents=True)
        shutil.copy(releases.packages(releases.DEBIAN_13, "ipxe") / "usr/lib/ipxe/ipxe-arm64.efi", own)
        product.wait_until_up(server)
        product.configure(server, {})
        yield server
    assert leftovers(session.name) == []


@pytest.mark.parametrize("image", MACHINES)
def test_a_client_boots(server: Server, image: str) -> None:
    firmware, number, processor = MACHINES[image]
    product.build(server, image)
    mac = f"52:54:00:67:fa:{number:02x}"
    # Where its first serial line is called otherwise.
    console = CONSOLE.replace("ttyS0", "ttyAMA0") if firmware == "arm" else CONSOLE
    with product.configured(server, {mac: {"KERNEL_PARAMETERS": console}}):
        client = power_on(server.session, server.lan, firmware, mac=mac, name=image)
        try:
            client.login_prompt()
            print(f"\n{table({image: client.timeline()})}")
            assert set(STAGES) == set(client.timeline())
            product.wait_for_stage(server, mac, "login")
            told = product.client(server, mac)
            assert (told["Image"], told["Error"], told["Architecture"]) == (image, "", number)
            assert f"Detected architecture {processor}." in client.console.text
        finally:
            client.off()
