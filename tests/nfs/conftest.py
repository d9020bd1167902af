"""A server that is a machine with an NFS server in its kernel, once for each release of Debian."""

from collections.abc import Iterator

import pytest

from tests.lab import homes, product
from tests.lab.asking import Asker, connected
from tests.lab.machine import Machine, start_machine
from tests.lab.net import SERVER_ADDRESS, ip, make_lan
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


@pytest.fixture(scope="module")
def asker(machine: Machine) -> Iterator[Asker]:
    """Read a file of the current generation and one of a home all the time, by a network card of its own."""
    lan, own = machine.lan, "192.168.67.9"
    ip(
        lan.switch,
        "link add port9 type veth peer name far9",
        "link set port9 master lan up",
        "link set far9 up",
        f"address add {own}/24 dev far9",
    )
    machine.run(homes.person("alice", "echo text >asked; chmod 600 asked"))
    manifest = machine.run("readlink -f /srv/ltsp/images/bookworm/current/manifest.json").strip()
    files = (manifest, "/home/alice/asked")
    asker = Asker(connected(lan.switch, own, SERVER_ADDRESS), files, homes.PEOPLE["alice"])
    try:
        yield asker
    finally:
        asker.close()
        ip(lan.switch, "link del port9")
        machine.run("rm /home/alice/asked")
