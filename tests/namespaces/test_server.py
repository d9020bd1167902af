"""The daemon on a real server: taken ports, other people's servers, mistakes in ltsp.conf, networks, rest."""

import json
import time

import pytest

from tests.lab import product
from tests.lab.product import outputs, problems, settled
from tests.lab.server import Server
from tests.lab.units import UNITS, cursor, kill, transient

pytestmark = pytest.mark.lab

# Holds a port as a program would that is none of ours.
HOLDER = """import socket, sys, time
for word in sys.argv[1:]:
    kind, port = word.split(":")
    held = socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    held.bind(("0.0.0.0", int(port)))
    if kind == "tcp":
        held.listen()
    globals()[word] = held
time.sleep(600)
"""


def test_everything_serves(server: Server) -> None:
    settled(server)
    states = {name: each["State"] for name, each in outputs(server).items()}
    assert set(states.values()) <= {"in-sync", "disabled"}, states
    for name in ("boot-files", "menu", "http", "tftp", "dhcp", "nfs", "router-advertisements"):
        assert states[name] == "in-sync", name
    assert product.status(server)["Links"]


def test_a_taken_port_is_a_problem_with_the_holders_name_and_the_rest_serves(server: Server) -> None:
    settled(server)
    server.run(f"systemctl stop ltspd {UNITS}")
    server.write("/run/holder.py", HOLDER)
    try:
        with transient(server, "holder", "python3 /run/holder.py udp:67 udp:69 tcp:80"):
            server.wait_for("ss -ltun | grep -q ':80 '")
            server.run("systemctl start ltspd")
            product.wait_until_up(server)
            server.wait_for(lambda: len([each for each in problems(server) if "is held by" in each]) == 4)
            told = "\n".join(problems(server))
            # DHCP with addresses and proxyDHCP each want port 67.
            for port in ("67/udp", "69/udp", "80/tcp"):
                assert f"port {port} is held by python3 (pid " in told
            assert "holder.service" in told
            states = {name: each["State"] for name, each in outputs(server).items()}
            assert states["nfs"] == "in-sync"
            assert states["router-advertisements"] == "in-sync"
        # Once the ports are free, everything starts by itself.
        settled(server)
    finally:
        server.run(f"systemctl restart ltspd; systemctl reset-failed {UNITS}", check=False)
    settled(server)


def test_it_lives_beside_other_peoples_dnsmasq(server: Server) -> None:
    settled(server)
    server.run(f"systemctl stop ltspd {UNITS}; ip link add virbr0 type bridge; ip link set virbr0 up")
    try:
        server.run("ip address add 192.168.122.1/24 dev virbr0")
        distribution = "dnsmasq --keep-in-foreground --conf-file=/dev/null --interface=lo --bind-interfaces"
        libvirt = (
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=virbr0 "
            "--bind-interfaces --except-interface=lo --dhcp-range=192.168.122.2,192.168.122.254 "
            "--dhcp-leasefile=/run/virbr0.leases"
        )
        with transient(server, "other-dns", distribution), transient(server, "other-dhcp", libvirt):
            server.run("systemctl start ltspd")
            product.wait_until_up(server)
            settled(server)
            server.run("systemctl is-active other-dns other-dhcp ltspd-dnsmasq ltspd-tftp")
            roles = {each["Name"]: each["Dhcp"] for each in product.status(server)["Links"]}
            assert roles["virbr0"] == "off"
            assert roles["lan0"] == "real"
    finally:
        server.run("ip link delete virbr0; systemctl restart ltspd", check=False)
    settled(server)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server\nHTTP_PORT=80\n", "ltsp.conf:1"),
        ("[server]\nHTTP_PORT=high\n", "ltsp.conf:2"),
        ('[clients]\nHOSTNAME="pc\n', "ltsp.conf:2"),
        ("[server]\nHTTP_PORT=$(cat /etc/port)\n", "ltsp.conf:2"),
        ("[server]\nDHCP_LINKS=lan0=sometimes\n", "ltsp.conf:2"),
    ],
)
def test_a_broken_ltsp_conf_keeps_the_last_good_state_serving(server: Server, text: str, says: str) -> None:
    settled(server)
    before = server.path("/etc/ltsp/ltsp.conf").read_text()
    menu = server.path("/srv/tftp/ltsp/ltsp.ipxe").read_bytes()
    try:
        server.write("/etc/ltsp/ltsp.conf", text)
        server.wait_for(lambda: any(says in each for each in problems(server)))
        assert product.status(server)["State"] == "attention"
        assert server.path("/srv/tftp/ltsp/ltsp.ipxe").read_bytes() == menu
        server.run("systemctl is-active ltspd-gateway ltspd-dnsmasq ltspd-tftp ltspd-nfs")
        with pytest.raises(RuntimeError, match=r"ltsp\.conf"):
            server.run("systemctl reload ltspd || { ltspctl reload; exit 1; }")
    finally:
        server.write("/etc/ltsp/ltsp.conf", before)
    settled(server)


def test_networks_that_come_and_go_are_followed(server: Server) -> None:
    settled(server)
    try:
        server.run("ip link add br7 type bridge; ip address add 10.7.0.1/24 dev br7; ip link set br7 up")
        configuration = server.path("/var/lib/ltspd/outputs/proxy-dhcp.conf")
        server.wait_for(lambda: "10.7.0.0,proxy" in configuration.read_text())
        server.run("ip address replace 10.8.0.1/24 dev br7; ip address del 10.7.0.1/24 dev br7")
        server.wait_for(lambda: "10.7.0.0" not in configuration.read_text())
        assert "10.8.0.0,proxy" in configuration.read_text()
    finally:
        server.run("ip link delete br7", check=False)
    server.wait_for(lambda: "10.8.0.0" not in configuration.read_text())
    settled(server)


