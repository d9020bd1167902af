"""What the daemon and its services need goes away and comes back; docs/troubleshooting.md says what happens.

The machine's clients are served all the while, but for the one service that was ended.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import product
from tests.lab.net import EXTERNAL_ADDRESS, SERVER_ADDRESS
from tests.lab.product import FETCH_FILES, outputs, problems, serves, settled
from tests.lab.server import Server
from tests.lab.units import UNITS, cursor, said, show, transient

pytestmark = pytest.mark.lab

NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
# Asks the daemon as root, one call after the other, and prints how long the slowest took.
CALLS = """import sys, time
sys.path.insert(0, "/usr/lib/ltspd")
from ltspd.dbus.caller import Client
client, worst = Client(), 0.0
for _ in range(int(sys.argv[1])):
    began = time.monotonic()
    client.call("/org/ltsp/Server1", "org.ltsp.Server1.Manager", "CheckConfig")
    worst = max(worst, time.monotonic() - began)
print(worst)
"""
BUSY_WEB = """import http.client, sys
line = http.client.HTTPConnection(sys.argv[1], 80, timeout=600)
for _ in range(int(sys.argv[2])):
    line.request("GET", "/ltsp/ltsp.ipxe")
    assert len(line.getresponse().read()) > 100
"""
# Has an address that the server has not, or not yet (ip(7), IP_FREEBIND is 15).
TAKER = """import socket, sys, time
sock = socket.socket()
sock.setsockopt(socket.IPPROTO_IP, 15, 1)
sock.bind((sys.argv[1], 80))
sock.listen()
time.sleep(3600)
"""
# systemd's own limit for a socket is 200 connections in 2 s.
CONNECT = """import socket
for _ in range(220):
    socket.create_connection(("127.0.0.1", 10809), 30).close()
