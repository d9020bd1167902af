"""What no output needs any more, with real units: programs, links and servers that go, and come back."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import nbd, product
from tests.lab.net import SERVER_ADDRESS
from tests.lab.product import outputs, settled
from tests.lab.server import Server
from tests.lab.units import UNITS, cursor, said, transient

pytestmark = pytest.mark.lab

OUT = "/var/lib/ltspd/outputs"
# Of the word "secret".
HASH = "grub.pbkdf2.sha512.1000.9EB00A670394F4DB.E6D2691536BE685818AD8A45EA9DC2EC"
# The kernel's NFS server as far as systemd sees it, for this kernel has none: it needs port 2049, and can't
# start while that is taken.
NFS_SERVER = """[Service]
Type=notify
NotifyAccess=all
ExecStart=python3 -c "import os, socket, time; s = socket.create_server(('', 2049)); \\
    os.system('systemd-notify --ready'); time.sleep(3600)"
ExecReload=/bin/sh -c "ls /etc/exports.d >/run/exported"
"""
# An NBD client that has connected, and reads once it is told to.
READ_LATER = """import os, time
open("/run/connected", "w").close()
while not os.path.exists("/run/go"):
    time.sleep(0.1)
print(read(7).decode())
"""


@pytest.fixture(scope="module")
def built(server: Server) -> str:
    """Build the image `bookworm` and return its layer's digest."""
    product.build(server, "bookworm")
    server.wait_for("systemctl is-active --quiet ltspd-nbd.socket")
    return server.run("head -n 1 /srv/ltsp/images/bookworm/current/layers").split()[0]


@contextmanager
def without(server: Server, *programs: str) -> Iterator[None]:
    """Take programs away for a while, as removing their packages does."""
    moves = [(each, f"{each}.away") for each in programs]
    server.run("; ".join(f"mv {here} {away}" for here, away in moves) + "; ltspctl reload")
    try:
        yield
    finally:
        server.run("; ".join(f"mv {away} {here}" for here, away in moves) + "; ltspctl reload")


def active(server: Server, *units: str) -> list[str]:
    return server.run(f"systemctl is-active {' '.join(units)}", check=False).split()


def files(server: Server) -> set[str]:
    return set(server.run(f"find {OUT} -type f -printf '%f '").split())


def test_what_a_removed_program_served_goes_and_who_reads_goes_on(server: Server, built: str) -> None:
    settled(server)
    server.write("/run/read.py", f"{nbd.CLIENT}{READ_LATER}")
    output = "-p StandardOutput=file:/run/read"
    server.run(f"systemd-run --quiet --collect --unit=reading {output} python3 /run/read.py {built}")
    server.wait_for("[ -e /run/connected ]")
    with without(server, "/usr/bin/nbd-server", "/usr/sbin/radvd"):
        assert active(server, "ltspd-nbd.socket", "ltspd-radvd") == ["inactive", "inactive"]
        assert not files(server) & {"nbd-server.conf", "radvd.conf"}
        assert "ltspd" not in server.run("systemctl list-units --failed --plain --no-legend")
        assert "10809" not in server.run("ss -ltn")
        assert {name: each["State"] for name, each in outputs(server).items()}["http"] == "in-sync"
        # The client that was reading has its process, and ends as it wants.
        server.run("touch /run/go")
        server.wait_for("! systemctl is-active --quiet reading")
        assert server.run("cat /run/read").strip() == "hsqs"
    settled(server)
    assert active(server, "ltspd-nbd.socket", "ltspd-radvd") == ["active", "active"]
    assert files(server) >= {"nbd-server.conf", "radvd.conf"}


def test_a_client_that_reads_nothing_delays_no_shutdown(server: Server, built: str) -> None:
    settled(server)
    server.run("rm -f /run/go /run/connected")
    server.write("/run/read.py", f"{nbd.CLIENT}{READ_LATER}")
    with transient(server, "reading", f"python3 /run/read.py {built}"):
        server.wait_for("[ -e /run/connected ]")
        began = cursor(server)
        server.run("systemctl stop 'ltspd-nbd@*.service'")
        told = said(server, began, "'ltspd-nbd@*.service'")
        assert "Stopped" in told
        assert "timed out" not in told
    settled(server)


def test_without_a_link_all_units_rest_and_their_files_are_gone(server: Server, built: str) -> None:
    settled(server)
    units = UNITS.split()
    assert set(active(server, *units)) == {"active"}
    with product.configured(server, {"server": {"DHCP_LINKS": "ext0=off"}}):
        try:
            server.run("ip link set lan0 down")
            server.wait_for(lambda: set(active(server, *units)) == {"inactive"})
            server.wait_for(lambda: files(server) == set())
        finally:
            server.run("ip link set lan0 up")
    settled(server)
    assert set(active(server, *units)) == {"active"}
    server.run(f"curl -sSf -o /dev/null http://{SERVER_ADDRESS}/ltsp/ltsp.ipxe")


