"""The settings file in the real busybox sh leaves exactly the values that evaluate works out."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ltspd.config.configuration import load
from ltspd.config.document import Host
from ltspd.config.evaluate import PREDEFINED, effective
from ltspd.config.parse import parse
from ltspd.config.secrecy import withheld
from ltspd.config.settings import quote, render_settings
from tests.patience import PATIENCE
from tests.worlds.conf_texts import spiteful, text, values
from tests.worlds.examples import drawn
from tests.worlds.features import NEEDS_BUSYBOX

SHELLS = [
    pytest.param(shell.split(), id=shell)
    for shell in ("busybox sh", "dash", "bash --posix")
    if shutil.which(shell.split()[0])
]
BUSYBOX = ["busybox", "sh"]
NAMES = ["FSTAB_A", "HOSTS_B", "HOSTNAME", "KERNEL_PARAMETERS", "PASSWORDS_X", "FSTAB_1", "SERVER", "MEMBERS"]
SECTIONS = [
    "clients",
    "common",
    "server",
    "52:54:00:*",
    "52:54:00:00:00:01",
    "10.0.0.?",
    "pc*",
    "pc01|pc02",
    "x-y",
    "esac",
    "*c*1",
    "clients|if",
    "room:a",
    "room:b",
    "init/",
    "init/pc*",
    "service/52:54:00:*|init/x-y",
]
HOSTS = [
    Host("52:54:00:00:00:01", "10.0.0.7", "", "client", "10.0.0.1"),
    Host("52:54:00:00:00:02", "10.0.0.17", "PC02", "client", ""),
    Host("", "", "x-y", "client", "10.0.0.1"),
    Host("", "", "esac", "client", ""),
    Host("52:54:00:00:00:01", "10.0.0.7", "pc01", "client", "", "service"),
    Host("aa:bb:cc:dd:ee:ff", "10.0.0.1", "ltsp%{IP}", "client", "10.0.0.1"),
]

value = values([*NAMES, *PREDEFINED, "NOWHERE"])
assignment = st.tuples(st.sampled_from(NAMES), value).map("=".join)
MEMBERS = [
    "*", "52:54:00:*", "52:54:00:00:00:01", "52-54-00-00-00-02", "10.0.0.?", "10.0.0.17", "pc*", "pc02",
    "x-y", "1*", "a*", "esac",
]  # fmt: skip
members = st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=3).map(
    lambda words: f"MEMBERS='{' '.join(words)}'"
)
include = st.sampled_from([*SECTIONS, "missing", "x_y"]).map(lambda name: f"INCLUDE='{name}'")
section = st.tuples(
    st.sampled_from(SECTIONS), st.lists(st.one_of(assignment, assignment, include, members), max_size=4)
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = draw(st.lists(assignment, max_size=2))
    for name, body in draw(st.lists(section, max_size=6)):
        lines += [f"[{name}]", *body]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


def run(
    shell: list[str], folder: Path, rendered: bytes, host: Host, names: list[str], times: int
) -> dict[str, str]:
    """Source the file in a shell that stops at every slip, and return the variables that are set."""
    file = folder / "settings"
    file.write_bytes(rendered)
    call = 'ltsp_settings "$2" "$3" "$4" "$5" "$6"\n' * times
    shown = "".join(
        f'if [ "${{{name}+x}}" ]; then printf "%s=%s\\0" {name} "${name}"; fi\n' for name in names
    )
    script = f'set -euf\n. "$1"\n{call}{shown}'
    words = [host.mac, host.ip, host.hostname, host.server, host.applet]
    command = [*shell, "-c", script, "sh", str(file), *words]
    done = subprocess.run(
        command, capture_output=True, check=True, cwd=folder, timeout=PATIENCE, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stderr == b""
    pairs = (each.partition("=") for each in done.stdout.decode().split("\0")[:-1])
    return {name: found for name, _, found in pairs}


def expected(source: str, host: Host) -> dict[str, str]:
    document = parse(source)
    hidden = withheld(document)
    values = {name: each.text for name, each in effective(document, host).items() if name not in hidden}
    return {"HOSTNAME": host.hostname, "SERVER": host.server} | values


@NEEDS_BUSYBOX
@drawn(250)
@given(documents(), st.sampled_from(HOSTS), st.integers(1, 2))
def test_the_shell_agrees_with_effective(folder: Path, source: str, host: Host, times: int) -> None:
    document = parse(source)
    assert [str(each) for each in document.mistakes if each.severity == "error"] == []
    # A client isn't told of a name made from a secret, so the section of that name isn't its own.
    assume("HOSTNAME" not in withheld(document))
    found = run(BUSYBOX, folder, render_settings(document), host, NAMES, times)
    assert found == expected(source, host)


SAMPLE = """\
[clients]
FSTAB_A="it's \\"$MAC_ADDRESS\\"
two" HOSTS_B='$(reboot)' FSTAB_1='`id` \\'
INCLUDE=x-y
[52:54:00:*]
HOSTNAME=PC01
HOSTS_B="$HOSTS_B
"
[pc01|pc02]
KERNEL_PARAMETERS="$KERNEL_PARAMETERS more"
[x-y]
KERNEL_PARAMETERS="$SERVER"
[room:lab]
MEMBERS="10.0.0.1? pc01"
FSTAB_A="$FSTAB_A lab"
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.mac or host.hostname)
def test_every_posix_shell_agrees(folder: Path, shell: list[str], host: Host) -> None:
    found = run(shell, folder, render_settings(parse(SAMPLE)), host, NAMES, 2)
    assert found == expected(SAMPLE, host)


