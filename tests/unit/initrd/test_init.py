"""The client's shell files: their pure functions in the very shell that runs them."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ltspd.gateway.reports import parse
from tests import REPOSITORY
from tests.patience import PATIENCE

CLIENT = REPOSITORY / "client"


def sh(script: str, *args: str, cwd: Path | None = None, sources: str = "text.sh") -> str:
    loads = "".join(f". {CLIENT}/boot/{name}; " for name in sources.split())
    done = subprocess.run(
        ["busybox", "sh", "-c", f"{loads}{script}", "sh", *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_nothing_from_outside_is_evaluated() -> None:
    for script in (CLIENT / "boot/init", *CLIENT.rglob("*.sh")):
        if script == CLIENT / "live/code.sh":
            continue  # It runs what the administrator has written into ltsp.conf as code.
        code = [line.split("#")[0] for line in script.read_text().splitlines()]
        assert not any("eval" in line.split() for line in code), script


SHOW = (
    'parse_cmdline "$1"; '
    'printf "%s|" "$server" "$image" "$generation" "$transport" "$base" "$mac" "$ip_words" "$init" '
    '"$debug_shell"'
)


def test_the_server_comes_from_the_address_where_the_boot_program_names_only_the_port() -> None:
    line = "ltsp.root=http ip=10.0.0.9:10.0.0.1:10.0.0.2:255.0.0.0 BOOTIF=01-52-54-00-00-00-01"
    script = (
        'ifconfig() { :; }; route() { :; }; nic=eth0; parse_cmdline "$1"; configure; echo "$server $base"'
    )

    def found(line: str) -> list[str]:
        return sh(f"nic=eth0; {script}", line, sources="text.sh net.sh").split()

    # As PXELINUX writes it where there is no router.
    assert sh('parse_ip "$1"; echo "$gateway"', "10.0.0.9:10.0.0.1:0.0.0.0:255.0.0.0").strip() == ""
    assert found(f"{line} ltsp.port=8080") == ["10.0.0.1", "http://10.0.0.1:8080/ltsp"]
    assert found(line) == ["10.0.0.1", "http://10.0.0.1/ltsp"]
    told = f"{line} ltsp.server=10.0.0.7 ltsp.base=tftp://10.0.0.7/ltsp"
    assert found(told) == ["10.0.0.7", "tftp://10.0.0.7/ltsp"]


def test_command_line() -> None:
    line = (
        "BOOT_IMAGE=vmlinuz ltsp.server=10.0.0.1 ltsp.image=x86_64 ltsp.generation=g1 ltsp.root=nfs "
        "ltsp.base=http://10.0.0.1:8080/ltsp BOOTIF=01-52-54-00-AB-cd-0F "
        "ip=10.0.0.9::10.0.0.1:255.0.0.0:pc::off:8.8.8.8 init=/bin/sh quiet"
    )
    assert sh(SHOW, line) == (
        "10.0.0.1|x86_64|g1|nfs|http://10.0.0.1:8080/ltsp|52:54:00:ab:cd:0f|"
        "10.0.0.9::10.0.0.1:255.0.0.0:pc::off:8.8.8.8|/bin/sh||"
    )


def test_hostile_command_line_is_only_text(tmp_path: Path) -> None:
    line = (
        "ltsp.image=$(touch${IFS}hit) ltsp.server=`touch hit` BOOTIF=01-$(touch hit)-*-? * ltsp.debug_shell=1"
    )
    assert sh(SHOW, line, cwd=tmp_path) == "`touch|$(touch${IFS}hit)|||||||1|"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("52:54:00:AB:00:01", "52:54:00:ab:00:01"),
        ("01-52-54-00-00-00-01", "52:54:00:00:00:01"),
        ("52-54-00-00-00", ""),
        ("52:54:00:00:00:0g", ""),
        ("a:b:c:d:e:f", ""),
        ("", ""),
    ],
)
def test_bootif(word: str, expected: str) -> None:
    assert sh('mac_of_bootif "$1"', word).strip() == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "10.1.2.3::10.1.2.1:255.255.0.0:pc7::off:1.1.1.1",
            "10.1.2.3||10.1.2.1|255.255.0.0|pc7|1.1.1.1|",
        ),
        ("10.1.2.3::::::off:", "10.1.2.3||||||"),
        (
            "10.1.2.3:10.1.2.9::255.0.0.0:::off:1.1.1.1:2.2.2.2",
            "10.1.2.3|10.1.2.9||255.0.0.0||1.1.1.1 2.2.2.2|",
        ),
        ("dhcp", "||||||"),
        ("999.1.1.1:::x", "||||||"),
    ],
)
def test_ip_parameter(words: str, expected: str) -> None:
    show = 'printf "%s|" "$address" "$boot_server" "$gateway" "$netmask" "$given_name" "$dns"'
    assert sh(f'parse_ip "$1"; {show}', words) == expected


@pytest.mark.parametrize("dns", ["", "10.0.0.2", "10.0.0.2 10.0.0.3", "10.0.0.2 10.0.0.3 10.0.0.4"])
def test_a_lease_has_up_to_two_name_servers(tmp_path: Path, dns: str) -> None:
    script = (CLIENT / "boot/udhcpc.sh").read_text().replace("/run/", f"{tmp_path}/")
    lease = {"ip": "10.0.0.9", "serverid": "10.0.0.1", "router": "10.0.0.1 10.0.0.5", "subnet": "255.0.0.0"}
    env = os.environ | lease | {"dns": dns}
    subprocess.run(["busybox", "sh", "-c", script, "sh", "bound"], env=env, check=True)
    show = 'parse_ip "$1"; echo "$address $boot_server $gateway $netmask|$dns"'
    words = (tmp_path / "ltsp-lease").read_text().strip()
    assert sh(show, words) == f"10.0.0.9 10.0.0.1 10.0.0.1 255.0.0.0|{' '.join(dns.split()[:2])}\n"


@pytest.mark.parametrize(
    "word", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3", "1.2.3.x", ".1.2.3.4", "1.2.3.0004"]
)
def test_what_is_no_address(word: str) -> None:
    assert sh('is_ipv4 "$1" || echo no', word) == "no\n"


@pytest.mark.parametrize(
    ("template", "address", "netmask", "expected"),
    [
        ("", "192.168.67.20", "255.255.255.0", "ltsp20"),
        ("(none)", "192.168.67.123", "255.255.255.0", "ltsp123"),
        ("", "10.1.2.3", "255.255.0.0", "ltsp515"),
        ("pc%{IP}", "192.168.67.7", "255.255.255.128", "pc7"),
        ("pc-%{MAC}", "192.168.67.7", "255.255.255.0", "pc-525400000001"),
        ("room1 second", "192.168.67.7", "255.255.255.0", "room1"),
        ("a;reboot/../$(x)", "192.168.67.7", "255.255.255.0", "areboot.x"),
        ("-.-", "192.168.67.7", "255.255.255.0", "ltsp7"),
        ("", "192.168.67.7", "", "ltsp7"),
    ],
)
def test_host_names(template: str, address: str, netmask: str, expected: str) -> None:
    assert (
        sh('host_name "$1" "$2" "$3" "$4"', template, address, netmask, "52:54:00:00:00:01").strip()
        == expected
    )


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "a\nb", "$x", "ä"])
def test_names_that_could_leave_their_directory(name: str) -> None:
    assert sh('is_name "$1" || echo refused', name) == "refused\n"
    assert sh('is_digest "$1" || echo refused', name) == "refused\n"


# ---- what is told to the server --------------------------------------------------------------------

TOLD = (
    "server=127.0.0.1 mac=52:54:00:00:00:01 address=10.0.0.9 hostname=pc1 image=x86_64 generation=g1 "
    "transport=nfs marks='' busybox=busybox; "
)


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """Take one request after the other on a port, and answer as the gateway does."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.path.encode() + b"\n" + self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_a_client_tells_is_what_the_gateway_reads() -> None:
    with listening() as (port, got):
        base = f"base=http://127.0.0.1:{port}/ltsp; "
        sh(
            TOLD + base + "mark init; report network; wait; report root; wait; "
            'report failed "layer 7 can\'t be had: 100%s."; wait; report off; wait',
            sources="report.sh",
        )
    assert [each.partition(b"\n")[0] for each in got] == [b"/ltsp/report"] * 4
    reports = [parse(each.partition(b"\n")[2]) for each in got]
    assert [each.stage for each in reports] == ["network", "root", "failed", "off"]
    assert [list(each.marks) for each in reports[1:]] == [["init", "network", "root"]] * 3
    assert (reports[0].mac, reports[0].hostname, reports[0].transport) == ("52:54:00:00:00:01", "pc1", "nfs")
    assert reports[2].error == "layer 7 can't be had: 100%s."
    assert reports[0].clock == reports[0].marks["network"] > 0


def test_a_server_that_is_not_there_costs_nothing() -> None:
    began = time.monotonic()
    sh(TOLD + "base=http://127.0.0.1:1/ltsp; report network; report root; echo on", sources="report.sh")
    assert time.monotonic() - began < PATIENCE
    # Without an address there is nobody to tell.
    assert sh(TOLD + "address=''; report failed why; echo $!", sources="report.sh").strip() == ""


@pytest.mark.parametrize("word", ["1G", "512M", "50%", "100%"])
def test_amounts_of_memory(word: str) -> None:
    assert sh('amount "$1"', word) == f"{word}\n"


@pytest.mark.parametrize(
    "word", ["", "0", "50", "%", "1.5G", "-1G", "5%0", "1G,mode=777", "00G", "12345678M", "1 G"]
)
def test_what_is_no_amount_of_memory(word: str) -> None:
    assert sh('amount "$1"', word) == ""
