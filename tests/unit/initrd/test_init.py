"""The client's shell files: shellcheck, and their pure functions in the very shell that runs them."""

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


def test_shellcheck_finds_nothing() -> None:
    scripts = [CLIENT / "boot/init", *sorted(CLIENT.rglob("*.sh"))]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_nothing_from_outside_is_evaluated() -> None:
    for script in (CLIENT / "boot/init", *CLIENT.rglob("*.sh")):
        code = [line.split("#")[0] for line in script.read_text().splitlines()]
        assert not any("eval" in line.split() for line in code), script


SHOW = (
    'parse_cmdline "$1"; '
    'printf "%s|" "$server" "$image" "$generation" "$transport" "$base" "$mac" "$ip_words" "$init" '
    '"$debug_shell"'
)


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


@pytest.mark.parametrize(
    "word", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3", "1.2.3.x", ".1.2.3.4", "1.2.3.0004"]
)
def test_what_is_no_address(word: str) -> None:
    assert sh('ipv4 "$1"', word) == ""


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


def test_accounts_are_merged_and_the_images_win(tmp_path: Path) -> None:
    files = {
        "passwd": (
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n"
            "local:x:1005:1005::/home/local:/bin/sh\n"
        ),
        "group": "root:x:0:\nsudo:x:27:local\naudio:x:29:\nlocal:x:1005:\n",
        "shadow": "root:*:19000:0:99999:7:::\nlocal:!:19000:0:99999:7:::\n",
        "new_passwd": (
            "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\n"
            "daemon:x:2000:2000:other:/:/bin/sh\n"
            "clash:x:1005:1005::/home/clash:/bin/sh\n"
            "toor:x:0:0::/root:/bin/sh\n"
            "bad name:x:1010:1010::/:/bin/sh\n"
            "short:x:1011\n"
            "ann:x:1020:29::/home/ann:/bin/sh\n"
            "eve:x:1021:1005::/home/eve:/bin/sh\n"
            "20231234:x:1022:2000::/home/20231234:/bin/sh\n"
            "josé:x:1023:2000::/home/josé:/bin/sh\n"
            "SCHOOL\\bob:x:1024:100::/home/bob:/bin/sh\n"
        ),
        "new_group": (
            "alice:x:1000:\nsudo:x:44:alice,nobodyknows\naudio:x:29:alice,local\nschool:x:2000:alice,clash\n"
            "taken:x:1005:alice\nSCHOOL\\all:x:2001:SCHOOL\\bob,josé\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    os.chmod(tmp_path / "shadow", 0o640)
    said = sh("merge_accounts passwd group shadow new_passwd new_group", cwd=tmp_path)
    assert (tmp_path / "passwd").read_text() == (
        files["passwd"]
        + "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\n"
        + "ann:x:1020:29::/home/ann:/bin/sh\n"
        + "20231234:x:1022:2000::/home/20231234:/bin/sh\n"
        + "josé:x:1023:2000::/home/josé:/bin/sh\n"
        + "SCHOOL\\bob:x:1024:100::/home/bob:/bin/sh\n"
    )
    assert (tmp_path / "group").read_text() == (
        "root:x:0:\nsudo:x:27:local,alice\naudio:x:29:alice,local\nlocal:x:1005:\n"
        "alice:x:1000:\nschool:x:2000:alice\nSCHOOL\\all:x:2001:SCHOOL\\bob,josé\n"
    )
    locked = (
        f"{name}:!:19000:0:99999:7:::\n" for name in ("alice", "ann", "20231234", "josé", "SCHOOL\\bob")
    )
    assert (tmp_path / "shadow").read_text() == files["shadow"] + "".join(locked)
    assert (tmp_path / "shadow").stat().st_mode & 0o777 == 0o640
    assert "clash" in said
    assert "eve is left out: the number 1005 of its group taken is local in this image" in said
    assert "taken" in said


def set_up(tmp_path: Path, script: str) -> Path:
    """Run part of setup.sh on a small root of its own; what it puts below /run is not part of this."""
    new = tmp_path / "new"
    (new / "etc").mkdir(parents=True)
    (new / "etc/hosts").symlink_to("/etc/hosts.of.elsewhere")
    variables = (
        "new=$1 hostname=pc1 address=10.0.0.9 server=10.0.0.1 mac=52:54:00:00:00:01 "
        "SEARCH_DOMAIN=school.example; "
    )
    sh(variables + script, str(new), sources="text.sh setup.sh")
    return new


def test_names_replace_links_of_the_image(tmp_path: Path) -> None:
    new = set_up(tmp_path, "set_names")
    hosts = (new / "etc/hosts").read_text()
    assert not (new / "etc/hosts").is_symlink()
    assert "10.0.0.9 pc1.school.example pc1\n" in hosts
    assert "10.0.0.1 server\n" in hosts
    assert "127.0.1.1" not in hosts
    fstab = (new / "etc/fstab").read_text().splitlines()
    assert all(line.startswith("#") for line in fstab)


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


def test_what_the_running_system_is_given_holds_no_code_from_outside() -> None:
    hostile = "'; touch /tmp/hit; '"
    assert sh('keep base "$1"', hostile, sources="setup.sh") == "base=''\n"
    assert sh('keep marks "$1"', "init=1.05 root=2.5 ", sources="setup.sh") == "marks='init=1.05 root=2.5 '\n"
    assert sh('keep base "$1"', "http://10.0.0.1:80/ltsp", sources="setup.sh").strip() == (
        "base='http://10.0.0.1:80/ltsp'"
    )


# ---- settings --------------------------------------------------------------------------------------


def with_settings(tmp_path: Path, settings: str, script: str) -> Path:
    """Run part of setup.sh with these settings; what it writes is below the directory that is returned."""
    moved = (CLIENT / "boot/setup.sh").read_text()
    for place in ("/run/", "/ltsp/"):
        moved = moved.replace(place, f"{tmp_path}{place}")
    (tmp_path / "setup.sh").write_text(moved)
    for name in ("etc", "ltsp", "run/sysctl.d", "run/systemd/network", "run/systemd/resolved.conf.d"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    for name in ("system-generators", "system.conf.d", "journald.conf.d", "system/ssh.service.d"):
        (tmp_path / "run/systemd" / name).mkdir(parents=True)
    (tmp_path / "run/systemd/system.control").mkdir()
    (tmp_path / "etc/fstab").touch()
    (tmp_path / "ltsp/settings").write_text(f"ltsp_settings() {{ : ; {settings}\n}}\n")
    known = "given_name=pc1 server=10.0.0.1 mac=52:54:00:00:00:01 address=10.0.0.9 netmask=255.0.0.0"
    sh(f". {tmp_path}/setup.sh; new={tmp_path} {known} nic=eth0; {script}", cwd=tmp_path)
    return tmp_path


def masked(tmp_path: Path, settings: str) -> set[str]:
    root = with_settings(tmp_path, settings, "load_settings; set_services")
    return {each.name for each in (root / "run/systemd/system.control").iterdir()}


def test_masks_are_what_they_say(tmp_path: Path) -> None:
    kinds = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice")
    names = {f"x.{kind}" for kind in kinds}
    (tmp_path / "a.file").touch()
    found = masked(tmp_path, f"MASK_SYSTEM_SERVICES='{' '.join(sorted(names))}\tplain\nb@1 *'")
    assert names | {"plain.service", "b@1.service", "*.service", "apparmor.service"} <= found
    assert not {"a.file.service", "x.target.service"} & found


@pytest.mark.parametrize("between", [" ", "\t", "\n", " \n\t"])
def test_lists_are_split_as_a_shell_splits_them(tmp_path: Path, between: str) -> None:
    keep = between.join(("apparmor", "rsyslog.service", "apt-daily", "fstrim.timer"))
    found = masked(tmp_path, f"KEEP_SYSTEM_SERVICES='{keep}' MASK_SYSTEM_SERVICES=''")
    kept = {"apparmor.service", "rsyslog.service", "apt-daily.service", "apt-daily.timer", "fstrim.timer"}
    assert not kept & found
    assert {"fstrim.service", "man-db.timer", "apt-daily-upgrade.timer"} <= found


RESOLVERS = {
    "the server's": ("", "search a.example b.example\n", "", "9.9.9.9", "a.example b.example"),
    "a name server for all": ("", "nameserver 1.1.1.1\nnameserver 2.2.2.2\n", "", "1.1.1.1 2.2.2.2", ""),
    "a client's own": (
        "DNS_SERVER='3.3.3.3\n\t4.4.4.4'; SEARCH_DOMAIN='c.example\n d.example'",
        "nameserver 1.1.1.1\nsearch a.example\n",
        "",
        "3.3.3.3 4.4.4.4",
        "c.example d.example",
    ),
    "none known": ("", "search a.example\n", "dns=;", "", "a.example"),
    "nothing at all": ("", "", "dns=;", "", ""),
}


@pytest.mark.parametrize("case", RESOLVERS)
def test_resolvers(case: str, tmp_path: Path) -> None:
    settings, everybody, before, servers, domains = RESOLVERS[case]
    (tmp_path / "ltsp").mkdir()
    (tmp_path / "ltsp/resolver").write_text(everybody)
    root = with_settings(tmp_path, settings, f"dns=9.9.9.9; {before} load_settings; set_names; set_network")
    of_systemd = root / "run/systemd/resolved.conf.d/ltsp.conf"
    lines = [f"DNS={servers}"] * bool(servers) + [f"Domains={domains}"] * bool(domains)
    assert of_systemd.exists() == bool(lines)
    assert not lines or of_systemd.read_text().splitlines() == ["[Resolve]", *lines]
    if servers:
        lines = [f"search {domains}"] * bool(domains) + [f"nameserver {each}" for each in servers.split()]
        assert (root / "etc/resolv.conf").read_text().splitlines() == lines
    else:
        assert not (root / "etc/resolv.conf").exists()
    name = f"pc1.{domains.split()[0]} pc1" if domains else "pc1"
    assert f"10.0.0.9 {name}\n" in (root / "etc/hosts").read_text()
