"""The card that a client's root comes by, in images whose network managers want every card there is.

A container stands for the client: its card has the address and the default route before systemd starts, and
what the boot initrd leaves for network managers is written by the same script.
"""

import json
from collections.abc import Iterator, Mapping

import pytest

from tests import REPOSITORY
from tests.lab.net import EXTERNAL_ADDRESS, SERVER_ADDRESS, Lan, ip, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CLIENT = REPOSITORY / "client"
GATEWAY = "192.168.67.254"
# The card of the root, and another one that the image's network manager is to have.
ROOT, OTHER = "lan0", "ext0"
NETPLAN = (
    "network:\n  version: 2\n  renderer: RENDERER\n  ethernets:\n"
    "    all:\n      match: {name: '*0'}\n      dhcp4: true\n"
)
NETWORKD = "[Match]\nName=*0\n[Network]\nDHCP=yes\n"
KEYFILE = "[connection]\nid=all\ntype=ethernet\nautoconnect-priority=99\n[ipv4]\nmethod=auto\n"
OF_THE_ROOT = {
    "systemd-networkd": f"networkctl status --no-pager {ROOT}",
    "NetworkManager": f"nmcli --get-values GENERAL.STATE device show {ROOT}",
}
# Of each manager: its unit, and the files of an image that has a profile for every card.
MANAGERS: dict[str, tuple[str, dict[str, str]]] = {
    "networkd": (
        "systemd-networkd",
        {
            "/etc/systemd/network/00-a.network": NETWORKD,
            "/etc/systemd/network/0.link": "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=random\n",
        },
    ),
    "NetworkManager": (
        "NetworkManager",
        {
            "/etc/NetworkManager/NetworkManager.conf": "[main]\nplugins=keyfile\n"
            "[keyfile]\nunmanaged-devices=none\n[device-all]\nmatch-device=*\nmanaged=1\n",
            "/etc/NetworkManager/conf.d/90-all.conf": "[device]\nmatch-device=*\nmanaged=1\n",
            "/etc/NetworkManager/system-connections/all.nmconnection": KEYFILE,
        },
    ),
    "netplan with networkd": (
        "systemd-networkd",
        {"/etc/netplan/0.yaml": NETPLAN.replace("RENDERER", "networkd")},
    ),
    "netplan with NetworkManager": (
        "NetworkManager",
        {"/etc/netplan/0.yaml": NETPLAN.replace("RENDERER", "NetworkManager")},
    ),
    "ifupdown": (
        "networking",
        {
            "/etc/network/interfaces": "auto lo\niface lo inet loopback\n"
            "source /etc/network/interfaces.d/*\nauto /*0\niface ext0 inet dhcp\n",
            "/etc/network/interfaces.d/lan0": "iface lan0 inet dhcp\n",
        },
    ),
}


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Start a container with every network manager of a release, in a LAN whose DHCP server tempts them."""
    with open_session() as session:
        lan = make_lan(session, external=True)
        ip(lan.server, f"route add default via {GATEWAY} dev {ROOT}")
        _tempt(session, lan)
        yield start_server(session, lan, tree=f"{request.param}-managers", install=False)
    assert leftovers(session.name) == []


def _tempt(session: Session, lan: Lan) -> None:
    ip(lan.switch, f"address add {GATEWAY}/24 dev lan")
    dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-facility=-"]
    dnsmasq += ["--user=root", "--interface=lan", "--bind-interfaces", "--pid-file=", "--log-dhcp"]
    dnsmasq += ["--dhcp-range=192.168.67.100,192.168.67.199,1h", "--no-ping"]
    dnsmasq += [f"--dhcp-leasefile={session.directory}/tempting.leases"]
    session.start(dnsmasq, log="tempting.log", netns=lan.switch)


def addresses(machine: Server, link: str) -> list[str]:
    found = json.loads(machine.run(f"ip -j -4 address show dev {link}"))
    return [each["local"] for one in found for each in one.get("addr_info", ())]


def network(machine: Server) -> tuple[list[str], str, str]:
    """Return of the root's card: its addresses, its default route, its flags and hardware address."""
    route = machine.run(f"ip -4 route show default dev {ROOT}").strip()
    link = json.loads(machine.run(f"ip -j link show dev {ROOT}"))[0]
    return addresses(machine, ROOT), route, f"{link['operstate']} {link['address']}"