"""


@contextmanager
def drop_in(server: Server, unit: str, text: str) -> Iterator[None]:
    path = f"/run/systemd/system/{unit}.d/failing.conf"
    server.write(path, text)
    server.run("systemctl daemon-reload")
    try:
        yield
    finally:
        server.run(f"rm -f {path}; systemctl daemon-reload; systemctl reset-failed {unit}", check=False)


def test_the_bus_goes_and_comes_back(server: Server) -> None:
    settled(server)
    running, began = server.run(f"systemctl show -P InvocationID {UNITS}"), cursor(server)
    # The daemon's own start would bring the bus back.
    server.run("systemctl mask --runtime dbus.socket dbus.service")
    try:
        server.run("systemctl stop dbus.socket dbus.service")
        # Longer than systemd's own limit of starts would bear.
        server.wait_for("[ $(systemctl show -P NRestarts ltspd) -ge 7 ]")
        serves(server)
        log = said(server, began)
        assert "The connection to the bus ended" in log
        assert "Can't connect to the system bus" in log
        assert "Traceback" not in log
    finally:
        server.run("systemctl unmask --runtime dbus.socket dbus.service")
        server.run("systemctl start dbus.socket dbus.service; systemctl restart systemd-logind")
    product.wait_until_up(server)
    settled(server)
    assert server.run(f"systemctl show -P InvocationID {UNITS}") == running


def test_the_bus_is_restarted(server: Server) -> None:
    settled(server)
    running, daemon = server.run(f"systemctl show -P InvocationID {UNITS}"), show(server, "InvocationID")
    server.run("systemctl restart dbus; systemctl restart systemd-logind")
    server.wait_for(lambda: show(server, "InvocationID") != daemon)
    product.wait_until_up(server)
    settled(server)
    assert server.run(f"systemctl show -P InvocationID {UNITS}") == running


def test_systemd_executes_itself_anew(server: Server) -> None:
    """As an upgrade of its package does: it comes back over another connection of the bus."""
    settled(server)
    # DHCP tells firmware that boots by HTTP the port, so it begins anew.
    others = UNITS.replace("ltspd-dnsmasq ", "")
    running, daemon = server.run(f"systemctl show -P InvocationID {others}"), show(server, "InvocationID")
    server.run("systemctl daemon-reexec")
    # It is asked to reload the gateway, and to restart nothing: no other port is part of what DHCP answers.
    with product.configured(server, {"server": {"METRICS_PORT": "9109"}}):
        server.wait_for("curl -sSf -m 600 -o /dev/null http://127.0.0.1:9109/metrics")
        settled(server)
    settled(server)
    assert server.run(f"systemctl show -P InvocationID {others}") == running
    assert show(server, "InvocationID") == daemon


def test_a_systemd_that_says_nothing_ends_and_blames_no_service(server: Server) -> None:
    settled(server)
    running = server.run(f"systemctl show -P InvocationID {UNITS}")
    os.kill(server.leader, signal.SIGSTOP)
    try:
        server.run("ltspctl reload")
        server.run("bash -s", stdin=FETCH_FILES)
        # On a busy machine the command answers before the daemon has given systemd up.
        server.wait_for(
            lambda: (
                {each["State"] for each in outputs(server).values() if each["Unit"]}
                <= {"pending", "disabled"}
            )
        )
        assert problems(server) == []
        told = outputs(server)["tftp"]["Message"]
        assert "systemd does not say how ltspd-tftp.service is" in told
    finally:
        os.kill(server.leader, signal.SIGCONT)
    settled(server)
    assert server.run(f"systemctl show -P InvocationID {UNITS}") == running


def test_without_polkit_root_works_and_others_are_told(server: Server) -> None:
    settled(server)
    server.run("systemctl mask --runtime polkit; systemctl stop polkit")
    try:
        server.run("ltspctl reload")
        refused = server.run(f"{NOBODY} ltspctl reload 2>&1; echo $?")
        assert refused.rstrip().endswith("\n3"), refused
        assert "polkit" in refused
        server.run(f"{NOBODY} ltspctl status")
    finally:
        server.run("systemctl unmask --runtime polkit; systemctl start polkit")
    server.run("ltspctl reload")


def test_a_polkit_that_hangs_holds_nobody_up_for_long(server: Server) -> None:
    settled(server)
    server.run("systemctl start polkit && systemctl kill --signal=STOP polkit")
    try:
        began = time.monotonic()
        refused = server.run(f"{NOBODY} ltspctl reload 2>&1; echo $?")
        assert refused.rstrip().endswith("\n3"), refused
        assert "polkit could not decide" in refused
        assert time.monotonic() - began > 5
        server.run(f"ltspctl reload && {NOBODY} ltspctl status")
    finally:
        server.run("systemctl kill --signal=CONT polkit")


def test_a_journal_that_takes_nothing_stops_nobody(server: Server) -> None:
    settled(server)
    server.write("/run/calls.py", CALLS)
    server.write("/run/busy-web.py", BUSY_WEB)
    daemon, began = show(server, "MainPID"), cursor(server)
    server.run("systemctl kill --signal=STOP systemd-journald")
    try:
        # More lines of each than any socket holds.
        worst = float(server.run("python3 /run/calls.py 1500"))
        assert worst < 5
        server.run(f"python3 /run/busy-web.py {SERVER_ADDRESS} 4000")
        fetch = f"curl -sSf -m 600 -o /dev/null tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe"
        server.run(f"for n in $(seq 600); do {fetch} || exit; done")
        serves(server)
        server.run("ltspctl reload")
    finally:
        server.run("systemctl kill --signal=CONT systemd-journald; rm -f /run/calls.py /run/busy-web.py")
    assert show(server, "MainPID") == daemon
    # What was said meanwhile is told now: nothing of it was lost, or the loss has a line.
    server.wait_for(lambda: "CheckConfig" in said(server, began) or "configure (" in said(server, began))
    settled(server)


def test_services_that_are_killed_come_back_and_are_told_meanwhile(server: Server) -> None:
    settled(server)
    names = {"dhcp": "ltspd-dnsmasq", "tftp": "ltspd-tftp", "http": "ltspd-gateway", "nfs": "ltspd-nfs"}
    names["router-advertisements"] = "ltspd-radvd"
    units = " ".join(names.values())

    def killed() -> dict[str, str]:
        pids = {unit: show(server, "MainPID", unit) for unit in names.values()}
        server.run(f"kill -KILL {' '.join(pids.values())}")
        return pids

    # They stay away until all of them were seen.
    for unit in names.values():
        server.write(f"/run/systemd/system/{unit}.service.d/away.conf", "[Service]\nRestartSec=3600\n")
    server.run("systemctl daemon-reload")
    try:
        killed()
        server.wait_for(lambda: len([each for each in problems(server) if "ended (signal)" in each]) == 5)
        for name, unit in names.items():
            (told,) = (each for each in problems(server) if each.startswith(f"output {name}: "))
            assert f"{unit}.service ended (signal)" in told
            assert outputs(server)[name]["State"] == "failed"
    finally:
        server.run(f"rm /run/systemd/system/*/away.conf; systemctl daemon-reload; systemctl start {units}")
    settled(server)
    pids = killed()
    server.wait_for(
        lambda: all(show(server, "MainPID", unit) not in ("0", pid) for unit, pid in pids.items())
    )
    settled(server)
    serves(server)


def test_an_address_that_somebody_else_has_costs_only_http_at_that_address(server: Server) -> None:
    settled(server)
    running = show(server, "InvocationID", "ltspd-gateway")
    listens = f"ss -Hltnp src {EXTERNAL_ADDRESS}:80"
    server.write("/run/taker.py", TAKER)
    try:
        # After a while, because it could come back.
        server.run(f"ip address delete {EXTERNAL_ADDRESS}/24 dev ext0")
        server.wait_for(f"! {listens} | grep -q .")
        with transient(server, "taker", f"python3 /run/taker.py {EXTERNAL_ADDRESS}"):
            server.wait_for(f"{listens} | grep -q python3")
            server.run(f"ip address add {EXTERNAL_ADDRESS}/24 dev ext0")
            server.wait_for(lambda: [each for each in problems(server) if "over HTTP" in each])
            (told,) = (each for each in problems(server) if "over HTTP" in each)
            assert told.startswith(
                f"http: no client can boot over HTTP from {EXTERNAL_ADDRESS}:80, address already"
            )
            assert "HTTP_PORT=" in told
            assert outputs(server)["http"]["State"] == "in-sync"
            # DHCP begins anew for the address that came back, which is no part of this.
            server.wait_for("systemctl is-active --quiet ltspd-dnsmasq")
            serves(server)
        # It is served once it is free; nobody has to do anything.
        settled(server)
        server.run(f"curl -sSf -m 60 -o /dev/null http://{EXTERNAL_ADDRESS}/ltsp/ltsp.ipxe")
    finally:
        server.run(
            f"ip address add {EXTERNAL_ADDRESS}/24 dev ext0 2>/dev/null; rm -f /run/taker.py", check=False
        )
    assert show(server, "InvocationID", "ltspd-gateway") == running
    settled(server)


def test_a_service_that_keeps_ending_is_never_in_sync_and_then_given_up(server: Server) -> None:
    settled(server)
    failing = "[Service]\nType=simple\nPIDFile=\nExecStart=\nRestartSec={}\nExecStart=/bin/sh -c '{}'\n"
    words = "the disk of words is empty"
    try:
        with drop_in(
            server, "ltspd-tftp.service", failing.format("2.5s", f"sleep 0.4; echo {words}; exit 3")
        ):
            server.run("systemctl kill --signal=KILL ltspd-tftp")
            ends = f'ltspd-tftp.service keeps ending (exit-code); its last words: "{words}"'
            server.wait_for(lambda: ends in "".join(problems(server)))
            (told,) = problems(server)
            assert told.startswith(f"output tftp: {ends}")
            assert "journalctl -u ltspd-tftp.service" in told
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline:
                assert problems(server) == [told], "also while it is up for a moment"
        with drop_in(server, "ltspd-tftp.service", failing.format("100ms", f"echo {words}; exit 3")):
            server.run("systemctl restart ltspd-tftp")
            server.wait_for(lambda: "has given it up" in "".join(problems(server)))
            assert f'its last words: "{words}"' in problems(server)[0]
            assert outputs(server)["tftp"]["State"] == "failed"
    finally:
        server.run("systemctl daemon-reload; ltspctl apply")
    # As it says: apply starts it again.
    server.run("systemctl is-active ltspd-tftp")
    settled_after_loop(server)


def settled_after_loop(server: Server) -> None:
    """Wait longer: what kept ending counts as well once it stayed for a while, and only a timer tells."""
    server.wait_for(lambda: product.status(server)["State"] == "in-sync")


def test_many_connections_at_once_leave_nbd_listening(server: Server) -> None:
    product.build(server, "bookworm")
    settled_after_loop(server)
    server.run("systemctl is-active ltspd-nbd.socket")
    # What is tried is the socket; hundreds of network namespaces would keep a small machine busy for minutes.
    light = "[Service]\nExecStart=\nExecStart=/bin/true\nPrivateNetwork=no\nDynamicUser=no\n"
    with drop_in(server, "ltspd-nbd@.service", light):
        server.run("python3 -", stdin=CONNECT)
        server.run("systemctl is-active ltspd-nbd.socket")
        # What is still starting would keep the next one who connects waiting.
        running = "systemctl list-units --no-legend --plain 'ltspd-nbd@*'"
        server.wait_for(lambda: not server.run(running).strip())
    assert json.loads(server.run("ltspctl output show nbd --json"))["State"] == "in-sync"
