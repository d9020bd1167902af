"""Servers of two releases with people in every state, and the images of their clients."""

from collections.abc import Iterator

import pytest

from tests.lab import product, trees
from tests.lab.net import make_lan
from tests.lab.people import make_directory, make_people
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session
from tests.lab.sitting import add_own_account


@pytest.fixture(scope="module", params=["login-server", "trixie-server"])
def school(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Boot a server whose people log in, and build images of both releases with an account of their own."""
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=request.param, sources=trees.SOURCES)
        product.wait_until_up(server)
        product.configure(server, {})
        make_people(server)
        make_directory(server)
        trees.add_shell(server.path("/srv/ltsp/trixie"))
        for name in trees.SOURCES:
            add_own_account(server, name)
            product.build(server, name)
        yield server
    assert leftovers(session.name) == []
