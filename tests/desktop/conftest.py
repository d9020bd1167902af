"""Servers of two releases with people, and for each a client with a screen, which stays on for all tests.

What the screen showed is kept as pictures among the logs of the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.desk import SCRIPT, Desk
from tests.lab.net import make_lan
from tests.lab.people import make_directory, make_people
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

_WINDOW = f"xterm -geometry 80x24+40+40 -e script -qf {SCRIPT} &\nlxpolkit &\n"


@dataclass(frozen=True, slots=True)
class School:
    """A server, and the image that its clients with screens have."""

    server: Server
    image: str

    def switch_on(self, name: str, mac: str, **settings: str) -> Desk:
        """Switch a client on, and wait until people can log in on its console; its greeter comes later."""
        product.configure(self.server, {mac: {"DEFAULT_IMAGE": self.image, "HOSTNAME": name, **settings}})
        logs = f"{name}-{self.image}"
        client = power_on(self.server.session, self.server.lan, mac=mac, name=logs, memory=2048, screen=True)
        client.login_prompt()
        return Desk(self.server, client)


@pytest.fixture(
    scope="package",
    params=[("login-server", "desktop"), ("trixie-server", "trixie-desktop")],
    ids=["bookworm", "trixie"],
)
def school(request: pytest.FixtureRequest) -> Iterator[School]:
    tree, image = request.param
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=tree, sources={image: image})
        product.wait_until_up(server)
        product.configure(server, {})
        make_people(server)
        make_directory(server)
        # openbox alone shows nothing.
        server.write(f"/srv/ltsp/{image}/etc/xdg/openbox/autostart", _WINDOW)
        product.build(server, image)
        yield School(server, image)
    assert leftovers(session.name) == []


@pytest.fixture(scope="package")
def desk(school: School) -> Iterator[Desk]:
    desk = school.switch_on("desk", "52:54:00:67:f8:01")
    yield desk
    desk.client.off()
