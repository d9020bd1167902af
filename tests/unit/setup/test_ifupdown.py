"""Files of ifupdown on the disk: what else they are stays as it was."""

from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.setup.ifupdown import IfUpDown
from ltspd.setup.request import Change
from tests.worlds.planning import link

OLD = "auto lan0\niface lan0 inet dhcp\niface wlan0 inet dhcp\n    wpa-psk secret\n"
# It has its address already, so nothing is waited for.
CHANGE = Change(link("lan0", "192.168.67.1/24"), IPv4Interface("192.168.67.1/24"))


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "sbin"
    programs.mkdir()
    for name in ("ifup", "ifdown"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    file = tmp_path / "etc/network/interfaces"
    file.parent.mkdir(parents=True)
    file.write_text(OLD)
    return file


def _there_and_back(root: Path) -> str:
    manager = IfUpDown(root)
    undo = manager.prepare(CHANGE)
    manager.apply(CHANGE, undo)
    between = (root / "etc/network/interfaces").read_text()
    manager.undo(undo)
    return between


def test_a_file_with_a_password_stays_hidden(main: Path, tmp_path: Path) -> None:
    main.chmod(0o600)
    assert "address 192.168.67.1/24" in _there_and_back(tmp_path)
    assert (main.read_text(), main.stat().st_mode & 0o777) == (OLD, 0o600)


def test_a_link_stays_a_link(main: Path, tmp_path: Path) -> None:
    main.rename(main.with_name("of-the-school"))
    main.symlink_to("of-the-school")
    _there_and_back(tmp_path)
    assert (main.is_symlink(), main.read_text()) == (True, OLD)
