"""Somebody types at a client's consoles."""

import pytest

from tests.lab import trees
from tests.lab.client import power_on
from tests.lab.person import PASSWORD, at_console, at_next_console
from tests.lab.product import configured
from tests.lab.server import Server
from tests.login.conftest import OWN, OWN_PASSWORD

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.mark.parametrize("image", trees.SOURCES)
def test_people_log_in(school: Server, image: str) -> None:
    mac = "52:54:00:67:f7:01"
    with configured(school, {mac: {"DEFAULT_IMAGE": image, "HOSTNAME": "pc"}}):
        client = power_on(school.session, school.lan, mac=mac, name=f"login-{image}", consoles=1)
        try:
            client.login_prompt()
            # Images have no password hashes, so who wants one for an account of the image sets it at boot.
            client.shell(f"echo {OWN}:{OWN_PASSWORD} | chpasswd")
            keeper = at_console(client, OWN)
            assert not keeper.log_in((PASSWORD, "wrong")).inside
            assert keeper.log_in((PASSWORD, OWN_PASSWORD)).inside
            assert keeper.do("id -un").strip() == OWN
            beside = at_next_console(client, OWN)
            assert beside.log_in((PASSWORD, OWN_PASSWORD)).inside
            assert beside.do("ps -o tty= -p $$").strip() == "ttyS2"
            beside.log_out()
            keeper.log_out()
        finally:
            client.off()
