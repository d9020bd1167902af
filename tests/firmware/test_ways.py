"""Clients boot by every other way than iPXE by TFTP, from power-on to the login prompt."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.fleet import Fleet, Machine, wanted
from tests.lab.net import EXTERNAL_ADDRESS, SERVER_ADDRESS
from tests.lab.server import Server
from tests.lab.timeline import STAGES, table

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MACHINES = {
    "pxelinux": Machine({"BOOT_WAY": "pxelinux"}),
    "pxelinux-http": Machine({"BOOT_WAY": "pxelinux", "ROOT_TRANSPORT": "http"}),
    # What people leave in place for a room in which some machines have Secure Boot off.
    "shim-unlocked": Machine({"BOOT_WAY": "shim", "ROOT_TRANSPORT": "nbd"}, firmware="uefi"),
    "shim": Machine({"BOOT_WAY": "shim", "ROOT_TRANSPORT": "http"}, firmware="secure"),
    "http": Machine(firmware="http"),
    "http-proxied": Machine(firmware="http", external=True),
}


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, server: Server) -> Iterator[Fleet]:
    product.build(server, "bookworm")
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if item.function is test_a_client_boots]
    fleet = Fleet(server, wanted(MACHINES, names), "52:54:00:67:f7")
    try:
        yield fleet
    finally:
        fleet.close()


@pytest.mark.parametrize("name", MACHINES)
def test_a_client_boots(fleet: Fleet, server: Server, name: str) -> None:
    machine = MACHINES[name]
    with fleet.take(name) as client:
        marks = client.timeline()
        print(f"\n{table({name: marks})}")
        assert set(STAGES) == set(marks)
        # It was waited for as long as the lab thinks it was.
        assert client.shell("systemctl show -P JobRunningTimeoutUSec dev-ttyS0.device").strip() == "10min"
        words = client.shell("cat /proc/cmdline").split()
        assert f"ltsp.root={machine.conf.get('ROOT_TRANSPORT', 'nfs')}" in words
        assert "ltsp.image=bookworm" in words
        assert f"01-{client.mac.replace(':', '-')}" in [
            word.removeprefix("BOOTIF=").replace(":", "-") for word in words if word.startswith("BOOTIF=")
        ]
        address = EXTERNAL_ADDRESS if machine.external else SERVER_ADDRESS
        # PXELINUX can't name the server; the client takes the one that ip= names.
        assert f"ltsp.server={address}" in words or machine.conf.get("BOOT_WAY") == "pxelinux"
        if machine.conf.get("BOOT_WAY") == "shim":
            enabled = "Secure boot enabled" in client.shell("dmesg")
            assert enabled == (machine.firmware == "secure")
        before = client.console.text.split("Linux version")[0]
        if machine.firmware == "http":
            assert f"URI: http://{address}/ltsp/snponly.efi" in before
            assert "PXE over" not in before
        else:
            assert "iPXE" not in before or machine.firmware == "bios"
        product.wait_for_stage(server, client.mac, "login")
        told = product.client(server, client.mac)
        assert (told["Image"], told["Error"]) == ("bookworm", "")
        assert told["Address"].startswith("10.0.3." if machine.external else "192.168.67.")
