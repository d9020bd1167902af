"""What a client makes of its settings, run by busybox sh in a root of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ltspd.config import parse, render_settings
from tests.unit.world import NEEDS_ROOT

pytestmark = NEEDS_ROOT

CLIENT = Path(__file__).resolve().parents[2] / "client"
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
        shutil.copy(CLIENT / name, root / "ltsp")
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
