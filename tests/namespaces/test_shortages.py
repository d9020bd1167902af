"""Full disks and queues that overflow: nothing is lost but time, and it mends itself when there is room."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import product
from tests.lab.apt import APT, MAKE
from tests.lab.product import image, outputs, problems, serves, settled
from tests.lab.server import Server
from tests.lab.units import cursor, said, show

pytestmark = pytest.mark.lab

# Adds and takes away an address so often that no socket's buffer holds the messages.
ADDRESSES = """for n in $(seq 1500); do
    echo "address add 10.99.$((n / 250)).$((n % 250 + 1))/32 dev lan0"
    echo "address del 10.99.$((n / 250)).$((n % 250 + 1))/32 dev lan0"
done | ip -batch -
"""
# Two files in turn, because the kernel joins equal events that follow each other.
TOUCH = """import os
for _ in range(10000):
    os.utime("/srv/ltsp/one")
    os.utime("/srv/ltsp/two")
"""


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Stop the daemon's process for a while, as a busy machine does."""
    server.run("systemctl kill --signal=STOP ltspd")
    try:
        yield
    finally:
        server.run("systemctl kill --signal=CONT ltspd")


@contextmanager
def replaced(server: Server, directory: str, mount: str) -> Iterator[None]:
    """Put another file system in the place of a directory, with what was in it; the daemon is restarted."""
    server.run(f"systemctl stop ltspd; rm -rf /var/tmp/aside; cp -a {directory} /var/tmp/aside")
    try:
        server.run(f"{mount} {directory} && cp -a /var/tmp/aside/. {directory}/ && systemctl start ltspd")
        product.wait_until_up(server)
        yield
    finally:
        server.run(
            f"systemctl stop ltspd; umount --lazy {directory}; rm -rf /var/tmp/aside; systemctl start ltspd",
            check=False,
        )
        product.wait_until_up(server)


def fill(server: Server, path: str) -> None:
    server.run(f"dd if=/dev/zero of={path} bs=4k 2>/dev/null || :; ! echo x 2>/dev/null >{path}.more")


def told(server: Server, words: str) -> str:
    """Wait for a problem with these words, and return it."""
    server.wait_for(lambda: any(words in each for each in problems(server)))
    return next(each for each in problems(server) if words in each)


def test_no_room_for_outputs(server: Server) -> None:
    settled(server)
    with replaced(server, "/var/lib/ltspd", "mount -t tmpfs -o size=1m,mode=755 none"):
        settled(server)
        fill(server, "/var/lib/ltspd/filler")
        conf = server.path("/etc/ltsp/ltsp.conf").read_text()
        try:
            server.write("/etc/ltsp/ltsp.conf", conf + "\n[server]\nDHCP_LEASE=7h\n")
            problem = told(server, "no space is left")
            assert "the last good one stays" in problem
            assert "/var/lib/ltspd/" in problem
            failed = [name for name, each in outputs(server).items() if each["State"] == "failed"]
            assert failed
            serves(server)
            refused = server.run("ltspctl apply 2>&1; echo $?")
            assert "no space is left" in refused
            daemon = show(server, "MainPID")
            server.run("rm /var/lib/ltspd/filler*")
            server.wait_for(lambda: product.status(server)["State"] == "in-sync")
            assert show(server, "MainPID") == daemon
            assert "25200" in server.run("cat /var/lib/ltspd/outputs/dnsmasq.conf")
        finally:
            server.write("/etc/ltsp/ltsp.conf", conf)
        settled(server)
    settled(server)


def test_no_room_for_what_may_vanish(server: Server) -> None:
    """Of /run, only the daemon's directory is small here: a full one stops systemd itself."""
    settled(server)
    mount = "mount -t tmpfs -o size=256k,nr_inodes=200,mode=755 none"
    with replaced(server, "/run/ltspd", mount):
        settled(server)
        server.run("for n in $(seq 300); do touch /run/ltspd/$n 2>/dev/null || break; done")
        conf = server.path("/etc/ltsp/ltsp.conf").read_text()
        try:
            server.write("/etc/ltsp/ltsp.conf", conf + "\n[server]\nDHCP_LEASE=6h\n")
            assert "/run/ltspd" in told(server, "no space is left")
            said_of_build = server.run("ltspctl image build trixie 2>&1; echo $?")
            assert "no space is left" in said_of_build or "No space" in said_of_build
            assert "unforeseen" not in said_of_build
            serves(server)
            # A start sweeps what killed builds left, which takes locks there.
            server.run("systemctl restart ltspd")
            product.wait_until_up(server)
            server.run("rm -f /run/ltspd/[0-9]*")
            server.wait_for(lambda: product.status(server)["State"] == "in-sync")
        finally:
            server.write("/etc/ltsp/ltsp.conf", conf)
    settled(server)


