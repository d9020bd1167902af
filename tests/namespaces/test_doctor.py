"""The doctor on a real server: each broken thing is named with its next step, and nothing else is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import product
from tests.lab.dhcp import DISCOVER, Cable, Machine
from tests.lab.product import settled
from tests.lab.server import Server
from tests.lab.units import show, transient

pytestmark = pytest.mark.lab

HOLD = "/run/hold.py"
HOLDER = """import socket, sys, time
port, link = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
sock.bind(("0.0.0.0", int(port)))
open("/run/holds", "w").close()
time.sleep(3600)
"""


def found(server: Server, host: str = "") -> list[dict[str, Any]]:
    return list(json.loads(server.run(f"ltspctl doctor --json {host}", check=False)))


def errors(server: Server) -> dict[str, str]:
    """Return what the doctor calls an error, by its subject."""
    return {
        each["Subject"]: f"{each['Cause']} {each['Step']}"
        for each in found(server)
        if each["Severity"] == "error"
    }


@contextmanager
def broken(server: Server, how: str, mend: str) -> Iterator[None]:
    server.run(how)
    try:
        yield
    finally:
        server.run(mend)


def test_each_broken_thing_is_named(server: Server) -> None:
    settled(server)
    assert errors(server) == {}
    with broken(server, "chmod 700 /srv/tftp", "chmod 755 /srv/tftp"):
        assert "chmod o+rX /srv/tftp" in errors(server)["TFTP /srv/tftp"]
    with broken(server, "ip link add br9 type bridge; ip link set br9 up", "ip link delete br9"):
        server.wait_for(lambda: any(each["Subject"] == "link br9" for each in found(server)))
        (bridge,) = (each for each in found(server) if each["Subject"] == "link br9")
        assert "has no IPv4 address" in bridge["Cause"]
    server.write(HOLD, HOLDER)
    # As libvirt's own DHCP server has it, on a link that is none of ours, and as one has it on ours.
    with broken(server, "ip link add virbr9 type bridge; ip link set virbr9 up", "ip link delete virbr9"):
        for link, told in (("virbr9", False), ("lan0", True)):
            server.run("rm -f /run/holds")
            with transient(server, "holder", f"python3 {HOLD} 67 {link}"):
                server.wait_for("[ -e /run/holds ]")
                assert ("holder.service" in errors(server).get("port 67/udp", "")) == told
    settled(server)
    server.run("systemctl stop ltspd-tftp")
    with transient(server, "holder", f"python3 {HOLD} 69 ''"):
        server.wait_for(lambda: "holder.service" in errors(server).get("port 69/udp", ""))
    server.run("ltspctl apply")
    settled(server)
    assert errors(server) == {}


def test_a_machine_that_nobody_answers_has_its_reason(server: Server) -> None:
    settled(server)
    assert show(server, "ActiveState", "ltspd-listener") == "active"
    mac = "52:54:00:0f:00:01"
    assert "nothing was heard of it" in found(server, mac)[-1]["Cause"]
    cable = Cable(server.lan.switch, "lan")
    try:
        cable.send(DISCOVER, Machine(7, mac=mac))
        server.wait_for(lambda: len(found(server, mac)) > 1)
    finally:
        cable.close()
    told = [each["Cause"] for each in found(server, mac)]
    assert "its firmware (UEFI) asked for an address" in told[0]
    assert "this server offered" in told[1]
    (client,) = (each for each in product.status(server)["Clients"] if each["Mac"] == mac)
    assert client["Stage"] == "offer"