def test_a_second_pass_writes_and_reloads_nothing(server: Server) -> None:
    settled(server)
    look = (
        f"systemctl show -P InvocationID {UNITS}; "
        "find /srv/tftp/ltsp /var/lib/ltspd -type f -printf '%p %T@ %i\\n' | sort"
    )
    before = server.run(look)
    server.run("ltspctl apply")
    assert server.run(look) == before


def test_a_restart_of_the_daemon_leaves_the_services_running(server: Server) -> None:
    settled(server)
    look = f"systemctl show -P InvocationID {UNITS}"
    before = server.run(look)
    server.run("systemctl restart ltspd")
    product.wait_until_up(server)
    settled(server)
    assert server.run(look) == before


def test_serving_off_and_on(server: Server) -> None:
    settled(server)
    began = cursor(server)
    answering = "systemctl is-active --quiet ltspd-dnsmasq ltspd-proxy-dhcp ltspd-tftp"
    menu = "curl --silent --output /dev/null --write-out '%{http_code}' http://192.168.67.1/ltsp"
    try:
        server.run(f"ltspctl serve off && ! {answering}")
        assert "Serving: off" in server.run("ltspctl status")
        assert product.status(server)["Serving"] is False
        assert "serving is off" in server.run("systemctl status ltspd")
        assert "it is off, so no machine that boots is answered" in server.run("ltspctl doctor || :")
        assert server.run(f"{menu}/ltsp.ipxe; {menu}/boot; {menu}/ltsp.img").strip() == "404404200"
        server.run("systemctl restart ltspd")
        product.wait_until_up(server)
        server.run(f"! {answering}; systemctl is-active ltspd-gateway && systemctl is-active ltspd-nfs")
        audit = f"journalctl -q --no-pager -o cat --after-cursor='{began}' | grep Manager.Serve"
        server.wait_for(lambda: "configure Manager.Serve (-) by user 0 (root" in server.run(f"{audit} || :"))
    finally:
        server.run("ltspctl serve on")
    settled(server)
    server.run("systemctl is-active ltspd-dnsmasq && systemctl is-active ltspd-tftp")


def test_a_server_that_hangs_is_a_problem_until_it_answers(server: Server) -> None:
    settled(server)
    server.run("systemctl kill --signal=STOP ltspd-dnsmasq ltspd-proxy-dhcp ltspd-tftp; ltspctl apply || :")
    try:
        server.wait_for(lambda: len([each for each in problems(server) if "not answer" in each]) == 3, 60)
        told = "\n".join(problems(server))
        assert "DHCP on lan0 (192.168.67.1, port 67)" in told
        assert "proxyDHCP on ext0 (10.0.3.2, port 4011)" in told
        assert "TFTP on lan0 (192.168.67.1, port 69)" in told
        for unit in ("dnsmasq", "proxy-dhcp", "tftp"):
            assert f"systemctl restart ltspd-{unit}.service" in told
    finally:
        server.run("systemctl kill --signal=CONT ltspd-dnsmasq ltspd-proxy-dhcp ltspd-tftp")
    server.wait_for(lambda: product.status(server)["State"] == "in-sync", 90)
    assert "failed" not in server.run("systemctl list-units --all --no-legend 'ltspd-probe@*'")


def test_a_killed_service_comes_back_and_is_no_lasting_problem(server: Server) -> None:
    settled(server)
    kill(server, "ltspd-tftp")
    settled(server)


def test_an_idle_daemon_sleeps(server: Server) -> None:
    settled(server)
    pid = server.run("systemctl show -P MainPID ltspd").strip()
    count = f"cat /proc/{pid}/task/*/status | awk '/^voluntary/ {{ n += $2 }} END {{ print n }}'"

    def sleeps() -> bool:
        before = int(server.run(count))
        time.sleep(10)
        # The watchdog's ping is the one wake-up of its own; it comes twice a minute.
        return int(server.run(count)) - before <= 2

    # What systemd tells of services that have just come back may still be on its way.
    assert any(sleeps() for _ in range(6))


def test_everybody_may_look_and_only_the_allowed_may_act(server: Server) -> None:
    settled(server)
    json.loads(server.run("setpriv --reuid=65534 --regid=65534 --clear-groups ltspctl status --json"))
    refused = "setpriv --reuid=65534 --regid=65534 --clear-groups ltspctl"
    for words in ("reload", "apply", "image build trixie"):
        status = server.run(f"{refused} {words} >/dev/null 2>&1; echo $?").strip()
        assert status == "3", words


def test_a_build_that_is_killed_leaves_nothing_and_the_next_start_sweeps(server: Server) -> None:
    settled(server)
    mounts = server.run("wc -l </proc/mounts")
    server.run("ltspctl image build --no-wait bookworm")
    server.wait_for("find /srv/ltsp/images -name '.work-*' | grep -q .")
    kill(server)
    product.wait_until_up(server)
    assert server.run("find /srv/ltsp/images -name '.*'").strip() == ""
    assert server.run("wc -l </proc/mounts") == mounts
    assert server.run("pgrep -c mksquashfs || :").strip() == "0"
    settled(server)
