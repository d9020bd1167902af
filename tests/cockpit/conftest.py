"""Servers of two releases with Cockpit, an image to build, and a browser."""

from collections.abc import Iterator

import pytest

from tests.lab import cockpit, product
from tests.lab.browser import open_browser
from tests.lab.cockpit import Cockpit
from tests.lab.net import make_lan
from tests.lab.server import start_server
from tests.lab.session import leftovers, open_session

SOURCE = "bookworm"


@pytest.fixture(
    scope="package", params=["cockpit-server", "trixie-cockpit-server"], ids=["bookworm", "trixie"]
)
def desk(request: pytest.FixtureRequest) -> Iterator[Cockpit]:
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=request.param, sources={SOURCE: "client"})
        product.wait_until_up(server)
        product.configure(server, {})
        cockpit.start(server)
        with open_browser(session, server.lan.server) as browser:
            yield Cockpit(server, browser)
    assert leftovers(session.name) == []
