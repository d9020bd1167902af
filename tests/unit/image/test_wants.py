"""A generation's notes say what its source lacks of what ltsp.conf asks for."""

from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.config.parameters import wants
from ltspd.config.wants import asked
from ltspd.image.build import BuildOptions
from ltspd.image.look.wants import lacking
from ltspd.model.image import Source, Want
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import write

CRON = Want("CRONTAB_A (ltsp.conf:2)", ("/usr/sbin/cron", "/usr/sbin/crond"), ("cron", "cronie"), "cron")
LOGIN = Want("login", ("/usr/bin/ssh",), ("openssh-client", "openssh-clients"), "ssh")


@pytest.mark.parametrize("direct", [False, True])
async def test_notes_of_a_generation(direct: bool, paths: Paths, source: Source) -> None:
    write(Path(source.path), "usr/lib/os-release", "ID=nobara\nID_LIKE='rhel centos'\n")
    options = BuildOptions(direct=direct, wants=(CRON, LOGIN))
    made = (await run_build(order(paths, source, options))).generation
    assert made.notes == (
        "With this image CRONTAB_A (ltsp.conf:2) can't have an effect: it has no cron; install cronie in its "
        "source.",
        "With this image people of the server can't log in: it has no ssh; install openssh-clients in its "
        "source.",
    )
    for name in ("usr/sbin/crond", "usr/bin/ssh"):
        write(Path(source.path), name, "program")
    full = BuildOptions(full=True, direct=direct, wants=(CRON, LOGIN))
    assert lacking(Path(source.path), full.wants) == ()
    if not direct:
        assert (await run_build(order(paths, source, full))).generation.notes == ()


async def test_a_setting_that_is_new_is_told_though_the_source_is_the_same(
    paths: Paths, source: Source
) -> None:
    first = await run_build(order(paths, source, BuildOptions()))
    asked_for = BuildOptions(wants=(CRON,))
    second = await run_build(order(paths, source, asked_for))
    assert second.changed
    assert second.generation.layers == first.generation.layers
    (note,) = second.generation.notes
    assert "CRONTAB_A" in note
    assert not (await run_build(order(paths, source, asked_for))).changed


def test_the_settings_of_ltsp_conf_are_looked_for(tmp_path: Path) -> None:
    text = "[clients]\nLANG=de_DE.UTF-8\nCRONTAB_A=x\nCRONTAB_B=x\nCRONTAB_C=x\n"
    found = lacking(tmp_path, asked(load({"ltsp.conf": text}).document, wants()))
    assert (
        "With this image CRONTAB_A (ltsp.conf:3), CRONTAB_B (ltsp.conf:4) and 1 more can't have an effect: "
        "it has no cron."
    ) in found
    assert any(each.startswith("With this image LANG=de_DE.UTF-8 (ltsp.conf:2) ") for each in found)


def test_a_setting_that_lacks_what_logins_lack_is_named_beside_them(tmp_path: Path) -> None:
    both = [LOGIN, replace(LOGIN, setting="SESSION=terminal (ltsp.conf:2)")]
    assert lacking(tmp_path, both) == (
        "With this image people of the server can't log in, and SESSION=terminal (ltsp.conf:2) can't have an "
        "effect: it has no ssh.",
    )


LANGUAGE = Want("LANG", ("@locale:ca_ES.UTF-8@valencia",), (), "language")


def test_a_language_has_another_name_on_disk(tmp_path: Path) -> None:
    assert len(lacking(tmp_path, [LANGUAGE])) == 1
    write(tmp_path, "usr/lib/locale/locale-archive", b"x\0ca_ES.utf8\0ca_ES.utf8@valencia\0")
    assert lacking(tmp_path, [LANGUAGE]) == ()
    (tmp_path / "usr/lib/locale/locale-archive").unlink()
    write(tmp_path, "usr/lib/locale/ca_ES.utf8@valencia/LC_CTYPE")
    assert lacking(tmp_path, [LANGUAGE]) == ()


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("/lib/systemd/system/gdm3.service", "gdm"),
        ("/usr/lib/systemd/system/sddm.service", "sddm"),
        ("/nowhere/lightdm.service", "getty"),
        ("", "getty"),
    ],
)
def test_the_display_manager_is_what_its_link_leads_to(link: str, name: str, tmp_path: Path) -> None:
    for each in ("gdm", "sddm"):
        write(tmp_path, f"usr/lib/systemd/system/{each}.service")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/systemd/system/gdm3.service").symlink_to("gdm.service")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    if link:
        (tmp_path / "etc/systemd/system/display-manager.service").symlink_to(link)
    known = ("gdm", "sddm", "lightdm", "getty")
    there = {each for each in known if not lacking(tmp_path, [Want("X", (f"@{each}",), (), each)])}
    assert there == {name}


def test_files_are_looked_for_inside_the_source_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "outside")
    write(root, "usr/lib/x86_64-linux-gnu/libcups.so.2")
    (root / "etc").mkdir()
    (root / "etc/link").symlink_to("/outside")
    (root / "etc/zone").symlink_to("../../outside")
    for file in ("/etc/link", "/etc/zone", "/../outside", "/usr/share/zoneinfo/../../../../outside"):
        assert len(lacking(root, [Want("X", (file,), (), "x")])) == 1
    assert lacking(root, [Want("X", ("/usr/lib/*/libcups.so.2",), (), "x")]) == ()
