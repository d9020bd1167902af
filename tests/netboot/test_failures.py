"""The server's programs end under a running client, which reads its root all the time and notices nothing."""

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server
from tests.netboot.test_generations import READER

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SERVICES = ("ltspd-dnsmasq", "ltspd-tftp", "ltspd-gateway", "ltspd-radvd")


def main_pid(server: Server, unit: str) -> str:
    return server.run(f"systemctl show -P MainPID {unit}").strip()


def reads_on(server: Server, client: Client, what: str) -> None:
    """Wait until the client has read many more files, all of them without an error."""

    def count() -> int:
        return int(client.shell("wc -l </run/reads"))

    reads = count()
    server.wait_for(lambda: count() > reads + 40, 120)
    assert client.shell("cat /run/errors").strip() == "", what


@pytest.mark.parametrize("transport", ["nfs", "nbd"])
def test_a_running_client_notices_nothing_of_what_ends_on_the_server(
    server: Server, images: tuple[str, ...], transport: str
) -> None:
    del images  # they must be built, that is all
    mac = "52:54:00:67:f3:01" if transport == "nfs" else "52:54:00:67:f3:02"
    product.configure(server, {mac: {"DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": transport}})
    client = power_on(server.session, server.lan, "bios", mac=mac, name=f"steady-{transport}")
    try:
        client.login_prompt()
        client.shell(f"touch /run/reads\n{READER}")
        reads_on(server, client, "before anything")
        server.run(f"kill -KILL {main_pid(server, 'ltspd')}")
        reads_on(server, client, "the daemon was killed")
        server.run("systemctl restart dbus; systemctl restart systemd-logind", timeout=60)
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
            server.wait_for("systemctl is-active --quiet ltspd-nfs", 40)
            assert main_pid(server, "ltspd-nfs") != pid
            reads_on(server, client, "the NFS server was killed")
        assert client.shell("dmesg | grep -c -e I/O.error -e SQUASHFS.error || :").strip() == "0"
        product.wait_until_up(server)
        server.wait_for(lambda: product.status(server)["State"] == "in-sync", 90)
    finally:
        client.off()
