"""Real DHCP servers of Debian 12 and 13 with our configuration: what each kind of machine is answered."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltspd.probe.__main__ import ANSWERED, SILENT, TRANSACTION, UNASKED
from tests import REPOSITORY
from tests.lab import answers, releases
from tests.lab.answers import Answering
from tests.lab.dhcp import DISCOVER, Machine


@pytest.fixture(scope="module", params=["", releases.DEBIAN_13], ids=["here", releases.DEBIAN_13])
def dhcp(request: pytest.FixtureRequest) -> Iterator[Answering]:
    with answers.answering(request.param) as running:
        yield running


def test_where_we_give_addresses_every_machine_gets_one_and_its_file(dhcp: Answering) -> None:
    assert dhcp.told_with_an_address() == answers.every(answers.REAL)


def test_beside_another_server_only_what_can_boot_here_is_answered(dhcp: Answering) -> None:
    assert dhcp.told_beside_another() == answers.every(answers.PROXY)
    # It goes on answering, whoever has asked.
    assert dhcp.told_beside_another() == answers.every(answers.PROXY)


def test_machines_behind_a_relay_are_told_the_same(dhcp: Answering) -> None:
    assert dhcp.told_by_relay(answers.REAL) == answers.every(answers.REAL)
    assert dhcp.told_by_relay(answers.PROXY) == answers.every(answers.PROXY)


def test_machines_switched_on_together_do_not_wait_for_each_other(dhcp: Answering) -> None:
    # One after the other, with the time that trying an address takes, would be 18 s.
    assert dhcp.together(10) < 9


# ---- clients that run --------------------------------------------------------------------------------

MAC = "52:54:00:0d:ff:01"
# Prints the unit that keeps the lease, of which only the command is run here. Scripts of ltsp.img may be run.
UNIT = """run=$1/run store=$1 ltsp=$3 busybox=$4 nic=eth0 address=$2 hostname=pc1 trial=''
. "$3/client/boot/features.sh"
make_places
bring_scripts
. "$3/client/features/80-lease.sh"
chmod 755 "$store/lease"
cat "$run/systemd/system/ltsp-lease.service\""""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def lease_command(store: Path, address: str) -> list[str]:
    """Return what a client with that address runs, as client/features/80-lease.sh writes it."""
    argv = ["busybox", "sh", "-euc", UNIT, "sh", str(store), address, str(REPOSITORY)]
    argv.append(shutil.which("busybox") or "")
    unit = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    (command,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    return command.removeprefix("ExecStart=").split()


def test_a_client_renews_its_lease_and_leaves_its_card_alone(dhcp: Answering, tmp_path: Path) -> None:
    def end() -> int:
        # While dnsmasq writes the file, the lease is not in it.
        return dhcp.leases.get(MAC, (0, ""))[0]

    address = dhcp.cables[answers.REAL].lease(Machine(mac=MAC)).address
    acknowledged = f"DHCPACK({answers.REAL}) {address} {MAC}"
    with dhcp.card(MAC, f"{address}/24") as (netns, card):
        shown = ["ip", "-n", netns, "-4", "address", "show", card]
        before = subprocess.run(shown, capture_output=True, check=True).stdout
        command = ["ip", "netns", "exec", netns, *lease_command(tmp_path, address)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            until(lambda: dhcp.log.count(acknowledged) == 2)
            until(end)
            ends = end()
            time.sleep(1.5)  # the file has whole seconds
            process.send_signal(signal.SIGUSR1)  # as if half of the lease were over
            until(lambda: dhcp.log.count(acknowledged) == 3)
            until(lambda: end() > ends)
        finally:
            process.kill()
            process.wait()
        assert dhcp.leases[MAC][1] == address
        assert subprocess.run(shown, capture_output=True, check=True).stdout == before


def test_a_lease_that_was_lost_is_told(tmp_path: Path) -> None:
    script = Path(lease_command(tmp_path, "10.0.0.9")[-1])

    def said(event: str, address: str) -> str:
        environment = {"ip": address}
        # It tells its parent, which is udhcpc on a client, to give back what it got.
        argv = ["busybox", "sh", "-c", 'trap "echo released" USR2; "$0" "$1" || exit; :', str(script), event]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert said("bound", "10.0.0.9") == said("renew", "10.0.0.9") == said("deconfig", "") == ""
    lost = said("bound", "10.0.0.7")
    assert "gives this client 10.0.0.7 now; it keeps 10.0.0.9" in lost
    assert "released" in lost


# ---- whether they answer at all --------------------------------------------------------------------

ADDRESSES = {answers.REAL: "192.168.67.1", answers.PROXY: "10.0.3.2"}


def probe(dhcp: Answering, question: str) -> int:
    """Ask as the daemon has it asked, on the server itself, and return the exit status."""
    argv = ["ip", "netns", "exec", dhcp.near, sys.executable, "-m", "ltspd.probe", question]
    return subprocess.run(argv, cwd=REPOSITORY, check=False, capture_output=True).returncode


@pytest.mark.parametrize(("kind", "link"), [("real", answers.REAL), ("proxy", answers.PROXY)])
def test_a_server_answers_its_probe_and_nobody_else_notices(dhcp: Answering, kind: str, link: str) -> None:
    before = dhcp.leases
    assert probe(dhcp, f"{kind}:{link}:{ADDRESSES[link]}") == ANSWERED
    assert dhcp.leases == before
    # Nothing of it came out on the cable before the answer to who asks there.
    last = dhcp.cables[link].send(DISCOVER, dhcp.machine("BIOS"))
    assert TRANSACTION not in [of for of, _ in dhcp.cables[link].heard(last)]


@pytest.mark.parametrize(("kind", "link"), [("real", answers.REAL), ("proxy", answers.PROXY)])
def test_a_server_that_hangs_is_found_out(dhcp: Answering, kind: str, link: str) -> None:
    dhcp.processes[kind].send_signal(signal.SIGSTOP)
    try:
        assert probe(dhcp, f"{kind}:{link}:{ADDRESSES[link]}") == SILENT
    finally:
        dhcp.processes[kind].send_signal(signal.SIGCONT)
    assert probe(dhcp, f"{kind}:{link}:{ADDRESSES[link]}") == ANSWERED


def test_an_address_that_is_not_here_is_no_silence(dhcp: Answering) -> None:
    assert probe(dhcp, "proxy:lan0:10.99.0.1") == UNASKED
