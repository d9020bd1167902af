"""Somebody types at a client's consoles: Debian's unstable release as server and as client."""

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.people import make_directory, make_people
from tests.lab.reading import SHELL
from tests.lab.server import Server
from tests.lab.sitting import add_own_account, everybody
from tests.next.conftest import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_people_log_in(server: Server) -> None:
    make_people(server)
    make_directory(server)
    add_own_account(server, "sid")
    product.build(server, "sid")
    mac = "52:54:00:67:f8:01"
    conf = {"DEFAULT_IMAGE": "sid", "HOSTNAME": "pc", "KERNEL_PARAMETERS": SHELL}
    with product.configured(server, {mac: conf}):
        client = power_on(server.session, server.lan, mac=mac, name="login-sid", consoles=1, memory=1536)
        try:
            client.login_prompt(PATIENCE)
            everybody(server, client)
        finally:
            client.off()
