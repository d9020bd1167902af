"""Other DHCP and TFTP servers as units of a real server, one after the other, with a machine that stays."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.dhcp import ACK, Cable, Machine
from tests.lab.net import SERVER_ADDRESS, Lan, ip, make_lan
from tests.lab.product import configured, outputs, problems, settled
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

UNITS = {"dnsmasq": "ltspd-dnsmasq", "kea": "ltspd-kea", "isc": "ltspd-dhcpd"}
STAYS = Machine(0, mac="52:54:00:0d:00:01")


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with open_session() as session:
        yield make_lan(session)
    assert leftovers(session.name) == []


@pytest.fixture(scope="module")
def server(lan: Lan) -> Server:
    """Boot a server that has every DHCP and TFTP server of its release, none of which was set up."""
    server = start_server(lan.session, lan, tree="dhcp-server", sources={"bookworm": "client"})
    # Of tftpd-hpa, Debian starts its own unit, which has the port.
    server.run("systemctl disable tftpd-hpa; systemctl stop tftpd-hpa")
    product.wait_until_up(server)
    settled(server)
    return server


@pytest.fixture(scope="module")
def cable(lan: Lan) -> Iterator[Cable]:
    ip(
        lan.switch,
        "link add port9 type veth peer name far9",
        "link set port9 master lan up",
        "link set far9 up",
    )
    made = Cable(lan.switch, "far9")
    yield made
    made.close()


def active(server: Server) -> set[str]:
    lines = server.run(f"systemctl is-active {' '.join(UNITS.values())}", check=False).split()
    return {name for name, state in zip(UNITS, lines, strict=True) if state != "inactive"}


def answered(server: Server, kind: str) -> None:
    """Wait until a server answers, and the daemon is content with it."""
    settled(server)
    assert outputs(server)["dhcp"]["State"] == "in-sync"
    begins = {"kea": "DHCP4_STARTED", "isc": "Server starting service", "dnsmasq": "started"}
    server.wait_for(f"journalctl -q -b -u {UNITS[kind]} -o cat | grep -q '{begins[kind]}'")


def test_each_server_takes_over_from_the_one_before(server: Server, cable: Cable) -> None:
    own = server.run("sha256sum /etc/kea/* /etc/dhcp/dhcpd.conf")
    address = cable.lease(STAYS).address
    ip(server.lan.server, f"neighbour replace {address} lladdr {STAYS.mac} dev lan0")
    for number, kind in enumerate(("kea", "isc", "kea", "dnsmasq"), 2):
        with configured(server, {"server": {"DHCP_SERVER": kind}}):
            answered(server, kind)
            assert active(server) == {kind}
            # A client that runs goes on, and a new machine gets an address that nobody has.
            renewed = cable.renew(STAYS, address)
            assert (renewed.type, renewed.address) == (ACK, address)
            new = cable.lease(Machine(0, mac=f"52:54:00:0d:00:{number:02x}"))
            assert (new.next_server, new.file) == (SERVER_ADDRESS, "ltsp/undionly.kpxe")
            assert new.address != address
            # It comes back when it is killed, with what it gave.
            server.run(f"systemctl kill --signal=KILL {UNITS[kind]}")
            server.wait_for(f"[ $(systemctl show -P NRestarts {UNITS[kind]}) != 0 ]")
            server.wait_for(f"systemctl is-active --quiet {UNITS[kind]}")
    settled(server)
    # The distribution's own files are as they were.
    assert server.run("sha256sum /etc/kea/* /etc/dhcp/dhcpd.conf") == own


def test_dhcp_off_is_off_while_all_the_rest_serves(server: Server) -> None:
    for kind, unit in UNITS.items():
        off = {"DHCP_SERVER": kind, "REAL_DHCP": "0", "DHCP_LINKS": "lan0=foreign"}
        with configured(server, {"server": off}):
            assert active(server) == set()
            server.run(f"curl -sSf -m 600 tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe >/run/fetched")
        with configured(server, {"server": {"DHCP_SERVER": kind}}):
            answered(server, kind)
            assert active(server) == {kind}, unit


def test_a_server_that_is_not_installed_is_named_with_the_next_step(server: Server) -> None:
    server.run("mv /usr/sbin/dhcpd /usr/sbin/dhcpd.away")
    try:
        with configured(server, {"server": {"DHCP_SERVER": "isc"}}):
            assert outputs(server)["dhcp"]["State"] == "failed"
            (told,) = (each for each in problems(server) if "dhcpd is not installed" in each)
            assert "install isc-dhcp-server, or take DHCP_SERVER= out of ltsp.conf" in told
    finally:
        server.run("mv /usr/sbin/dhcpd.away /usr/sbin/dhcpd")
    settled(server)


def test_tftp_by_tftpd_hpa_serves_the_same_files(server: Server) -> None:
    with configured(server, {"server": {"TFTP_SERVER": "tftpd-hpa"}}):
        settled(server)
        assert outputs(server)["tftp"]["State"] == "in-sync"
        assert server.run("systemctl is-active ltspd-tftp", check=False).strip() == "inactive"
        server.run(
            f"curl -sSf -m 600 tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe | cmp - /srv/tftp/ltsp/ltsp.ipxe"
        )
        for outside in ("../../etc/hostname", "/etc/hostname", "ltsp/../../../etc/hostname"):
            server.run(f"! curl -sSf -m 600 --path-as-is tftp://{SERVER_ADDRESS}/{outside}")
        # It has the served addresses, and no other.
        assert server.run("ss -Hlun 'sport = :69'").split()[3] == f"{SERVER_ADDRESS}:69"
    settled(server)


@pytest.mark.parametrize(("kind", "address"), [("kea", "192.168.67.40"), ("isc", "192.168.67.41")])
def test_a_client_boots(server: Server, kind: str, address: str) -> None:
    product.build(server, "bookworm")
    mac = f"52:54:00:67:d6:{address[-2:]}"
    settings = {"server": {"DHCP_SERVER": kind, "TFTP_SERVER": "tftpd-hpa"}}
    with configured(server, {**settings, mac: {"DHCP_ADDRESS": address, "HOSTNAME": f"pc-{kind}"}}):
        answered(server, kind)
        assert outputs(server)["tftp"]["State"] == "in-sync"
        client = power_on(server.session, server.lan, "bios", mac=mac, name=f"by-{kind}")
        try:
            client.login_prompt()
            assert f" {address}/" in client.shell("ip -4 -br address")
            assert client.shell("hostname").strip() == f"pc-{kind}"
        finally:
            client.off()
