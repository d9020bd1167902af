"""The server's programs end under a running client, which reads its root all the time and notices nothing."""

import pytest

from tests.lab import product
from tests.lab.reading import reading, reads_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SERVICES = ("ltspd-dnsmasq", "ltspd-tftp", "ltspd-gateway", "ltspd-radvd")


def main_pid(server: Server, unit: str) -> str:
    return server.run(f"systemctl show -P MainPID {unit}").strip()


@pytest.mark.parametrize("transport", ["nfs", "nbd"])
def test_a_running_client_notices_nothing_of_what_ends_on_the_server(
    server: Server, images: tuple[str, ...], transport: str
) -> None:
    del images  # they must be built, that is all
    mac = "52:54:00:67:f5:01" if transport == "nfs" else "52:54:00:67:f5:02"
    with reading(server, f"steady-{transport}", mac, transport) as client:
        reads_on(server, client, "before anything")
        server.run(f"kill -KILL {main_pid(server, 'ltspd')}")
        reads_on(server, client, "the daemon was killed")
        server.run("systemctl restart dbus; systemctl restart systemd-logind")
        reads_on(server, client, "the bus was restarted")
        server.run(f"kill -KILL {' '.join(main_pid(server, unit) for unit in SERVICES)}")
        server.run("systemctl kill --signal=STOP systemd-journald")
        try:
            reads_on(server, client, "services were killed and the journal is stopped")
        finally:
            server.run("systemctl kill --signal=CONT systemd-journald")
        if transport == "nfs":
            # Its mount waits until the server is there again, and goes on.
            pid = main_pid(server, "ltspd-nfs")
            server.run(f"kill -KILL {pid}")
            server.wait_for("systemctl is-active --quiet ltspd-nfs")
            assert main_pid(server, "ltspd-nfs") != pid
            reads_on(server, client, "the NFS server was killed")
        product.wait_until_up(server)
        server.wait_for(lambda: product.status(server)["State"] == "in-sync")