@NEEDS_BUSYBOX
def test_learning_the_host_name_first(folder: Path) -> None:
    """Once without a name, once with the one that was learnt: nothing is left over from the first time."""
    file = folder / "twice"
    file.write_bytes(
        render_settings(
            parse("[clients]\nHOSTNAME=ltsp%{IP}\n[ltsp20]\nFSTAB_A=$FSTAB_A+\nHOSTS_B=$HOSTNAME\n")
        )
    )
    script = '. "$1"; ltsp_settings m i ""; printf "%s|%s\n" "$HOSTNAME" "${FSTAB_A-}"\n'
    script += 'ltsp_settings m i ltsp20; printf "%s|%s|%s" "$HOSTNAME" "$FSTAB_A" "$HOSTS_B"'
    done = subprocess.run([*BUSYBOX, "-c", script, "sh", file], capture_output=True, text=True, check=True)
    assert done.stdout == "ltsp%{IP}|\nltsp%{IP}|+|ltsp%{IP}"


@NEEDS_BUSYBOX
@drawn(150)
@given(st.lists(st.one_of(text, spiteful), min_size=1, max_size=40))
def test_quote_is_undone_by_the_shell(folder: Path, values: list[str]) -> None:
    file = folder / "quotes"
    file.write_text("".join(f"printf '%s\\0' {quote(each)}\n" for each in values), encoding="utf-8")
    done = subprocess.run([*BUSYBOX, str(file)], capture_output=True, check=True, cwd=folder)
    assert done.stdout.decode().split("\0")[:-1] == values


def test_no_secret_and_nothing_of_the_server_is_in_the_file() -> None:
    source = """
COMMON="$PASSWORDS_A"
[server]
API_URL=s3cret-server
INCLUDE=keys
INCLUDE=shared
[keys]
API=s3cret-included
[shared]
SEARCH_DOMAIN=shown
[clients]
INCLUDE=shared
PASSWORDS_A=s3cret-password
COPY="x$COMMON"
WIFI_PSK=s3cret-key
ODD='root:$6$somesalt$s3cretNotAHash'
PEM='-----BEGIN OPENSSH @-----
s3cret'
HOSTNAME=pc01
"""
    # Put together here, because no file of the product may hold what looks like a key.
    rendered = render_settings(parse(source.replace("@", "PRIVATE KEY"))).decode()
    assert "s3cret" not in rendered
    for name in ("PASSWORDS_A", "COMMON", "COPY", "API"):
        assert f"{name}=" not in rendered
    assert "SEARCH_DOMAIN='shown'" in rendered
    assert "HOSTNAME='pc01'" in rendered


def test_only_what_clients_read_is_in_the_file() -> None:
    source = """\
NAS=10.0.0.9
UNREAD=x
[clients]
FSTAB_NAS="$NAS:/x /mnt nfs $OPTIONS 0 0"
WIFI_SCRIPT='connect lab'
HTTP_PORT=8080
PWMERGE_SUR=x
[pc01]
OPTIONS=$RIGHTS,hard
RIGHTS=ro
"""
    rendered = render_settings(parse(source)).decode()
    found = set(re.findall(r"^    ([A-Z_]+)=[^$]", rendered, re.MULTILINE))
    assert {"NAS", "FSTAB_NAS", "RIGHTS"} <= found
    assert "OPTIONS=" in rendered
    for name in ("UNREAD", "WIFI_SCRIPT", "HTTP_PORT", "PWMERGE_SUR"):
        assert name not in rendered


def test_reserved_names_never_reach_the_file() -> None:
    names = ("PATH", "IFS", "LD_PRELOAD", "BASH_ENV", "ENV", "PS4", "SHELLOPTS")
    lines = "".join(f"{name}=/x\n" for name in names)
    config = load({"x": f"[clients]\n{lines}HOSTS_A=1\n"})
    rendered = render_settings(config.document).decode()
    assert [each.line for each in config.findings] == [2, 3, 4, 5, 6, 7, 8]
    assert "/x" not in rendered
    assert "IFS" not in rendered
    assert "HOSTS_A='1'" in rendered


def test_the_same_document_gives_the_same_bytes() -> None:
    assert render_settings(parse(SAMPLE)) == render_settings(parse(SAMPLE))


@NEEDS_BUSYBOX
def test_a_lab_of_a_thousand_clients_is_read_by_busybox(folder: Path) -> None:
    source = "".join(f"[52:54:00:00:{n >> 8:02x}:{n & 255:02x}]\nHOSTNAME=pc{n}\n" for n in range(1000))
    host = Host("52:54:00:00:03:e7", "", "")
    assert run(BUSYBOX, folder, render_settings(parse(source)), host, ["HOSTNAME"], 2) == {
        "HOSTNAME": "pc999"
    }
