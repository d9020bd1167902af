"""Accounts that nobody may get into: what usermod, chage and useradd really write."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ltspd.model.account import Account
from ltspd.observe import closed, people
from ltspd.paths import Paths
from tests.worlds.daemon import NEEDS_ROOT


def written(tmp_path: Path, *shadow: str, shell: str = "/bin/bash") -> dict[str, str]:
    etc = tmp_path / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(f"anna:x:1000:1000::/home/anna:{shell}\n")
    (etc / "shadow").write_text("".join(f"{each}\n" for each in shadow))
    return dict(closed.look(Paths(tmp_path)))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("anna:$y$j9T$x$y:19000:0:99999:7:::", ""), ("anna:!$y$j9T$x$y:19000:0:99999:7:::", "locked"),
        ("anna:!*:19000:0:99999:7:::", "locked"), ("anna:!:19000:0:99999:7:::", ""),
        ("anna:*:19000:::::0:", "expired"),
        ("anna:!!:19000::::::", ""), ("anna:*:19000:::::99999:", ""), ("anna:*:19000:::::x:", ""),
        ("anna:!x", ""),
    ],
)  # fmt: skip
def test_locked_and_expired_accounts_are_known(tmp_path: Path, line: str, word: str) -> None:
    found = written(tmp_path, line)
    assert (word in found.get("anna", "")) if word else found == {}


def test_an_account_without_a_shell_is_known(tmp_path: Path) -> None:
    assert "nologin" in written(tmp_path, shell="/usr/sbin/nologin")["anna"]
    assert written(tmp_path, shell="/usr/bin/zsh") == {}


def test_without_files_nobody_is(tmp_path: Path) -> None:
    assert closed.look(Paths(tmp_path)) == {}


@NEEDS_ROOT
@pytest.mark.skipif(not shutil.which("usermod"), reason="needs usermod and chage")
def test_what_the_real_programs_write(tmp_path: Path) -> None:
    (tmp_path / "etc/pam.d").mkdir(parents=True)
    written(tmp_path, "anna:$y$j9T$x$y:19000:0:99999:7:::")
    (tmp_path / "etc/group").write_text("anna:x:1000:\n")

    def after(*words: str) -> str:
        subprocess.run([words[0], "--prefix", str(tmp_path), *words[1:]], check=True)
        return closed.look(Paths(tmp_path)).get("anna", "")

    assert "locked" in after("usermod", "-L", "anna")
    assert after("usermod", "-U", "anna") == ""
    assert "expired" in after("usermod", "-e", "1970-01-02", "anna")
    assert after("usermod", "-e", "", "anna") == ""


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("anna:$y$x:19000:0:99999:7:::", None), ("anna:!$y$x:19000:0:99999:7::30000:", 1),
        ("anna:!:19000::::::", None), ("anna:*:19000:::::20100:", 20100), ("anna:*:19000:::::0:", 1),
        ("anna:*:19000:0:90:7:10:20100:", 19101),
        ("anna:*:0:0:90:7:10::", None), ("anna:*:19000:0:90:7:::", None), ("anna:*:x:0:90:7:1:-1:", None),
    ],
)  # fmt: skip
def test_the_day_of_its_end_goes_with_an_account_and_nothing_else_of_shadow(
    tmp_path: Path, line: str, day: int | None
) -> None:
    written(tmp_path, line)
    ((account,), _, _) = people.look(Paths(tmp_path))
    assert account == Account("anna", 1000, 1000, "", "/home/anna", "/bin/bash", day)
