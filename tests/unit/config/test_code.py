"""Code of ltsp.conf leaves the same settings on a client as LTSP 23.02's own shell code does."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.config.hooks import hook
from ltspd.config.parameter import CLIENT
from ltspd.config.parameters import is_secret, sides
from ltspd.config.parse import parse
from ltspd.config.settings import quote, render_settings
from tests import REPOSITORY
from tests.lab.ltsp import Ltsp, Machine, ltsp
from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("mmdebstrap", "unshare"))),
    reason="needs root, mmdebstrap and unshare: LTSP's code is run from Debian's package",
)
REAL = sorted((REPOSITORY / "tests/pure/config/golden").glob("real-*.conf"))
MACHINES = (
    Machine("52:54:00:12:34:56", "192.168.67.11", "pc01"),
    Machine("52:54:00:00:00:01", "192.168.67.21", "library3"),
    Machine("52:54:00:00:00:02", "10.0.0.3", "old7"),
)
NAMESPACES = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork")
ENTER = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
mkdir "$1/run/ltsp-code"
mount --bind "$2" "$1/run/ltsp-code"
chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin dash /run/ltsp-code/run "$3" values 3>&1 >/dev/null 2>&1
"""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Ltsp]:
    (tmp_path / "ltsp").mkdir()
    with ltsp(tmp_path / "ltsp") as running:
        yield running


def ours(place: Path, tree: Path, text: str, machine: Machine) -> Mapping[str, str]:
    """Return the settings that a client works out by running the code of a file in a root."""
    place.mkdir(exist_ok=True)
    own = {"mac": machine.mac, "address": machine.ip, "name": machine.hostname, "server": ""}
    head = "".join(f"ltsp_{name}={quote(value)}\n" for name, value in own.items())
    tail = (REPOSITORY / "client/live/code.sh").read_text()
    (place / "run").write_text(head + render_settings(parse(text)).decode() + tail)
    command = ["unshare", *NAMESPACES, "sh", "-ec", ENTER, "sh", str(tree), str(place), machine.applet]
    subprocess.run(command, check=True, timeout=PATIENCE)
    script = f"set -a; . {place / machine.applet}; exec env -0"
    words = ["env", "-i", "dash", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return dict(each.split("=", 1) for each in done.stdout.split("\0")[:-1])


def read_by_clients(found: Mapping[str, str]) -> Mapping[str, str]:
    """Return what a client's set-up reads. LTSP knows no server of its own before it has asked."""
    return {
        name: value
        for name, value in found.items()
        if CLIENT in sides(name)
        and not is_secret(name)
        and not hook(name)
        and (name, value) != ("SERVER", "")
    }


@pytest.mark.parametrize("case", REAL, ids=lambda path: path.stem)
def test_real_files_leave_the_same_settings(peer: Ltsp, tmp_path: Path, case: Path) -> None:
    # LTSP takes a test at the begin of a line for a header (differences).
    text = re.sub(r"^\[ (.*?) \](?= &&)", r"test \1", case.read_text(), flags=re.MULTILINE)
    for machine in (
        replace(each, applet=applet) for each in MACHINES for applet in ("init", "initrd-bottom")
    ):
        (answer,) = peer.ask(text.encode(), [machine])
        assert not answer.stopped, answer.said
        found = ours(tmp_path / "ours", peer.tree, text, machine)
        assert read_by_clients(found) == read_by_clients(answer.values), machine
        assert found
