"""A client that is up keeps the lease of its address, for as long as it is up."""

import time

import pytest

from ltspd.outputs.dhcp_dnsmasq import LEASES
from tests.lab import product
from tests.lab.reading import reading, reads_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f2:11"


def lease(server: Server) -> tuple[int, str]:
    """Return the end of the client's lease, in seconds since the epoch, and its address."""
    end, _, address = server.run(f"grep -h ' {MAC} ' {LEASES}").split()[:3]
    return int(end), address


def test_a_client_outlives_the_first_end_of_its_lease(server: Server, images: tuple[str, ...]) -> None:
    del images
    short = {"server": {"DHCP_LEASE": "2m"}}
    with product.configured(server, short), reading(server, "leased", MAC, "nfs") as client:
        _, address = lease(server)
        # Under emulation the boot itself takes nearly as long; from here on, the client renews it.
        client.shell("until systemctl is-active --quiet ltsp-lease; do sleep 1; done", 120)
        first, _ = lease(server)
        server.wait_for(lambda: lease(server)[0] > first + 60, 300)
        server.wait_for(lambda: time.time() > first, 300)
        reads_on(server, client, "its first lease has ended")
        assert lease(server)[1] == address
        assert f" {address}/24 " in client.shell("ip -4 -o address show")
        assert client.shell("journalctl -q --no-pager -p warning -u ltsp-lease").strip() == ""
