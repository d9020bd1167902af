"""Rebuilds, reverts and removals under clients that read their root all the time: nobody may notice."""

import json

import pytest

from tests.lab import product
from tests.lab.reading import reading, reads_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

REBUILDS = 10


def current(server: Server) -> str:
    return server.run("basename $(readlink /srv/ltsp/images/bookworm/current)").strip()


def folding(server: Server) -> bool:
    return any(job["State"] in ("queued", "running") for job in product.status(server)["Jobs"])


def folded(server: Server) -> bool:
    done = any((job["Kind"], job["State"]) == ("fold", "done") for job in product.status(server)["Jobs"])
    return done and len(server.run("cat /srv/ltsp/images/bookworm/current/layers").splitlines()) <= 8


@pytest.mark.parametrize("transport", ["nfs", "nbd"])
def test_a_running_client_never_notices_what_happens_to_its_image(
    server: Server, images: tuple[str, ...], transport: str
) -> None:
    del images  # they must be built, that is all
    mac = "52:54:00:67:f2:01" if transport == "nfs" else "52:54:00:67:f2:02"
    with reading(server, f"reader-{transport}", mac, transport) as client:
        booted = current(server)
        for number in range(REBUILDS):
            server.run(f"echo {transport} {number} >/srv/ltsp/bookworm/usr/share/mark")
            product.build(server, "bookworm")
        # So many layers are folded into a new base meanwhile, which the client must not notice either.
        server.wait_for(lambda: not folding(server) and folded(server))
        newest = current(server)
        assert newest != booted
        for _ in range(2):
            server.run("ltspctl image revert bookworm")
        assert current(server) not in (newest, booted)
        # What the client reads outlives all pruning, and is not removed on request either.
        assert booted in server.run("ls /srv/ltsp/images/bookworm/generations").split()
        with pytest.raises(RuntimeError, match="in use"):
            server.run(f"ltspctl image remove bookworm {booted}")
        server.run(f"ltspctl image revert bookworm {newest}")
        reads_on(server, client, "its image was rebuilt, folded and reverted")
        assert f"ltsp.generation={booted}" in client.shell("cat /proc/cmdline")
    shown = json.loads(server.run("ltspctl image show bookworm --json"))
    assert shown["Current"] == newest


def test_an_upgrade_of_the_server_reaches_its_clients_without_a_build(
    server: Server, images: tuple[str, ...]
) -> None:
    del images
    booted, added = current(server), "/usr/share/ltspd/client/features/95-upgrade.sh"
    server.write(added, '# needs: LTSP_API 1\nsay "set up by the upgrade"\nfalse\n')
    server.run("systemctl restart ltspd")
    try:
        product.wait_until_up(server)
        server.wait_for("grep -aq 'set up by the upgrade' /srv/tftp/ltsp/ltsp.img")
        with reading(server, "upgraded", "52:54:00:67:f2:03", "nfs") as client:
            assert "ltsp: set up by the upgrade" in client.console.text
            # One that fails does not end the boot.
            assert "ltsp: the feature 95-upgrade failed; the boot goes on" in client.console.text
            assert f"ltsp.generation={booted}" in client.shell("cat /proc/cmdline")
            assert current(server) == booted

            def told() -> object:
                error = product.client(server, client.mac)["Error"]
                return error.startswith("it is up, but part of its setup failed: 95-upgrade.")

            server.wait_for(told)
    finally:
        # The gateway remembers the failed client, too, and would keep the server at "attention" for a day.
        server.run(f"rm {added}; systemctl stop ltspd-gateway; systemctl restart ltspd")
        product.wait_until_up(server)
        assert not [each for each in product.problems(server) if each.startswith("client ")]
