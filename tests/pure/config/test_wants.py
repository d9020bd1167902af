"""What settings want of an image: the lines of clients' scripts, and what of them some client asks for."""

from pathlib import Path

import pytest

from ltspd.config.features import want
from ltspd.config.parameters import of_scripts, wants
from ltspd.config.parse import parse
from ltspd.config.wants import asked
from ltspd.model.image import Want

PLACE = "/etc/ltsp/ltsp.conf"
CRON = Want("CRONTAB_*", ("/usr/sbin/cron",), ("cron",), "cron")
ZONE = Want("TIMEZONE", ("/usr/share/zoneinfo/{}",), ("tzdata",), "such time zone")
SSHFS = Want("HOME_KIND=sshfs!NFS_HOME", ("/usr/bin/sshfs",), ("sshfs", "fuse-sshfs"), "sshfs")
SEATS = Want("MULTISEAT", ("/x",), ("",), "x")


def settings(text: str, *each: Want) -> list[str]:
    return [want.setting for want in asked(parse(text), each)]


def test_a_script_says_what_it_wants() -> None:
    assert want("# wants: A_*!NFS_HOME /x/{}|/usr/lib/*/y|@gdm -|b y of a") == Want(
        "A_*!NFS_HOME", ("/x/{}", "/usr/lib/*/y", "@gdm"), ("", "b"), "y of a"
    )
    assert want('# parameter: BEAMER bool "0" Help') is None


@pytest.mark.parametrize("row", ["A", "A /x", "A /x p", "a /x p x", "A x p x", "A /x|y p x", "A= /x p x"])
def test_a_line_that_cant_be_read_costs_itself(row: str, tmp_path: Path) -> None:
    script = tmp_path / "a.sh"
    script.write_text(f"# wants: {row}\n# wants: B /y q why\n")
    scripts = of_scripts(tmp_path, ())
    (found,), (wrong,) = scripts.wants, scripts.mistakes
    assert found.setting == "B"
    assert (wrong.file, wrong.line) == (str(script), 1)
    assert "is not # wants: SETTING" in wrong.reason


def test_what_people_need_to_log_in_is_always_wanted() -> None:
    found = [each for each in asked(parse(""), wants()) if each.setting == "login"]
    assert {"/usr/bin/ssh"} in [set(each.files) for each in found]


def test_only_what_some_client_is_given_counts() -> None:
    assert settings("[server]\nCRONTAB_A=x\n", CRON) == []
    assert settings("CRONTAB=x\n[pc01]\nCRONTAB_A=x\n[10.0.0.*]\nCRONTAB_B=\n", CRON) == [
        f"CRONTAB_A ({PLACE}:3)"
    ]
    assert settings("[clients]\nMULTISEAT=0\n", SEATS) == []
    assert settings("[clients]\nMULTISEAT=0\n[pc1]\nMULTISEAT=1\n", SEATS) == [f"MULTISEAT ({PLACE}:4)"]


def test_a_word_of_a_value_wants_what_it_names() -> None:
    nfs = Want("FSTAB_*~nfs", ("/usr/sbin/mount.nfs",), (), "mount.nfs")
    lines = {
        "A": "srv:/a /a nfs ro 0 0",
        "B": "srv:/nfs /nfs nfs4 ro",
        "C": "$SERVER:/x /x nfs",
        "D": "tmpfs /nfs tmpfs",
    }
    text = "[clients]\n" + "".join(f'FSTAB_{name}="{line}"\n' for name, line in lines.items())
    assert settings(text, nfs) == [f"FSTAB_A ({PLACE}:2)"]


def test_each_value_wants_its_own_file() -> None:
    text = "[clients]\nTIMEZONE='Europe/Oslo'\n[pc1]\nTIMEZONE=\"'UTC'\"\n[pc2]\nTIMEZONE=Europe/Oslo\n"
    found = asked(parse(text), [ZONE])
    assert [(each.setting, each.files) for each in found] == [
        (f"TIMEZONE=Europe/Oslo ({PLACE}:2)", ("/usr/share/zoneinfo/Europe/Oslo",)),
        (f"TIMEZONE=UTC ({PLACE}:4)", ("/usr/share/zoneinfo/UTC",)),
    ]


def test_a_value_is_no_pattern() -> None:
    (found,) = asked(parse("[clients]\nTIMEZONE='*/../*'\n"), [ZONE])
    assert found.files == ()


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m"])
def test_what_is_no_name_of_a_file_is_not_looked_for(value: str) -> None:
    assert settings(f"[clients]\nTIMEZONE='{value}'\n", ZONE) == []


def test_a_value_that_only_a_client_knows_wants_what_each_does() -> None:
    text = "[clients]\nTIMEZONE=$(cat /zone)\nCRONTAB_A=$HOSTNAME\n"
    assert settings(text, CRON, ZONE) == [f"CRONTAB_A ({PLACE}:3)"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ["the default"]),
        ("[server]\nNFS_HOME=1\n", []),
        ("[server]\nNFS_HOME=0\n", ["the default"]),
        ("[clients]\nHOME_KIND=guest\n", []),
        ("[pc1]\nHOME_KIND=guest\n", ["the default"]),
        ("[clients]\nHOME_KIND=guest\n[pc1]\nHOME_KIND=sshfs\n", [f"{PLACE}:4"]),
    ],
)
def test_a_default_counts_where_nothing_is_said_for_all(text: str, where: list[str]) -> None:
    assert settings(text, SSHFS) == [f"HOME_KIND=sshfs ({each})" for each in where]
