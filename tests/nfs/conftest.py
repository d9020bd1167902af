"""A server that is a machine with an NFS server in its kernel, once for each release of Debian."""

from collections.abc import Iterator

import pytest

from tests.lab import homes, product
from tests.lab.machine import Machine, start_machine
from tests.lab.net import make_lan
from tests.lab.session import leftovers, open_session


@pytest.fixture(scope="session", params=["nfs-server", "trixie-nfs-server"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Boot the machine, with people, and build an image of two generations."""
    with open_session() as session:
        server = start_machine(session, make_lan(session), tree=request.param, sources={"bookworm": "client"})
        product.wait_until_up(server)
        homes.make_people(server)
        product.configure(server, {"server": {"NFS_HOME": "1"}})
        for number in range(2):
            server.run(f"echo {number} >/srv/ltsp/bookworm/usr/share/mark")
            product.build(server, "bookworm")
        product.settled(server)
        yield server
    assert leftovers(session.name) == []
