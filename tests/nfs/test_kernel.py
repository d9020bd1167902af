"""Roots and homes by the kernel's NFS server, while exports change and daemons restart: no client notices."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import Client
from tests.lab.homes import ends, goes_on, person, write
from tests.lab.machine import Machine
from tests.lab.reading import reading, reads_on

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f3:01"
EXPORTS = "/etc/exports.d/ltspd.exports"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Iterator[Client]:
    """Boot a client that reads its root all the time."""
    with reading(machine, "reader", MAC, "nfs") as client:
        yield client


def generations(machine: Machine) -> list[str]:
    return machine.run("ls /srv/ltsp/images/bookworm/generations").split()


def test_root_and_home_come_from_the_kernel(machine: Machine, client: Client) -> None:
    assert machine.run("cat /proc/fs/nfsd/threads").strip() != "0"
    assert machine.run("systemctl is-active ltspd-nfs ltspd-homes", check=False).split() == ["inactive"] * 2
    mounts = client.shell("grep ' nfs4 ' /proc/mounts")
    assert "192.168.67.1:/srv/ltsp/images /" in mounts
    assert "192.168.67.1:/home /home " in mounts
    reads_on(machine, client, "before anything")


def test_builds_reverts_and_removals_are_not_noticed(machine: Machine, client: Client) -> None:
    booted = client.shell("cat /proc/cmdline").split("ltsp.generation=")[1].split()[0]
    (unused,) = [each for each in generations(machine) if each != booted]
    machine.run("echo new >/srv/ltsp/bookworm/usr/share/mark")
    product.build(machine, "bookworm")
    reads_on(machine, client, "a new generation")
    with pytest.raises(RuntimeError, match="in use"):
        machine.run(f"ltspctl image remove bookworm {booted}")
    machine.run("ltspctl image revert bookworm")
    reads_on(machine, client, "a revert")
    machine.run(f"ltspctl image remove bookworm {unused}")
    assert unused not in generations(machine)
    reads_on(machine, client, "a generation less")


def test_exports_come_and_go_beside_those_in_use(machine: Machine, client: Client) -> None:
    # The link gets another address, for another network, which the server then serves instead.
    machine.run("ip address add 192.168.68.1/24 dev lan0")
    machine.wait_for(f"grep -q 192.168.68.0/24 {EXPORTS} && exportfs | grep -q 192.168.68.0/24")
    reads_on(machine, client, "another network")
    # It loses all of them for a moment.
    machine.run(
        "ip address flush dev lan0 scope global; ltspctl reload; ip address add 192.168.67.1/24 dev lan0"
    )
    reads_on(machine, client, "no network for a moment")
    # A chroot that clients read itself is an export of its own.
    machine.run("cp -a /srv/ltsp/bookworm /srv/ltsp/plain")
    product.build(machine, "plain", "--direct")
    machine.wait_for("exportfs | grep -q ^/srv/ltsp/plain")
    reads_on(machine, client, "an export more")
    machine.run("exportfs -ra; exportfs -ra")
    reads_on(machine, client, "everything exported again")


@pytest.mark.parametrize("unit", ["ltspd", "nfs-server"])
def test_restarts_are_waited_out_by_roots_and_homes(machine: Machine, client: Client, unit: str) -> None:
    write(client)
    goes_on(machine, client)
    machine.run(f"systemctl restart {unit}")
    goes_on(machine, client)
    reads_on(machine, client, f"a restart of {unit}")
    ends(machine, client)


def test_a_person_works_in_the_home_and_nobody_else_does(machine: Machine, client: Client) -> None:
    client.shell(person("alice", "echo text >file; chmod 600 file; ln file other; mkdir -m 2770 shared"))
    told = machine.run("stat -c '%u %g %a %h' /home/alice/file /home/alice/shared; cat /home/alice/file")
    assert told.splitlines() == ["1500 1500 600 2", "1500 1500 2770 2", "text"]
    options = "vers=4.1,addr=192.168.67.1"
    for command in (
        "cat /home/alice/file",
        "echo x >/home/by-root",
        person("bob", "cat /home/alice/file"),
        person("bob", "echo x >/home/alice/by-bob"),
        f"mount -t nfs4 -o noresvport,{options} 192.168.67.1:/home /mnt && ls /mnt",
        f"mount -t nfs4 -o {options} 192.168.67.1:/etc /mnt",
    ):
        with pytest.raises(RuntimeError, match=r"denied|not permitted|No such file|not exist|Stale"):
            client.shell(command)
    assert machine.run("ls -A /home").split() == ["alice", "bob"]
