"""Clients boot the product's images, from power-on to the login prompt, by every way there is."""

import re
from collections.abc import Iterator

import pytest

from ltspd.gateway.reports import MARKS
from tests.lab import product
from tests.lab.client import Client
from tests.lab.fleet import Fleet, Machine, wanted
from tests.lab.net import SERVER_ADDRESS
from tests.lab.server import Server
from tests.lab.timeline import STAGES, table

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Where a client's kernel counts the sessions that it made (NFSPROC4_CLNT_… of include/linux/nfs4.h).
_CREATE_SESSION = 39
_TRANSPORTS = ("nbd", "nfs", "http")
MACHINES = {
    **{
        f"bios-{transport}": Machine(
            {"ROOT_TRANSPORT": transport, "DEFAULT_IMAGE": "bookworm", "HOSTNAME": f"pc-{transport}"}
        )
        for transport in _TRANSPORTS
    },
    "uefi": Machine({"DEFAULT_IMAGE": "bookworm"}, firmware="uefi"),
    "secure": Machine({"DEFAULT_IMAGE": "bookworm", "BOOT_WAY": "shim"}, firmware="secure"),
    "trixie": Machine({"DEFAULT_IMAGE": "trixie"}),
    "direct": Machine({"DEFAULT_IMAGE": "plain"}),
    "chrootless": Machine({"DEFAULT_IMAGE": "x86_64"}),
    "proxy": Machine({"DEFAULT_IMAGE": "bookworm"}, external=True),
}


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, server: Server, images: tuple[str, ...]) -> Iterator[Fleet]:
    del images  # they must be built, that is all
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if item.function is test_a_client_boots]
    fleet = Fleet(server, wanted(MACHINES, names))
    try:
        yield fleet
    finally:
        fleet.close()


@pytest.mark.parametrize("name", MACHINES)
def test_a_client_boots(fleet: Fleet, server: Server, name: str) -> None:
    with fleet.take(name) as client:
        marks = client.timeline()
        print(f"\n{table({name: marks})}")
        assert set(STAGES) == set(marks)
        image = MACHINES[name].conf["DEFAULT_IMAGE"]
        current = (
            server.run(f"readlink /srv/ltsp/images/{image}/current").strip().removeprefix("generations/")
        )
        assert f"ltsp.image={image} ltsp.generation={current}" in client.console.text
        if image == "trixie":
            # An image with nothing of ours in it, so without the shell that the other tests use.
            assert "Debian GNU/Linux 13" in client.console.text
        elif image == "x86_64":
            # The server's own root: what makes it a server must not start.
            assert "LTSP network boot server daemon" not in client.console.text
            assert "FAILED" not in client.console.text
        else:
            _look_closer(client, MACHINES[name])
        _reported(server, client, MACHINES[name])


def _reported(server: Server, client: Client, machine: Machine) -> None:
    """Check what the server knows of a client that is up: all of it by the client's own reports."""
    product.wait_for_stage(server, client.mac, "login")
    told = product.client(server, client.mac)
    image = machine.conf["DEFAULT_IMAGE"]
    assert (told["Image"], told["Error"]) == (image, "")
    assert told["Generation"] in server.run(f"ls /srv/ltsp/images/{image}/generations").split()
    own = "nfsdir" if machine.conf["DEFAULT_IMAGE"] == "plain" else "nfs"
    assert told["Transport"] == machine.conf.get("ROOT_TRANSPORT", own)
    assert told["Address"].startswith("10.0.3." if machine.external else "192.168.67.")
    assert told["Hostname"] == machine.conf.get("HOSTNAME", told["Hostname"]) != ""
    if image == "x86_64":
        # Its own ssh service is known by the key that the server knows it by.
        scan = f"ssh-keyscan -T 60 -t ed25519 {told['Address']} 2>/dev/null | ssh-keygen -lf -"
        assert server.run(scan).split()[1] == told["Key"]
    page = server.run("curl -sSf http://127.0.0.1:10819/metrics")
    lines = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    values = {name: float(value) for name, _, value in lines}
    assert values['ltspd_clients{stage="login"}'] >= 1
    for mark in MARKS:
        assert values[f'ltspd_client_boot_seconds_count{{stage="{mark}"}}'] >= 1
    assert values['ltspd_client_reports_total{result="taken"}'] >= 3
    # Signed boot programs load by TFTP alone.
    assert machine.firmware == "secure" or values["ltspd_http_sent_bytes_total"] > 1_000_000
    assert values[f'ltspd_image_generations{{image="{image}"}}'] >= 1
    assert values["ltspd_up"] == 1
    if machine.conf.get("ROOT_TRANSPORT") == "nfs":
        # Nobody can speak for another machine: the kernel knows whose address it is.
        forged = "mac=52:54:00:99:99:99\\nstage=off\\nclock=1"
        wget = f"/run/initramfs/ltsp/busybox wget -q -O - --post-data \"$(printf '{forged}')\""
        answer = client.shell(f"{wget} http://{SERVER_ADDRESS}/ltsp/report 2>&1; echo")
        assert "403" in answer
        assert "52:54:00:99:99:99" not in server.run("ltspctl client list --json")
        client.shell("systemd-run --quiet --on-active=1 systemctl poweroff")
        product.wait_for_stage(server, client.mac, "off")


def _look_closer(client: Client, machine: Machine) -> None:
    """Check from inside what is true of this machine."""
    # The root takes changes, and they stay in memory.
    assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
    client.shell("touch /etc/changed /usr/changed")
    # The server's people are here, without hashes and without what a person's password could be tried on.
    assert client.shell("getent passwd alice").split(":")[2] == "1500"
    assert "$" not in client.shell("cut -d: -f2 /etc/shadow")
    assert client.shell("cat /etc/machine-id").strip() not in ("", "uninitialized")
    if transport := machine.conf.get("ROOT_TRANSPORT"):
        assert f"ltsp.root={transport}" in client.shell("cat /proc/cmdline").split()
        assert client.shell("hostname").strip() == f"pc-{transport}"
        # An image in memory needs the server no more.
        remote = re.search(r"^\S+:/\S* .* nfs4|^/dev/nbd", client.shell("cat /proc/mounts"), re.MULTILINE)
        assert (remote is None) == (transport == "http")
    if " nfs4 " in client.shell("cat /proc/mounts"):
        # No other client was taken for this one, restarted: its session of NFS is still the first.
        counts = client.shell("grep ^proc4 /proc/net/rpc/nfs").split()
        assert counts[2 + _CREATE_SESSION] == "1"
        assert client.shell("cat /sys/module/nfs/parameters/nfs4_unique_id").strip() == f"ltsp-{client.mac}"
    if machine.conf["DEFAULT_IMAGE"] == "plain":
        # It reads the chroot itself, but not what only root may read there.
        assert (
            client.shell("findmnt -n -o SOURCE /run/initramfs/ltsp/nfs").strip().endswith(":/srv/ltsp/plain")
        )
        assert "Permission denied" in client.shell("cat /run/initramfs/ltsp/nfs/etc/shadow 2>&1 || true")
        assert client.shell("stat -c %U:%G /usr/bin/passwd /etc/shadow").split() == [
            "root:root",
            "root:shadow",
        ]
    if machine.firmware != "bios":
        client.shell("test -d /sys/firmware/efi")
    if machine.firmware == "secure":
        assert "Secure boot enabled" in client.shell("dmesg")
        assert "[none]" not in client.shell("cat /sys/kernel/security/lockdown")
    if machine.external:
        assert " 10.0.3." in client.shell("ip -4 -br address")
