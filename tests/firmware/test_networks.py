"""Clients boot in networks where another program has the last word: somebody else's DHCP server, a relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import product, releases, rooms
from tests.lab.client import Client, Firmware, power_on
from tests.lab.net import EXTERNAL_ADDRESS, ROUTER_ADDRESS, SERVER_ADDRESS, ip, make_lan
from tests.lab.rooms import DNSMASQ, KEA
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROUTER = "192.168.67.254"
RELAYED = "10.0.3.0/24"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Boot a server beside a network in which nobody gives addresses yet, and build an image."""
    with open_session() as session:
        lan = make_lan(session, external=True, router=False)
        server = start_server(session, lan, sources={"bookworm": "client"})
        product.wait_until_up(server)
        product.configure(server, {"server": {"DHCP_LINKS": "ext0=foreign"}})
        product.build(server, "bookworm")
        yield server
    assert leftovers(session.name) == []


def boot(server: Server, name: str, mac: str, firmware: Firmware = "bios") -> Client:
    """Switch a client of the second network on, and wait until people can log in there."""
    client = power_on(server.session, server.lan, firmware, mac=mac, name=name, external=True)
    client.login_prompt()
    product.wait_for_stage(server, mac, "login")
    assert product.client(server, mac)["Address"].startswith("10.0.3.")
    assert " 10.0.3." in client.shell("ip -4 -br address")
    return client


@pytest.mark.parametrize(
    ("kind", "firmware", "mac"),
    [
        (DNSMASQ, "bios", "52:54:00:67:f9:01"),
        (KEA, "bios", "52:54:00:67:f9:02"),
        (KEA, "http", "52:54:00:67:f9:04"),
    ],
)
def test_behind_somebody_elses_server_with_our_lines(
    server: Server, kind: str, firmware: Firmware, mac: str, tmp_path: Path
) -> None:
    product.settled(server)
    lines = server.run(f"ltspctl foreign ext0 {kind}")
    theirs = f"{ROUTER_ADDRESS}/24"
    data = rooms.theirs(kind, lines, theirs, "ext0")
    conf = f"[server]\nDHCP_SERVER={kind}\nDHCP_LINKS={rooms.LINK}=real\n"
    with rooms.serving(server.lan.router, releases.DEBIAN_12, tmp_path, conf, theirs, data):
        client = boot(server, f"behind-{kind}-{firmware}", mac, firmware)
        assert f"ltsp.server={EXTERNAL_ADDRESS}" in client.shell("cat /proc/cmdline").split()
        client.off()


def test_behind_a_relay(server: Server) -> None:
    lan = server.lan
    # What was the second network is now one that only a router has, which is in both.
    ip(lan.server, "link set ext0 down", f"route add {RELAYED} via {ROUTER}")
    ip(
        lan.switch,
        f"link add port-rtr type veth peer name lan0 netns {lan.router}",
        "link set port-rtr master lan up",
    )
    ip(lan.router, f"address add {ROUTER}/24 dev lan0", "link set lan0 up")
    relay = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]
    relay += ["--log-facility=-", "--pid-file=", f"--dhcp-relay={ROUTER_ADDRESS},{SERVER_ADDRESS}"]
    forward = ["sh", "-c", 'echo 1 >/proc/sys/net/ipv4/ip_forward; exec "$@"', "sh"]
    lan.session.start([*forward, *relay], log="relay.log", netns=lan.router)
    relayed = {"DHCP_LINKS": "lan0=real", "DHCP_RELAYED": f"{RELAYED}=real:10.0.3.50-10.0.3.99"}
    with product.configured(server, {"server": relayed}):
        product.settled(server)
        client = boot(server, "behind-relay", "52:54:00:67:f9:03")
        assert f"ltsp.server={SERVER_ADDRESS}" in client.shell("cat /proc/cmdline").split()
        assert f"default via {ROUTER_ADDRESS} " in client.shell("ip -4 route")
        client.off()
