"""A client that can't boot tells the server why; what one tells that boots is looked at where they boot."""

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f4:01"


def test_a_client_that_cant_boot_tells_the_server_why(server: Server, images: tuple[str, ...]) -> None:
    del images  # they must be built, that is all
    wanted = {"DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": "http", "HOSTNAME": "small"}
    with product.configured(server, {MAC: wanted}):
        # Far too little memory for an image that is to lie in it.
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="small", memory=320)
        try:
            client.expect("This client can't boot")
            product.wait_for_stage(server, MAC, "failed")
            told = product.client(server, MAC)
            assert "of free RAM" in told["Error"]
            assert (told["Hostname"], told["Transport"]) == ("small", "http")
            (problem,) = [each for each in product.status(server)["Problems"] if "small" in each]
            assert problem.startswith(f"client small: failed to boot: {told['Error']}")
            assert "1 failed" in server.run("ltspctl status")
        finally:
            client.off()
            product.forget_clients(server)