def test_no_room_for_images(server: Server) -> None:
    settled(server)
    make = "truncate -s 900M /var/tmp/store; mkfs.ext4 -q -F /var/tmp/store; mount -o loop /var/tmp/store"
    try:
        server.run("mkdir -p /srv/ltsp/aside; mv /srv/ltsp/images/* /srv/ltsp/aside/", check=False)
        with replaced(server, "/srv/ltsp/images", make):
            server.run("chmod 755 /srv/ltsp/images; rmdir /srv/ltsp/images/lost+found")
            fill(server, "/srv/ltsp/images/filler")
            refused = server.run("ltspctl image build bookworm 2>&1; echo $?")
            assert "are free there" in refused
            server.run("rm /srv/ltsp/images/filler*")
            product.build(server, "bookworm")
            current = image(server, "bookworm")["Current"]
            product.configure(server, {"server": {"AUTO_REBUILD": "1"}})
            fill(server, "/srv/ltsp/images/filler")
            # A new package: the image is out of date, and there is no room for a layer.
            server.run("sh -s 7", stdin=MAKE)
            server.run("cp /run/lab-nothing_7.deb /srv/ltsp/bookworm/tmp/")
            server.run("chroot /srv/ltsp/bookworm dpkg -i /tmp/lab-nothing_7.deb")
            problem = told(server, "couldn't be rebuilt by itself")
            assert problem.startswith("image bookworm: It is out of date")
            assert image(server, "bookworm")["Current"] == current
            jobs = server.run("ltspctl job list --json").count('"Id"')
            product.looked_again(server)
            assert server.run("ltspctl job list --json").count('"Id"') == jobs, "not tried without room"
            server.run("rm /srv/ltsp/images/filler*")
            server.wait_for(lambda: image(server, "bookworm")["Current"] not in ("", current))
            settled(server)
    finally:
        server.conf.pop("server", None)
        server.run(
            "rm -f /var/tmp/store; mv /srv/ltsp/aside/* /srv/ltsp/images/; rmdir /srv/ltsp/aside", check=False
        )
        server.run("chroot /srv/ltsp/bookworm dpkg --purge lab-nothing; rm -rf /run/pkg", check=False)
        server.run(f"rm -f /run/lab-nothing_*; {APT} --version >/dev/null; ltspctl apply", check=False)
        product.configure(server, {})
    settled(server)


def test_more_changes_of_the_network_than_the_kernel_keeps(server: Server) -> None:
    settled(server)
    configuration = server.path("/var/lib/ltspd/outputs/proxy-dhcp.conf")
    pid = show(server, "MainPID")
    drops = f"awk '$3 == {pid} {{ n += $9 }} END {{ print n + 0 }}' /proc/net/netlink"
    before = int(server.run(drops))
    try:
        with stopped(server):
            server.run("bash -s", stdin=ADDRESSES)
            assert int(server.run(drops)) > before, "nothing was lost, so nothing was tried"
            server.run("ip link add br9 type bridge; ip address add 10.9.0.1/24 dev br9; ip link set br9 up")
        server.wait_for(lambda: "10.9.0.0,proxy" in configuration.read_text())
        # And under way: passes look at a network that changes while they do.
        server.run("bash -s", stdin=ADDRESSES)
    finally:
        server.run("ip link delete br9", check=False)
    server.wait_for(lambda: "10.9.0.0" not in configuration.read_text())
    settled(server)
    assert show(server, "MainPID") == pid


def test_more_changes_of_files_than_the_kernel_keeps(server: Server) -> None:
    settled(server)
    pid, began = show(server, "MainPID"), cursor(server)
    conf = server.path("/etc/ltsp/ltsp.conf").read_text()
    try:
        with stopped(server):
            server.run("touch /srv/ltsp/one /srv/ltsp/two; python3 -", stdin=TOUCH)
            # The queue is full by now: this change's own event is among the lost ones.
            server.write("/etc/ltsp/ltsp.conf", conf + "\n[server]\nDHCP_LEASE=9h\n")
        server.wait_for("grep -q 32400 /var/lib/ltspd/outputs/dnsmasq.conf")
    finally:
        server.write("/etc/ltsp/ltsp.conf", conf)
        server.run("rm -f /srv/ltsp/one /srv/ltsp/two")
    settled(server)
    assert show(server, "MainPID") == pid
    assert "Traceback" not in said(server, began)
