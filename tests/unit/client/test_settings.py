"""What a client makes of its settings, run by busybox sh in a root of its own."""

import random
import shutil
import subprocess
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.config import fill_hostname, parse, render_settings
from tests import REPOSITORY
from tests.worlds.daemon import NEEDS_ROOT

pytestmark = NEEDS_ROOT

CLIENT = REPOSITORY / "client"
KNOWN = (
    "mac=52:54:00:12:34:56 address=192.168.67.20 netmask=255.255.255.0 given_name='' server=192.168.67.1 "
    "base=http://192.168.67.1/ltsp transport=nfs dns='' debug_shell='' trial='' new=/new"
)


def run(root: Path, conf: str, script: str) -> str:
    """Run a script after text.sh and setup.sh; the client's command line and network are KNOWN."""
    for name in ("bin", "ltsp", "new/etc", "dev"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, root / "bin/busybox")
    (root / "ltsp/settings").write_bytes(render_settings(parse(conf)))
    for name in ("text.sh", "setup.sh"):
        shutil.copy(CLIENT / "boot" / name, root / "ltsp")
    whole = f"/bin/busybox --install -s /bin; . /ltsp/text.sh; . /ltsp/setup.sh; {KNOWN}; {script}"
    argv = ["chroot", str(root), "/bin/busybox", "sh", "-c", whole]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("conf", "named"), [("", "192.168.67.1"), ("[clients]\nSERVER=192.168.67.9\n", "192.168.67.9")]
)
def test_server_is_a_name_and_the_root_stays_where_it_was_booted_from(
    tmp_path: Path, conf: str, named: str
) -> None:
    show = 'load_settings; set_names; echo "$server $transport $base"'
    assert run(tmp_path, conf, show) == "192.168.67.1 nfs http://192.168.67.1/ltsp\n"
    assert f"\n{named} server\n" in (tmp_path / "new/etc/hosts").read_text()


def test_families_of_lines_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    conf = "[clients]\nFSTAB_b='two / x'\nFSTAB_A='one / x'\nHOSTS_x='10.0.0.9 nas'\n"
    run(tmp_path, conf, "load_settings; set_names")
    lines = (tmp_path / "new/etc/fstab").read_text().splitlines()
    assert lines[1:] == ["one / x", "two / x"]
    assert (tmp_path / "new/etc/hosts").read_text().endswith("10.0.0.9 nas\n")


def test_server_and_clients_agree_on_host_names(tmp_path: Path) -> None:
    signs = [
        "",
        "a",
        "Z9",
        ".",
        "-",
        "_",
        " ",
        "%{IP}",
        "%{MAC}",
        "é",
        "\n",
        "x" * 30,
        "(none)",
        "%",
        "$(id)",
        "*",
    ]
    choose = random.Random(1).choice
    names = [*signs, *("".join(choose(signs) for _ in range(5)) for _ in range(400))]
    script = """for each in "$@"; do host_name "$each" 10.0.1.20 255.255.0.0 52:54:00:12:34:56; done"""
    argv = ["busybox", "sh", "-c", f". {CLIENT}/boot/text.sh; {script}", "sh", *names]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    address = IPv4Interface("10.0.1.20/16")
    assert told == [fill_hostname(each, "52:54:00:12:34:56", address) for each in names]


def test_name_servers_may_have_commas_between_them(tmp_path: Path) -> None:
    told = run(
        tmp_path, "[clients]\nDNS_SERVER='8.8.8.8,9.9.9.9'\n", "load_settings; set -- $dns; echo $1 $2"
    )
    assert told == "8.8.8.8 9.9.9.9\n"
