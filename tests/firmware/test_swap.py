"""Swap on a server that is away, and of a client that is gone: both take their time."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import Client
from tests.lab.server import Server
from tests.lab.swapping import FILES, fill, hungry, swapping, whole

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:e6:02"
# Seconds; more than the client's kernel waits for the answer to one request.
AWAY = 40


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    """Boot a client that has more in /dev/shm than it may have in RAM."""
    product.build(server, "bookworm")
    with swapping(server, MAC, "30s") as client:
        client.shell(hungry(fill("one", 30)))
        yield client


def is_whole(client: Client, name: str) -> bool:
    """Return whether all of a text is there, most of which is on the server."""
    client.shell(hungry(f"{whole(name)} >/run/read"))
    return client.shell("cat /run/read").strip() == "2"


def ended_well(client: Client, unit: str) -> None:
    client.shell(f"while [ $(systemctl show -P SubState {unit}) = running ]; do sleep 1; done")
    assert client.shell(f"systemctl show -P Result {unit}; systemctl stop {unit}").strip() == "success"


def test_a_server_that_is_away_is_waited_for(server: Server, client: Client) -> None:
    server.run("systemctl stop ltspd-swap.socket 'ltspd-swap@*'")
    try:
        client.shell(hungry(f"{whole('one')} >/run/read", "--unit=reads"))
        client.shell(hungry(fill("two", 15), "--unit=writes", "--property=RemainAfterExit=yes"))
        # Nobody else waits.
        client.shell(f"sleep {AWAY}")
        assert (
            client.shell("cat /run/read; systemctl show -P SubState reads writes").split() == ["running"] * 2
        )
    finally:
        server.run("systemctl start ltspd-swap.socket")
    client.shell("until [ -s /run/read ]; do sleep 1; done")
    assert client.shell("cat /run/read").strip() == "2"
    ended_well(client, "writes")
    assert is_whole(client, "two")
    assert "Write-error" not in client.shell("dmesg")


def test_the_swap_of_a_client_that_goes_off_goes_too(server: Server, client: Client) -> None:
    assert server.run(f"ls {FILES}").split()
    client.off()
    server.wait_for(f'[ -z "$(ls {FILES})" ]')
