"""Serving that was switched off stays off over a reboot of the server, until it is switched on."""

import contextlib

import pytest

from tests.lab import product
from tests.lab.dhcp import DISCOVER, Cable, Machine
from tests.lab.net import SERVER_ADDRESS, ip, make_lan
from tests.lab.product import settled
from tests.lab.server import start_server
from tests.lab.session import leftovers, open_session

pytestmark = pytest.mark.lab

# Seconds; who answers does so within some milliseconds.
SILENCE = 3.0


def test_it_stays_off_over_a_reboot_until_it_is_on_again() -> None:
    with open_session() as session:
        lan = make_lan(session, router=False)
        server = start_server(session, lan)
        product.wait_until_up(server)
        server.run("ltspctl serve off")
        server.stop()
        server = start_server(session, lan)
        product.wait_until_up(server)
        settled(server)
        assert product.status(server)["Serving"] is False
        ip(
            lan.switch,
            "link add port9 type veth peer name far9",
            "link set port9 master lan up",
            "link set far9 up",
        )
        machine, cable = Machine(0), Cable(lan.switch, "far9")
        with contextlib.closing(cable):
            cable.patient(SILENCE)
            cable.send(DISCOVER, machine)
            with pytest.raises(TimeoutError):
                cable.next()
            fetch = f"curl -sf -m 600 tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe | cmp - /srv/tftp/ltsp/ltsp.ipxe"
            # The kernel itself says that nobody listens there.
            assert server.run("ss -Hlun '( sport = :67 or sport = :69 or sport = :4011 )'") == ""
            server.run("ltspctl serve on")
            settled(server)
            cable.patient()
            assert cable.lease(machine).file == "ltsp/undionly.kpxe"
            server.run(fetch)
    assert leftovers(session.name) == []
