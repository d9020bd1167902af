"""A client that can't boot tells the server why; what one tells that boots is looked at where they boot."""

import json
from typing import Any

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f3:01"


def test_a_client_that_cant_boot_tells_the_server_why(server: Server, images: tuple[str, ...]) -> None:
    del images  # they must be built, that is all
    wanted = {"DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": "http", "HOSTNAME": "small"}
    product.configure(server, {MAC: wanted})

    def known() -> dict[str, Any]:
        found = json.loads(server.run("ltspctl client list --json"))
        return next((each for each in found if each["Mac"] == MAC), {"Stage": ""})

    # Far too little memory for an image that is to lie in it.
    client = power_on(server.session, server.lan, "bios", mac=MAC, name="small", memory=320)
    try:
        client.expect("This client can't boot", 150)
        server.wait_for(lambda: known()["Stage"] == "failed", 30)
    finally:
        client.off()
    assert "of free RAM" in known()["Error"]
    assert (known()["Hostname"], known()["Transport"]) == ("small", "http")
    (problem,) = [each for each in product.status(server)["Problems"] if "small" in each]
    assert problem.startswith(f"client small: failed to boot: {known()['Error']}")
    assert "1 failed" in server.run("ltspctl status")
