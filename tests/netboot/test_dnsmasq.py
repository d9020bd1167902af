"""Machines start behind another DHCP server although ltspd's server has the dnsmasq of Debian 13."""

import shutil
from collections.abc import Iterator

import pytest

from tests.lab import product, releases
from tests.lab.client import Firmware, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

UNITS = "ltspd-dnsmasq ltspd-proxy-dhcp ltspd-tftp"
HOME = "/opt/dnsmasq"


@pytest.fixture(scope="module")
def newer(server: Server) -> Iterator[Server]:
    """Put Debian 13's dnsmasq in the place of the server's own, for as long as these tests run."""
    product.build(server, "bookworm")
    place = releases.packages(releases.DEBIAN_13, "dnsmasq-base")
    shutil.copytree(place, server.path(HOME), symlinks=True)
    server.write("/opt/start", releases.starter(HOME, "usr/sbin/dnsmasq"))
    server.run("chmod 755 /opt/start; mount --bind /opt/start /usr/sbin/dnsmasq")
    try:
        server.run(f"systemctl restart {UNITS} ltspd")
        product.wait_until_up(server)
        yield server
    finally:
        server.run(f"umount /usr/sbin/dnsmasq; rm -r {HOME} /opt/start; systemctl restart {UNITS} ltspd")
        product.wait_until_up(server)


@pytest.mark.parametrize("firmware", ["uefi", "bios"])
def test_it_boots_behind_another_dhcp_server(newer: Server, firmware: Firmware) -> None:
    running = newer.run("tr '\\0' ' ' </proc/$(systemctl show -P MainPID ltspd-proxy-dhcp)/cmdline")
    assert HOME in running
    mac = "52:54:00:67:d5:01" if firmware == "uefi" else "52:54:00:67:d5:02"
    name = f"proxy-13-{firmware}"
    with product.configured(newer, {mac: {"DEFAULT_IMAGE": "bookworm"}}):
        client = power_on(newer.session, newer.lan, firmware, mac=mac, name=name, external=True)
        try:
            client.login_prompt()
            assert " 10.0.3." in client.shell("ip -4 -br address")
            # Another machine's server gave the address; the client keeps that lease.
            client.shell("systemctl is-active ltsp-lease.service")
        finally:
            client.off()
    # It answers as before.
    newer.run("ltspctl apply")
    newer.wait_for(lambda: product.status(newer)["State"] == "in-sync", 60)
