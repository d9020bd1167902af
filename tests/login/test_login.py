"""Somebody types at a client's consoles: every state that an account of the server can be in, in one boot."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab.client import Client, power_on
from tests.lab.product import configured
from tests.lab.server import Server
from tests.lab.sitting import everybody

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(school: Server) -> Iterator[Client]:
    """Boot a client of the release that the server has, with a second console."""
    mac = "52:54:00:67:f7:01"
    (version,) = school.run("cut -d. -f1 /etc/debian_version").split()
    image = {"12": "bookworm", "13": "trixie"}[version]
    with ExitStack() as undo:
        undo.enter_context(configured(school, {mac: {"DEFAULT_IMAGE": image, "HOSTNAME": "pc"}}))
        client = power_on(school.session, school.lan, mac=mac, name=f"login-{image}", consoles=1)
        undo.callback(client.off)
        client.login_prompt()
        yield client


def test_people_log_in(school: Server, client: Client) -> None:
    everybody(school, client)
