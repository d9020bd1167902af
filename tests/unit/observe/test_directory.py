"""Accounts of a directory: what getent says, as a user without rights, and what becomes of it."""

import asyncio
import os
from pathlib import Path

import pytest

from ltspd.model.account import Account, Group
from ltspd.observe import directory, people
from ltspd.paths import Paths

# The stand-in for getent, in front of it in PATH, says what a directory would; it also says who runs it.
GETENT = """#!/bin/sh
echo "$(id -u) $*" >>{calls}
case "$*" in
    '-s sss passwd') echo 'eve:*:200001:200000:Eve:/home/eve:/bin/bash' ;;
    '-s sss group') sleep {pause} ;;
    '-s sss group -- pupils') echo 'pupils:*:200000:frank,none' ;;
    '-s sss passwd -- anna frank none')
        echo 'frank:*:200002:200000::/home/frank:/bin/bash'
        exit 2
        ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    calls = tmp_path / "calls"
    calls.touch()
    calls.chmod(0o666)
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    program = tmp_path / "getent"
    program.write_text(GETENT.format(calls=calls, pause=0))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(directory, "services", lambda paths, database: ["sss"])
    return calls


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_listed_and_named_people_come_from_a_program_without_rights(asked: Path) -> None:
    found = asyncio.run(directory.look(Paths(), ("anna",), ("pupils",)))
    assert found == {
        "passwd": [
            "eve:*:200001:200000:Eve:/home/eve:/bin/bash",
            "frank:*:200002:200000::/home/frank:/bin/bash",
        ],
        "group": ["pupils:*:200000:frank,none"],
    }
    assert {line.split()[0] for line in asked.read_text().splitlines()} == {"65534"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_a_directory_out_of_reach_keeps_its_people(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.run(directory.look(Paths()))
    (tmp_path / "getent").write_text("#!/bin/sh\nsleep 1000\n")
    monkeypatch.setattr(directory, "PATIENCE", 0.05)
    assert asyncio.run(directory.look(Paths())) == first
    assert first["passwd"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("passwd: files systemd sss\n", ["sss"]),
        ("passwd:\tfiles [NOTFOUND=return] ldap winbind # sss\ngroup: nis\n", ["ldap", "winbind"]),
        ("passwd: compat\n", []),
        ("", []),
    ],
)
def test_directories_are_what_nsswitch_conf_names(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nsswitch.conf").write_text(text)
    assert directory.services(Paths(tmp_path), "passwd") == found


def test_the_servers_own_accounts_come_before_those_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("anna:x:1000:1000::/home/anna:/bin/sh\n")
    (tmp_path / "etc/group").write_text("sudo:x:27:eve\n")
    elsewhere = {
        "passwd": [
            "anna:*:200001:200000::/home/other:/bin/sh",
            "eve:*:200002:200000::/home/eve:/bin/sh",
            "root:*:0:0::/:/bin/sh",
            "nobody:*:65534:65534::/:/bin/sh",
        ],
        "group": ["sudo:*:27:anna", "people:*:200000:"],
    }
    accounts, groups, _ = people.look(Paths(tmp_path), elsewhere)
    assert accounts == (
        Account("anna", 1000, 1000, "", "/home/anna", "/bin/sh"),
        Account("eve", 200002, 200000, "", "/home/eve", "/bin/sh"),
    )
    assert groups == (Group("sudo", 27, ("eve",)), Group("people", 200000, ()))
