"""A client keeps its address: the unit that renews the lease, with the real busybox and the real dnsmasq."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.lab.net import Lan, ip, make_lan
from tests.lab.session import leftovers, open_session

pytestmark = pytest.mark.lab

CLIENT = REPOSITORY / "client"
ADDRESS = "192.168.67.77"
# What a DHCP server in 192.168.67.1 answers: all of a range, or another address to this one machine.
RANGE = "--dhcp-range=192.168.67.20,192.168.67.99,120s"
OTHER = "--dhcp-host=MAC,192.168.67.78"


@pytest.fixture
def lan() -> Iterator[Lan]:
    """Make a LAN whose switch stands for a client that is up: it has an address, and not by DHCP."""
    with open_session() as session:
        lan = make_lan(session)
        ip(lan.switch, f"address add {ADDRESS}/24 dev lan")
        yield lan
    assert leftovers(session.name) == []


def mac(lan: Lan) -> str:
    words = ["ip", "netns", "exec", lan.switch, "cat", "/sys/class/net/lan/address"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def serve(lan: Lan, *options: str) -> Path:
    """Start a DHCP server and return its file of leases; one whose end has come is in it already."""
    leases = lan.session.directory / "leases"
    leases.write_text(f"{int(time.time()) + 1} {mac(lan)} {ADDRESS} * 01:{mac(lan)}\n")
    dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-facility=-"]
    dnsmasq += ["--user=root", "--interface=lan0", "--bind-interfaces", "--pid-file=", "--no-ping"]
    lan.session.start([*dnsmasq, f"--dhcp-leasefile={leases}", *options], log="dhcp.log", netns=lan.server)
    return leases


def renew(lan: Lan) -> Path:
    """Start what the client's boot initrd has left for its system, and return its log."""
    directory = lan.session.directory
    (directory / "run/initramfs/ltsp").mkdir(parents=True)
    known = f"run={directory}/run store={directory}/run/initramfs/ltsp nic=lan address={ADDRESS} hostname=pc1"
    known = f"{known} ltsp={CLIENT.parent}"
    scripts = f". {CLIENT}/boot/features.sh; make_places; bring_scripts; . {CLIENT}/features/80-lease.sh"
    words = ["busybox", "sh", "-euc", f"{known} trial='' busybox={shutil.which('busybox')}; {scripts}"]
    subprocess.run(words, check=True)
    # In ltsp.img, all scripts have this mode.
    (directory / "run/initramfs/ltsp/lease").chmod(0o755)
    service = directory / "run/systemd/system/ltsp-lease.service"
    unit = dict(line.split("=", 1) for line in service.read_text().splitlines() if "=" in line)
    lan.session.start(unit["ExecStart"].split(), log="lease.log", netns=lan.switch)
    return lan.session.logs / "lease.log"


def until(said: Path, text: str) -> None:
    deadline = time.monotonic() + 120
    while text not in said.read_text():
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)


def addresses(lan: Lan) -> list[str]:
    words = ["ip", "-n", lan.switch, "-4", "-brief", "address", "show", "dev", "lan"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[2:]


def test_a_lease_is_renewed_and_nothing_else_changes(lan: Lan) -> None:
    leases = serve(lan, RANGE)
    until(renew(lan), f"lease of {ADDRESS} obtained")
    end, _, address, _ = leases.read_text().split(" ", 3)
    assert address == ADDRESS
    assert int(end) > time.time() + 60
    assert addresses(lan) == [f"{ADDRESS}/24"]


def test_a_server_that_has_another_address_is_told_of_and_not_obeyed(lan: Lan) -> None:
    serve(lan, RANGE, OTHER.replace("MAC", mac(lan)))
    said = renew(lan)
    until(said, f"gives this client 192.168.67.78 now; it keeps {ADDRESS}")
    # What it doesn't use is given back.
    until(said, "unicasting a release of 192.168.67.78")
    assert addresses(lan) == [f"{ADDRESS}/24"]
