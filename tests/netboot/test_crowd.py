"""A client boots over HTTP while others hold thousands of connections, and nothing of anybody is cut."""

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.crowd import Plan, crowd
from tests.lab.net import EXTERNAL_ADDRESS
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f7:01"
# Of a gateway that serves nobody it is about 30 MB.
RESIDENT_MOST = 100 << 20


def resident(server: Server) -> int:
    """Return the gateway's resident set in bytes."""
    pid = server.run("systemctl show -P MainPID ltspd-gateway").strip()
    return int(server.run(f"sed -n 's/^VmRSS:[[:space:]]*\\([0-9]*\\) kB/\\1/p' /proc/{pid}/status")) << 10


def address(server: Server, verb: str, served: bool) -> None:
    """Take the address of the second network away, or give it back; wait until HTTP has followed."""
    server.run(f"ip address {verb} {EXTERNAL_ADDRESS}/24 dev ext0")
    listens = f"ss -Hltn src {EXTERNAL_ADDRESS}:80 | grep -q ."
    server.wait_for(listens if served else f"! {listens}")


def test_a_client_boots_over_http_in_a_crowd(server: Server, images: tuple[str, ...]) -> None:
    del images  # they must be built, that is all
    base = "/srv/ltsp/images/bookworm"
    layer = server.run(f"head -c 64 {base}/current/layers").strip()
    generation = server.run(f"readlink {base}/current").strip()
    plan = Plan(
        f"/ltsp/images/bookworm/layers/{layer}.squashfs", f"/ltsp/images/bookworm/{generation}/vmlinuz"
    )
    running = server.run("systemctl show -P InvocationID ltspd-gateway")
    conf = {MAC: {"DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": "http"}}
    with product.configured(server, conf), crowd(server, plan) as seen:
        server.wait_for(lambda: seen()["tried"] >= plan.idle + plan.slow and seen()["whole"])
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="crowd")
        try:
            # While kernel and initrd come, and again while the root does.
            address(server, "delete", served=False)
            address(server, "add", served=True)
            client.expect(r"Linux version \d")
            address(server, "delete", served=False)
            address(server, "add", served=True)
            client.login_prompt()
            assert "ltsp.root=http" in client.console.text
            most = resident(server)
            print(f"\nresident: {most / 1e6:.0f} MB; {seen()}")
            assert most < RESIDENT_MOST
            assert seen()["cut"] == 0
            assert seen()["whole"] > plan.room / 2
        finally:
            client.off()
    assert server.run("systemctl show -P InvocationID ltspd-gateway") == running
    assert "Traceback" not in server.journal("ltspd-gateway")
