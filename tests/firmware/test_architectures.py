"""Machines of another architecture than the server boot an image of their own, from power-on to the login."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session
from tests.lab.timeline import STAGES, table

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with open_session() as session:
        server = start_server(session, make_lan(session), sources={"i386": "client-i386"})
        product.wait_until_up(server)
        product.configure(server, {})
        yield server
    assert leftovers(session.name) == []


def test_a_machine_of_32_bits_boots(server: Server) -> None:
    product.build(server, "i386")
    mac = "52:54:00:67:fa:01"
    client = power_on(server.session, server.lan, "bios32", mac=mac, name="i386")
    client.login_prompt()
    print(f"\n{table({'i386': client.timeline()})}")
    assert set(STAGES) == set(client.timeline())
    product.wait_for_stage(server, mac, "login")
    told = product.client(server, mac)
    assert (told["Image"], told["Error"]) == ("i386", "")
    assert client.shell("uname -m").strip() == "i686"
    client.off()
