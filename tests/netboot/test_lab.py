"""The lab proves itself: its server is a real one, its clients really boot from the network.

Nothing of the product is used here, so that a failure elsewhere is not the lab's.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import REPOSITORY
from tests.lab.client import Firmware, power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, leftovers, open_session
from tests.lab.timeline import STAGES, Mark, table
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab

_SCRIPT = """#!ipxe
echo proof-${net0/ip}-${net0/mac:hexhyp}
"""
_DNSMASQ = """
port=0
interface=lan0
bind-interfaces
user=root
dhcp-range=192.168.67.20,192.168.67.250,1h
dhcp-match=set:efi,option:client-arch,7
dhcp-match=set:efi,option:client-arch,9
dhcp-match=set:ipxe,175
dhcp-boot=tag:!efi,undionly.kpxe
dhcp-boot=tag:efi,snponly.efi
dhcp-boot=tag:ipxe,proof.ipxe
enable-tftp
tftp-root=/srv/proof
log-dhcp
"""
# Without an answer to its router solicitation, iPXE waits 16 s; this one offers neither route nor prefix.
_RADVD = (
    "interface lan0 { AdvSendAdvert on; AdvDefaultLifetime 0; MaxRtrAdvInterval 4; MinRtrAdvInterval 3; };"
)


@pytest.fixture(scope="module")
def bare() -> Iterator[tuple[Session, Server]]:
    """Boot a server without the product, with a DHCP and TFTP server written by hand."""
    with open_session() as session:
        lan = make_lan(session, external=True)
        server = start_server(session, lan, install=False)
        server.run(
            "mkdir -p /srv/proof && cp /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/snponly.efi /srv/proof"
        )
        server.write("/srv/proof/proof.ipxe", _SCRIPT)
        server.write("/etc/proof.conf", _DNSMASQ)
        server.write("/etc/radvd.conf", _RADVD)
        server.run("sysctl -q -w net.ipv6.conf.all.forwarding=1; systemctl restart radvd")
        server.run(
            "systemd-run --quiet --unit=proof dnsmasq --keep-in-foreground --conf-file=/etc/proof.conf"
        )
        server.wait_for("systemctl is-active proof")
        yield session, server


def test_the_server_has_a_real_systemd_bus_and_polkit(bare: tuple[Session, Server]) -> None:
    _, server = bare
    assert server.run("cat /proc/1/comm").strip() == "systemd"
    assert "192.168.67.1/24" in server.run("ip -br -4 address show lan0")
    ping = "busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority"
    server.run(f"{ping} org.freedesktop.DBus.Peer Ping")
    actions = "org.freedesktop.PolicyKit1.Authority EnumerateActions s C"
    reply = server.run(f"busctl --json=short call org.freedesktop.PolicyKit1 {ping.split()[-1]} {actions}")
    assert "org.freedesktop.systemd1.manage-units" in {action[0] for action in json.loads(reply)["data"][0]}


def test_the_server_can_mount_and_attach_loop_devices(bare: tuple[Session, Server]) -> None:
    _, server = bare
    server.run("mkdir -p /tmp/tree /tmp/mounted && echo inside > /tmp/tree/file")
    server.run("mksquashfs /tmp/tree /tmp/image -quiet -no-progress")
    try:
        assert server.run("mount -o loop,ro /tmp/image /tmp/mounted; cat /tmp/mounted/file") == "inside\n"
    finally:
        server.run("umount /tmp/mounted")
    assert "/tmp/image" not in server.run("losetup --list")


def test_a_failing_or_hanging_command_is_told(bare: tuple[Session, Server]) -> None:
    _, server = bare
    with pytest.raises(RuntimeError, match="ended with 3: why"):
        server.run("echo why; exit 3")
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"took over 0\.5 s"):
        server.run("exec sleep 98765", timeout=0.5)
    assert time.monotonic() - began < PATIENCE
    assert "98765" not in server.run("ps ax -o args | grep '[9]8765' || :")


def test_a_server_that_does_not_come_up_leaves_the_network_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Server, condition: object, timeout: float = 0.0) -> None:
        raise TimeoutError(f"still not: {condition}")

    monkeypatch.setattr(Server, "wait_for", never)
    with open_session() as session:
        lan = make_lan(session)
        with pytest.raises(TimeoutError):
            start_server(session, lan, install=False)
        # The kernel ends what is left in the container a moment after its first process.
        deadline = time.monotonic() + PATIENCE
        while left := [each for each in leftovers(session.name) if each.startswith("process")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@pytest.mark.slow
def test_a_bios_and_a_uefi_client_boot_over_the_lan(bare: tuple[Session, Server]) -> None:
    session, server = bare

    def boot(firmware: Firmware) -> dict[str, Mark]:
        client = power_on(session, server.lan, firmware, mac=f"52:54:00:67:aa:{firmware == 'uefi':02x}")
        try:
            seen = client.expect(rf"proof-(192\.168\.67\.\d+)-{client.mac.replace(':', '-')}")
            assert f"DHCPACK(lan0) {seen.groups[0]} {client.mac}" in server.journal("proof")
            assert client.traffic().bytes_in > client.marks["menu"].received
            return client.timeline()
        finally:
            client.off()

    with ThreadPoolExecutor(2) as pool:
        bios, uefi = pool.map(boot, ("bios", "uefi"))
    print(table({"bios": bios, "uefi": uefi}))
    for marks in (bios, uefi):
        assert list(marks) == list(STAGES)[:2]
        assert 0 < marks["firmware"].seconds < marks["menu"].seconds
    # A PC's firmware is iPXE already and is sent the script; UEFI is sent a boot program first.
    assert bios["menu"].received < 1000
    assert uefi["menu"].received > 100_000


@pytest.mark.slow
def test_the_second_network_has_a_router_of_its_own(bare: tuple[Session, Server]) -> None:
    session, server = bare
    client = power_on(session, server.lan, external=True)
    try:
        client.expect(r"Configuring[^\n]*ok")
        # Its DHCP server names no boot file, so the client must give up; and our LAN must not have answered.
        client.expect(r"Nothing to boot|No more network devices|No bootable device")
    finally:
        client.off()
    assert client.mac in (session.logs / "router.log").read_text()
    assert client.mac not in server.journal("proof")


_RUN = """
import sys, time
from tests.lab.client import power_on
from tests.lab.net import make_lan
from tests.lab.server import start_server
from tests.lab.session import open_session
with open_session() as session:
    lan = make_lan(session)
    server = start_server(session, lan, install=False)
    client = power_on(session, lan)
    server.run("for file in /srv/ltsp/a /b; do truncate -s 1M $file; losetup -f $file; done")
    print(session.name, flush=True)
    time.sleep(6000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_leaves_nothing_behind_however_it_ends(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    try:
        kinds = {line.split()[0] for line in leftovers(name)}
        assert kinds == {"network", "directory", "control", "mount", "loop", "process"}
        assert sum(line.startswith("loop") for line in leftovers(name)) == 2
        ours = {line.split()[2] for line in leftovers(name) if line.startswith("loop")}
        attached = {row for row in _loop_devices() if row.split()[0] in ours}
    finally:
        os.kill(process.pid, number)
        process.wait(PATIENCE)
        process.stdout.close()
    if number == signal.SIGKILL:
        # Nobody could clean up; its programs must be gone all the same, the rest goes with the next run.
        deadline = time.monotonic() + PATIENCE
        while (left := leftovers(name)) and time.monotonic() < deadline:
            if not any(line.startswith("process") for line in left):
                break
            time.sleep(0.1)
        assert not any(line.startswith("process") for line in leftovers(name))
        with open_session():
            pass
    assert leftovers(name) == []
    # The same device with another file is somebody else's.
    assert not attached & _loop_devices()


def _loop_devices() -> set[str]:
    command = ["losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-INO"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
