"""What a client of a classroom has beyond its login: Epoptes, the server's time, two seats."""

import re
from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.net import SERVER_ADDRESS, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:ca:01"
# Two screens; a keyboard at an even port of USB and one at an odd port.
SEATS = (
    *("-device", "VGA", "-device", "cirrus-vga"),
    *("-device", "qemu-xhci,id=usb"),
    *("-device", "usb-kbd,bus=usb.0,port=2", "-device", "usb-kbd,bus=usb.0,port=1"),
)
# Does what Epoptes's window does: asks its daemon who is there, and has each client run a command.
ASKS = """\
from twisted.internet import defer, endpoints, task
from twisted.protocols import amp
from epoptes.daemon import commands

@task.react
@defer.inlineCallbacks
def main(reactor):
    end = endpoints.UNIXClientEndpoint(reactor, "/run/epoptes/epoptes.socket")
    daemon = yield endpoints.connectProtocol(end, amp.AMP())
    for handle in (yield daemon.callRemote(commands.EnumerateClients))["handles"]:
        asked = {"handle": handle, "command": "hostname; id -u; echo $TYPE"}
        said = yield daemon.callRemote(commands.ClientCommand, **asked)
        print(handle, *said["result"].decode().split())
"""
# A server whose network has no internet, and which gives its own time. No container may set the clock (-x).
CHRONY = "local stratum 10\nallow 192.168.67.0/24\ncmdport 0\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with open_session() as session:
        tree, sources = "classroom-server", {"classroom": "classroom"}
        server = start_server(session, make_lan(session), tree=tree, sources=sources)
        product.wait_until_up(server)
        server.write("/etc/chrony/lab.conf", CHRONY)
        server.run(
            "systemctl stop chrony; systemd-run --unit=lab-chrony chronyd -x -d -f /etc/chrony/lab.conf"
        )
        product.configure(server, {MAC: {"HOSTNAME": "pc01", "MULTISEAT": "1"}})
        product.build(server, "classroom")
        yield server
    assert leftovers(session.name) == []


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = power_on(
        server.session,
        server.lan,
        mac=MAC,
        name="pc01",
        memory=1536,
        extra=(*SEATS, "-rtc", "base=2019-03-01"),
    )
    client.login_prompt()
    yield client
    client.off()


def test_the_server_s_epoptes_has_the_client_without_a_word_of_configuration(
    server: Server, client: Client
) -> None:
    del client
    server.write("/tmp/asks.py", ASKS)
    server.wait_for(lambda: "pc01" in server.run("python3 /tmp/asks.py"), 300)
    assert re.fullmatch(r"192\.168\.67\.\S+ pc01 0 fat", server.run("python3 /tmp/asks.py").strip())


def test_the_client_has_the_server_s_time_and_keeps_it(server: Server, client: Client) -> None:
    del server
    client.shell("until [ $(timedatectl show --value -p NTPSynchronized) = yes ]; do sleep 1; done", 300)
    assert client.shell("timedatectl show-timesync --value -p ServerAddress").strip() == SERVER_ADDRESS
    # It had the right time before, so no boot has begun with a wrong one.
    assert "2019" not in client.shell(
        "journalctl -b -o short-iso --no-pager -q -u ltsp-report -u systemd-timesyncd"
    )


def test_two_people_can_sit_at_the_client(client: Client) -> None:
    seats = client.shell("loginctl list-seats --no-legend").split()
    assert seats == ["seat-1", "seat0"]
    first, second = (client.shell(f"loginctl seat-status --no-pager {each}") for each in ("seat0", "seat-1"))
    for shown in (first, second):
        assert len(re.findall(r"drm:card[0-9]$", shown, re.MULTILINE)) == 1, shown
        assert "QEMU USB Keyboard" in shown
    assert client.shell("loginctl show-seat --value -p CanGraphical seat-1").strip() == "yes"
