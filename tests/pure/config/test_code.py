"""Code in ltsp.conf: nothing here runs it, clients get it as it is, and each piece is told."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.config.document import Host, Severity
from ltspd.config.evaluate import effective, unknowable
from ltspd.config.hooks import hook
from ltspd.config.parse import parse
from ltspd.config.settings import render_settings
from tests.patience import PATIENCE
from tests.worlds.features import NEEDS_BUSYBOX

FILE = "/etc/ltsp/ltsp.conf"
REAL = sorted((Path(__file__).parent / "golden").glob("real-*.conf"))
HASH = "$6$abcdefgh$ABCDEFGHIJKLMNOP"


@pytest.mark.parametrize("case", REAL, ids=lambda path: path.stem)
def test_no_real_file_is_refused(case: Path) -> None:
    config = load({FILE: case.read_text()})
    assert config.ok, config.errors
    assert any(each.severity is Severity.INFO for each in config.findings)


@NEEDS_BUSYBOX
@pytest.mark.parametrize("case", REAL, ids=lambda path: path.stem)
def test_what_clients_get_is_a_script_that_runs_no_code_by_itself(case: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    text = case.read_text() + "[clients]\ntouch canary\nHOSTS_A=$(touch canary)\n"
    file.write_bytes(render_settings(parse(text)))
    for shell in (each.split() for each in ("busybox sh", "dash", "bash --posix")):
        if shutil.which(shell[0]):
            script = f'. {file}\nltsp_settings 52:54:00:12:34:56 192.168.67.11 pc01\n[ -z "$HOSTS_A" ]'
            done = subprocess.run(
                [*shell, "-ec", script], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=True
            )
            assert done.stderr == b""
    assert not (tmp_path / "canary").exists()


def test_what_code_sets_is_unknown_and_so_is_what_is_made_from_it() -> None:
    text = "[clients]\nT=a\nLANG=x\nHOSTNAME=pc$T\nT=$(id)\nLANG=de$T\nif x; then\nTIMEZONE=UTC\nfi\n"
    document = parse(f"{text}[pc1]\nTIMEZONE=CET\n")
    values = {name: each.text for name, each in effective(document, Host()).items()}
    assert values == {"T": "a", "LANG": "x", "HOSTNAME": "pca"}
    unknown = {name: (each.text, each.line) for name, each in unknowable(document, Host()).items()}
    assert unknown == {
        "T": ("T=$(id)", 5),
        "LANG": ("de$T", 6),
        "TIMEZONE": ("if x; then\nTIMEZONE=UTC\nfi", 7),
    }


def test_what_a_later_line_sets_is_known_again() -> None:
    document = parse("[clients]\nLANG=$(id)\nINCLUDE=b\n[b]\nLANG=de\n")
    assert unknowable(document, Host()) == {}
    assert effective(document, Host())["LANG"].text == "de"


def test_a_section_of_a_part_of_its_life_comes_last() -> None:
    text = "[clients]\nLANG=a\n[init/]\nLANG=b\n[init/pc*]\nLANG=c\n[service/52:54:*]\nLANG=d\n"
    document = parse(text)

    def lang(**host: str) -> str:
        return effective(document, Host(**host))["LANG"].text

    assert lang(hostname="PC01") == "c"
    assert lang(hostname="x") == "b"
    assert lang(hostname="pc01", applet="initrd-bottom") == "a"
    assert lang(hostname="pc01", mac="52:54:00:00:00:01", applet="service") == "d"
    assert effective(document, Host(kind="server")) == {}


def test_a_call_of_a_section_is_an_include() -> None:
    document = parse("[clients]\nsection_x_y # the beamer\n[x*]\nLANG=fr\n[x-y]\nLANG=de\n")
    assert effective(document, Host())["LANG"].text == "de"


@pytest.mark.parametrize(
    ("line", "severity", "said"),
    [
        (
            "DNS_SERVER=$(x)",
            Severity.WARNING,
            "the server needs DNS_SERVER as well, and takes the value before",
        ),
        ("AUTOLOGIN=`x`", Severity.WARNING, "the server needs AUTOLOGIN as well"),
        ("LANG=${X:-de}", Severity.INFO, "clients run this code, and only they know LANG"),
        ("ln -s a b", Severity.INFO, "clients run this code"),
        (
            f"sed -i 's|x|{HASH}|' /etc/shadow",
            Severity.WARNING,
            "holds a secret, so it is not given to clients",
        ),
        ("ROOT_PASSWORD=$(echo x)", Severity.WARNING, "holds a secret"),
        (
            "POST_INIT_X=reboot",
            Severity.INFO,
            "clients run POST_INIT_X: in the client's root, when it is set up",
        ),
        ("PRE_INITRD_BOTTOM_X=a", Severity.INFO, "before the root is mounted"),
        ("POST_INITRD_X=a", Severity.WARNING, "POST_INITRD_X is never run: it is of a command of the server"),
        ("PRE_NOTHING_X=a", Severity.WARNING, "it names no moment"),
    ],
)
def test_each_piece_is_told(line: str, severity: Severity, said: str) -> None:
    (finding,) = load({FILE: f"[clients]\n{line}\n"}).findings
    assert (finding.severity, finding.line) == (severity, 2)
    assert said in finding.message


def test_code_in_the_servers_section_is_run_by_nobody() -> None:
    findings = load({FILE: "[server]\nlogger x\nPRE_INIT_X=a\n"}).findings
    assert [each.severity for each in findings] == [Severity.WARNING] * 2, findings
    assert "is the server's, which never runs code" in findings[0].message
    assert "never run in [server]" in findings[1].message


def test_secrets_in_code_stay_here() -> None:
    lines = (
        "true",
        f"sed 's|{HASH}||'",
        "MY_PASSWORD=$(echo Zm9v)",
        "sshpass -f /x",
        f"POST_INIT_X='a {HASH}'",
    )
    text = "\n".join(("[clients]", *lines))
    sent = render_settings(parse(text)).decode()
    assert "'true'" in sent
    for secret in (HASH, "Zm9v", "sshpass"):
        assert secret not in sent


def test_without_code_nothing_is_added() -> None:
    sent = render_settings(parse("[clients]\nLANG=de\n"))
    for word in (b"ltsp_code", b"ltsp_hooks", b"ltsp_at", b"section_", b"command"):
        assert word not in sent.replace(b"ltsp_section_", b"")


def test_names_of_hooks() -> None:
    found = {name: hook(name) for name in ("PRE_INITRD_BOTTOM_A", "POST_INITRD_A", "PRE_INIT", "PREFIX_A")}
    assert found == {
        "PRE_INITRD_BOTTOM_A": ("INITRD_BOTTOM", False),
        "POST_INITRD_A": ("INITRD", True),
        "PRE_INIT": ("", False),
        "PREFIX_A": None,
    }
