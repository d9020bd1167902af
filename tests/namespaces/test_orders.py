"""Orders of a server with real systemd: to a client's loop on its LAN, to machines that are off."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.gateway.waking import TIMES, magic_packet
from tests.lab import product
from tests.lab.net import SERVER_ADDRESS, Lan, ip, make_lan
from tests.lab.server import _HALT, Server, start_server
from tests.lab.session import leftovers, open_session
from tests.worlds.obeying import make_loop

pytestmark = pytest.mark.lab

ADDRESS, MAC = "192.168.67.77", "52:54:00:67:f6:01"
OFF = "52:54:00:67:f6:02"
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
# Prints each packet that comes to the port that machines which are off are woken at.
CARD = """
import socket
card = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
card.bind(("", 9))
print("on", flush=True)
while True:
    print(card.recv(2048).hex(), flush=True)
"""


@pytest.fixture
def school() -> Iterator[Server]:
    """Boot a server of its own, because the test ends it, on a LAN where this machine is a client."""
    with open_session() as session:
        lan = make_lan(session)
        ip(lan.switch, f"link set lan address {MAC}", f"address add {ADDRESS}/24 dev lan", "link set lan up")
        server = start_server(session, lan)
        product.wait_until_up(server)
        product.configure(server, {"room:lab": {"MEMBERS": f"192.168.67.7? {OFF}"}})
        yield server
    assert leftovers(session.name) == []


def on_the_lan(lan: Lan, *argv: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{lan.switch}", "--", *argv]


def test_a_server_and_a_client_on_its_lan(school: Server, tmp_path: Path) -> None:
    lan, base = school.lan, f"http://{SERVER_ADDRESS}/ltsp"
    signer = school.run("cat /var/lib/ltspd/keys/orders.pub")
    store = make_loop(tmp_path, signer, base=base, mac=MAC, address=ADDRESS)
    lines = f"mac={MAC}\nstage=login\nclock=9\nhostname=here\nboot={BOOT}"
    post = ["busybox", "wget", "-q", "-O", "-", "--post-data", lines, f"{base}/report"]
    subprocess.run(on_the_lan(lan, *post), check=True)
    product.wait_for_stage(school, MAC, "login")
    assert "Room lab: 1 (1 login)" in school.run("ltspctl status")
    card = subprocess.Popen(
        on_the_lan(lan, "python3", "-c", CARD), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    loop = school.session.start(["busybox", "sh", str(tmp_path / "live")], log="loop.log", netns=lan.switch)
    try:
        ran = json.loads(school.run("ltspctl client message lab 'It is ten.' --json 2>/dev/null"))
        assert [each["Result"] for each in ran["Clients"]] == ["ok"]
        assert (store / "obeyed").read_text() == "message It is ten.\n"
        assert school.run("ltspctl client reboot here").startswith("here: 1 to answer")
        assert "systemctl -i --no-wall reboot" in (store / "obeyed").read_text()

        # The gateway, in its sandbox, wakes the room; who is on takes no notice.
        assert card.stdout is not None
        assert card.stdout.readline() == "on\n"
        school.run("ltspctl client wake lab --no-wait")
        heard = {bytes.fromhex(card.stdout.readline().strip()) for _ in range(2 * TIMES)}
        assert heard == {magic_packet(MAC), magic_packet(OFF)}

        # After an upgrade nobody is told; of the machine's end, clients hear before its network goes.
        before = (store / "obeyed").read_text()
        school.run("systemctl restart ltspd")
        product.wait_until_up(school)
        product.wait_for_stage(school, MAC, "login")
        assert (store / "obeyed").read_text() == before
        os.kill(school.leader, _HALT)
        school._process.wait(120)
        assert "is being shut down. Save your work" in (store / "obeyed").read_text().removeprefix(before)
    finally:
        card.kill()
        card.communicate()
        loop.kill()
        loop.wait()
