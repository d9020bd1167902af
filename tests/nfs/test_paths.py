"""No path and no handle is missing for a moment while exports change, and while what serves them restarts."""

import pytest

from tests.lab import product
from tests.lab.asking import Asker
from tests.lab.machine import Machine

pytestmark = [pytest.mark.lab, pytest.mark.slow]

EXPORTS = "/etc/exports.d/ltspd.exports"


def test_generations_come_and_go(machine: Machine, asker: Asker) -> None:
    asker.goes_on("before anything")
    current = "basename $(readlink /srv/ltsp/images/bookworm/current)"
    before = machine.run(current).strip()
    machine.run("echo asked >/srv/ltsp/bookworm/usr/share/mark")
    product.build(machine, "bookworm")
    added = machine.run(current).strip()
    assert added != before
    asker.goes_on("another generation")
    machine.run(f"ltspctl image revert bookworm {before} && ltspctl image remove bookworm {added}")
    asker.goes_on("a generation less")


def test_networks_come_and_go(machine: Machine, asker: Asker) -> None:
    machine.run("ip address add 192.168.69.1/24 dev lan0")
    machine.wait_for(f"grep -q 192.168.69.0/24 {EXPORTS} && exportfs | grep -q 192.168.69.0/24")
    asker.goes_on("another network")
    # The link loses all of them for a moment.
    machine.run(
        "ip address flush dev lan0 scope global; ltspctl reload; ip address add 192.168.67.1/24 dev lan0"
    )
    asker.goes_on("no network for a moment")


def test_exports_of_the_servers_own_come_and_go(machine: Machine, asker: Asker) -> None:
    machine.run(
        "for n in 1 2 3 4 5; do echo '/usr/share *(ro)' >/etc/exports; exportfs -ra; "
        ": >/etc/exports; exportfs -ra; exportfs -f; systemctl reload nfs-server; done"
    )
    asker.goes_on("everything was exported again")


@pytest.mark.parametrize("unit", ["ltspd", "nfs-server"])
def test_a_service_restarts(machine: Machine, asker: Asker, unit: str) -> None:
    machine.run(f"systemctl restart {unit}")
    asker.goes_on(f"a restart of {unit}")


def test_the_daemon_begins_while_the_server_starts(machine: Machine, asker: Asker) -> None:
    """Who interrupts that start has the exports emptied while the kernel goes on to answer."""
    machine.write(
        "/run/systemd/system/nfs-server.service.d/lab.conf",
        "[Service]\nExecStartPost=sh -c 'until [ -e /run/go-on ]; do sleep 0.2; done'\n",
    )
    machine.run("systemctl stop ltspd; systemctl daemon-reload; systemctl --no-block restart nfs-server")
    machine.wait_for("[ $(systemctl show -P SubState nfs-server) = start-post ]")
    machine.run("systemctl start ltspd; ltspctl reload")
    asker.goes_on("the server starts still")
    assert machine.run("systemctl show -P SubState nfs-server").strip() == "start-post"
    machine.run("touch /run/go-on; rm /run/systemd/system/nfs-server.service.d/lab.conf")
    machine.run("systemctl daemon-reload; systemctl start nfs-server")
    machine.wait_for(lambda: product.outputs(machine)["nfs"]["State"] == "in-sync")
    machine.wait_for(lambda: product.outputs(machine)["nfs"]["State"] == "in-sync")
    asker.goes_on("the server has started")


def test_a_path_that_is_missing_for_a_moment_is_seen(machine: Machine, asker: Asker) -> None:
    """Show that the tests above can fail."""
    asker.goes_on("up to here")
    machine.run("exportfs -ua")
    machine.wait_for(lambda: asker.wrong)
    machine.run("exportfs -ra")
    with pytest.raises(AssertionError, match=r"REFUSED|NOENT|STALE"):
        asker.goes_on("all exports are back")
