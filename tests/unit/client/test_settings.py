"""What a client makes of its settings, run by busybox sh."""

import random
import subprocess
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.config.autologin import AUTOLOGIN
from ltspd.config.hostnames import fill_hostname
from tests.worlds.features import CLIENT, run

SHOW = 'echo "$server $transport $base $debug_shell"'


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("", "192.168.67.1 nfs http://192.168.67.1/ltsp \n"),
        # The root stays with the machine that it was booted from.
        ("SERVER=192.168.67.9", "192.168.67.1 nfs http://192.168.67.1/ltsp \n"),
        ("IMAGE_TO_RAM=1\nDEBUG_SHELL=1", "192.168.67.1 http http://192.168.67.1/ltsp 1\n"),
    ],
)
def test_what_the_boot_itself_obeys(tmp_path: Path, conf: str, expected: str) -> None:
    assert run(tmp_path, conf=f"[clients]\n{conf}\n", commands=f"load_settings; {SHOW}").said == expected


def test_the_kernels_command_line_makes_no_settings(tmp_path: Path) -> None:
    # The first process has them as variables, and so has the distribution's init after it.
    words = {"MASK_SYSTEM_SERVICES": "ssh", "IMAGE_TO_RAM": "1", "HOSTS_X": "nas", "SYSTEMD_COLORS": "0"}
    line = " ".join(f"{name}={value}" for name, value in words.items())
    commands = f"""
        parse_cmdline "{line} PATH=/none LTSP_API=9 a-B=c ltsp.root=nfs ltsp.server=10.0.0.1"
        load_settings
        {SHOW}
        run_features
        sh -c 'echo "$MASK_SYSTEM_SERVICES $SYSTEMD_COLORS"'
    """
    feature = tmp_path / "feature.sh"
    show = "echo ${MASK_SYSTEM_SERVICES-none} $(sh -c 'echo ${HOSTS_X-none}') $LTSP_API"
    feature.write_text(f"# needs: LTSP_API 1\n{show}\n")
    said = run(tmp_path / "root", {"a": feature}, facts=words, commands=commands).said
    assert said == "10.0.0.1 nfs  \nnone none 1\nssh 0\n"


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


def test_server_and_clients_agree_on_who_is_logged_in(tmp_path: Path) -> None:
    signs = [
        "a",
        "b",
        "p",
        "c",
        "0",
        "1",
        ".",
        "-",
        "_",
        "*",
        ".*",
        "[ab]",
        "[^a]*",
        "[0-9]",
        "[b-a]",
        "^",
        "$",
    ]
    signs += ["/", "[", "]", "\\", "&", "+", "(", " ", "\n", "é", "pc", "guest"]
    rng = random.Random(2)
    texts = [
        "",
        "anna",
        "pc/guest",
        "pc/",
        "/guest",
        "a/b/w",
        "pc/guest/w x",
        "-n",
        "a*b*c*d*/x",
        ".x",
        "pc/.x",
    ]
    for _ in range(300):
        made = "".join(rng.choice(signs) for _ in range(rng.randrange(1, 5)))
        texts.append(f"{made}/guest" if rng.random() < 0.8 else made)
    names = ["pc01", "ltsp20", "a-b.c", "aab0", "x", "bbbab", "p"]
    script = """for each in "$@"; do for name in pc01 ltsp20 a-b.c aab0 x bbbab p; do
        echo "=$(autologin_account "$each" "$name")"; done; done"""
    argv = ["busybox", "sh", "-c", f"cd {tmp_path}; . {CLIENT}/boot/text.sh; {script}", "sh", *texts]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = []
    for text in texts:
        found = None if AUTOLOGIN.problem(text) else AUTOLOGIN.reader.read(text)
        expected += [f"={found.account(name) if found else ''}" for name in names]
    cases = [(text, name) for text in texts for name in names]
    assert {case for case, a, b in zip(cases, told, expected, strict=True) if a != b} == set()
    assert len(set(expected)) > 20
    assert list(tmp_path.iterdir()) == []