@pytest.mark.parametrize("name", MANAGERS)
def test_no_network_manager_touches_the_card_of_the_root(machine: Server, name: str) -> None:
    unit, files = MANAGERS[name]
    before = network(machine)
    assert before[0] == [SERVER_ADDRESS]
    assert GATEWAY in before[1]
    try:
        write(machine, unit, files)
        machine.run(f"ip address flush dev {OTHER} scope global")
        prepare(machine)
        for act in ("start", "restart"):
            machine.run(f"systemctl {act} {unit}")
            if name != "ifupdown":
                # It has done all that it does of itself once it has asked for an address on the other card.
                machine.wait_for(lambda: addresses(machine, OTHER), 60)
            assert network(machine) == before, act
            if name != "ifupdown":
                # Nor could a person take its address away by a click.
                assert "unmanaged" in machine.run(OF_THE_ROOT[unit])
        machine.run(f"systemctl stop {unit}")
        assert network(machine) == before
    finally:
        # Its socket would start networkd again.
        machine.run(f"systemctl stop systemd-networkd.socket {unit}", check=False)
        machine.run(
            f"rm -rf {' '.join(files)} /run/systemd/network /run/NetworkManager /run/systemd/system.control;"
            f"systemctl daemon-reload; ip address flush dev {OTHER} scope global; ip link set {OTHER} up;"
            f"ip address add {EXTERNAL_ADDRESS}/24 dev {OTHER}"
        )


@pytest.mark.parametrize("name", ["networkd", "NetworkManager"])
def test_a_card_without_a_cable_holds_nothing_up(machine: Server, name: str) -> None:
    unit, files = MANAGERS[name]
    waits = f"{unit}-wait-online.service"
    machine.run("ip link add spare0 type veth peer name spare1")
    try:
        write(machine, unit, files)
        machine.run(f"systemctl add-wants --runtime network-online.target {waits}")
        prepare(machine)
        machine.run(f"systemctl start {unit} network-online.target")
        assert machine.run("systemctl is-active network-online.target").strip() == "active"
        # It was not started at all; it would have failed after a minute or two.
        shown = machine.run(f"systemctl show --property=LoadState,ActiveState {waits}").split()
        assert shown == ["LoadState=masked", "ActiveState=inactive"]
    finally:
        machine.run(f"systemctl stop network-online.target {waits}", check=False)
        machine.run(f"systemctl stop systemd-networkd.socket {unit}", check=False)
        machine.run(
            f"rm -rf {' '.join(files)} /run/systemd/network /run/NetworkManager /run/systemd/system.control "
            "/run/systemd/system/network-online.target.wants; ip link delete spare0; systemctl daemon-reload"
        )


def write(machine: Server, unit: str, files: Mapping[str, str]) -> None:
    """Write what a network manager reads."""
    for path, text in files.items():
        machine.write(path, text)
        # Those of NetworkManager count only if nobody else may read them; networkd has a user of its own.
        machine.path(path).chmod(0o644 if unit == "systemd-networkd" else 0o600)


def prepare(machine: Server) -> None:
    """Do what the boot initrd does, and what systemd's generators do after it."""
    names = ("boot/text.sh", "boot/features.sh", "features/30-network.sh", "features/60-services.sh")
    text, shared, *features = (CLIENT / each for each in names)
    for script in (text, shared, *features):
        machine.write(f"/tmp/{script.name}", script.read_text())
    mac = json.loads(machine.run(f"ip -j link show dev {ROOT}"))[0]["address"]
    machine.run(
        f"new= run=/run store=/run/initramfs/ltsp nic={ROOT} mac={mac} dns= search=; touch /etc/fstab; "
        f". /tmp/{text.name}; . /tmp/{shared.name}; make_places; "
        f"{' '.join(f'. /tmp/{each.name};' for each in features)} systemctl daemon-reload"
    )