def test_what_a_release_does_not_know_any_more_is_stopped_undone_and_removed(server: Server) -> None:
    """As after an upgrade that brings one service less: also the file of its unit is gone."""
    settled(server)
    unit, place, mark = "ltspd-old.service", f"{OUT}/old.conf", "/run/ltspd/old-in-force"
    server.write(f"/run/systemd/system/{unit}", "[Service]\nExecStart=sleep infinity\n")
    server.write(place, "old\n")
    server.run(
        f"systemctl daemon-reload; systemctl start {unit}; touch {mark}; systemctl stop ltspd; "
        f"rm /run/systemd/system/{unit}; systemctl daemon-reload"
    )
    assert active(server, unit) == ["active"]
    record = json.loads(server.run("cat /var/lib/ltspd/outputs.json"))
    undo = f"old: rm -f {mark}"
    record["files"][place] = hashlib.sha256(b"old\n").hexdigest()
    record["units"][unit], record["commands"][undo] = "", f"touch {mark}"
    record["owners"] |= dict.fromkeys((place, unit, undo), "old")
    server.write("/var/lib/ltspd/outputs.json", json.dumps(record))
    server.run("systemctl start ltspd")
    settled(server)
    assert active(server, unit) == ["inactive"]
    assert server.run(f"ls {place} {mark} 2>/dev/null", check=False) == ""
    assert "old" not in server.run("cat /var/lib/ltspd/outputs.json")


def test_the_menu_s_password_is_read_by_the_gateway_and_by_no_other_user(server: Server) -> None:
    settled(server)
    table = f"{OUT}/gateway.json"
    # As an earlier release left it.
    server.run(f"chmod 644 {table}; chgrp root {table}")
    with product.configured(server, {"server": {"MENU_PASSWORD": HASH, "MENU_SHELL": "1"}}):
        settled(server)
        found = server.run(f"grep -c {HASH} {table}; stat -c '%A %U %G' {table}").splitlines()
        assert found == ["1", "-rw-r----- root ltspd-gateway"]
        # The gateway asks for the password, so it has read it.
        asked = "curl -sS -m 60 -o /dev/null -w %{http_code} -u admin:"
        url = f"'http://{SERVER_ADDRESS}/ltsp/boot?mac=52:54:00:00:00:01&ip=&hostname=&start=shell'"
        assert server.run(f"{asked}wrong {url}") == "401"
        # Who has it gets the menu, or is told that there is no image.
        assert server.run(f"{asked}secret {url}") in ("200", "404")
        server.run("systemctl restart ltspd-gateway")
        assert server.run(f"{asked}secret {url}") in ("200", "404")
        # Nobody finds a hash or a private key in what is ours, but where machines fetch their menus.
        places = "/var/lib/ltspd /var/cache/ltspd /run/ltspd /srv/ltsp /srv/tftp /etc/systemd"
        words = f"-e '{HASH[-32:]}' -e 'PRIVATE KEY-----'"
        read = f"setpriv --reuid=65534 --regid=65534 --clear-groups grep -rlsI {words} {places}"
        assert set(server.run(read, check=False).split()) <= {"/srv/tftp/grub/grub.cfg"}


def test_one_nfs_server_after_the_other(server: Server) -> None:
    settled(server)
    assert active(server, "ltspd-nfs") == ["active"]
    release = server.run("uname -r").strip()
    modules = f"/lib/modules/{release}/modules.dep"
    server.write("/run/systemd/system/nfs-server.service", NFS_SERVER)
    try:
        server.write(modules, "kernel/fs/nfsd/nfsd.ko:\n")
        server.write("/usr/local/sbin/exportfs", "#!/bin/sh\n")
        server.run("chmod +x /usr/local/sbin/exportfs; systemctl daemon-reload")
        # As its package does when it is installed; ganesha has the port.
        server.run("systemctl start nfs-server", check=False)
        assert active(server, "nfs-server") == ["failed"]
        server.run("ltspctl reload")
        settled(server)
        assert active(server, "ltspd-nfs", "nfs-server") == ["inactive", "active"]
        assert server.run("ls /etc/exports.d").split() == ["ltspd.exports"]
        assert "ganesha.conf" not in files(server)

        server.run(f"rm {modules} /usr/local/sbin/exportfs; ltspctl reload", check=False)
        assert server.run("ls /etc/exports.d").split() == []
        # It goes on while its package is there, and knows that nothing of ours is exported any more.
        assert server.run("cat /run/exported").split() == []
        held = "port 2049/tcp is held by python3"
        server.wait_for(lambda: held in outputs(server)["nfs"]["Message"], 40)
        server.run("systemctl stop nfs-server")
        server.run("ltspctl apply")
        assert active(server, "ltspd-nfs", "nfs-server") == ["active", "inactive"]
    finally:
        server.run(
            f"rm -f {modules} /usr/local/sbin/exportfs /run/systemd/system/nfs-server.service; "
            "systemctl stop nfs-server; systemctl daemon-reload; systemctl reset-failed; ltspctl apply",
            check=False,
        )
    settled(server)
