"""The lines of the menu, and what each boot program makes of hostile texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.menu import grub, ipxe, pxelinux
from ltspd.menu.items import ascii_of, latin_of
from ltspd.model.menu import Entry, Menu, MenuChoice, Offer, RootTransport, Tool

NFS = RootTransport.NFS


def menu(title: str = "", parameters: str = "", timeout: int | None = None, tools: str = "") -> Menu:
    offer = Offer((Entry("a", "g", "6.1", title=title),), NFS, tools=tuple(map(Tool, tools.split())))
    return Menu(offer, MenuChoice("a", NFS, parameters, timeout))


@pytest.mark.parametrize(
    ("text", "plain", "latin"),
    [
        ("Room 2", "Room 2", "Room 2"),
        ("Größe für Zoë", "Grosse fur Zoe", "Größe für Zoë"),
        ("Łódź", "Lodz", "Lódz"),
        ("Κλάση Αʹ – Ψυχή", "Klasi A' - Psychi", "Klasi A' - Psychi"),
        ("Школа № 5, Щука", "Shkola no 5, Shchuka", "Shkola no 5, Shchuka"),
        # Nobody could read half of it.
        ("教室 2", "", ""),
        ("two\nlines\x1b[2J", "", ""),
    ],
)
def test_titles_are_shown_or_transliterated(text: str, plain: str, latin: str) -> None:
    assert (ascii_of(text), latin_of(text)) == (plain, latin)


def test_a_title_that_cannot_be_shown_is_the_images_name() -> None:
    for text in (
        ipxe.static_script(menu("教室"), 80),
        grub.configuration(menu("教室"), 80),
        pxelinux.configurations(menu("教室"), 80)["default"],
    ):
        assert "a (6.1)" in text


@given(st.text(), st.text())
def test_a_text_stays_one_word_of_grub_and_one_line_of_pxelinux(title: str, parameters: str) -> None:
    plain = grub.configuration(menu(), 80).splitlines()
    found = grub.configuration(menu(title, parameters), 80).split("\n")[:-1]
    assert len(found) == len(plain)
    for one, other in zip(plain, found, strict=True):
        # What is left of a line without its quoted words is always the same.
        assert re.sub(r"('[^']*'|\\')+", "''", other) == re.sub(r"('[^']*'|\\')+", "''", one)
    lines = pxelinux.configurations(menu(title, parameters), 80)["default"].split("\n")
    assert [each.split()[:1] for each in lines] == [
        each.split()[:1] for each in pxelinux.configurations(menu(), 80)["default"].split("\n")
    ]


def test_tools_that_a_program_lacks_are_left_out() -> None:
    everything = menu(tools=" ".join(Tool))
    script = ipxe.static_script(everything, 80)
    assert re.findall(r"^item (\w+)", script, re.MULTILINE)[1:] == ["local", "restart", "memtest", "shell"]
    for each in ("local", "restart", "memtest", "shell"):
        assert f"\n:{each}\n" in script
    ids = re.findall(r"--id (\w+)", grub.configuration(everything, 80))
    assert ids == ["local", "restart", "firmware", "memtest"]
    labels = re.findall(r"^LABEL (\w+)", pxelinux.configurations(everything, 80)["default"], re.MULTILINE)
    assert labels == ["image_a", "local", "restart", "memtest"]


def test_nobody_gets_a_command_line_unless_asked_for() -> None:
    closed, opened = menu(tools="local"), menu(tools="local shell")
    assert 'superusers=""' in grub.configuration(closed, 80)
    assert "superusers" not in grub.configuration(opened, 80)
    assert "NOESCAPE 1\nALLOWOPTIONS 0\n" in pxelinux.configurations(closed, 80)["default"]
    assert "NOESCAPE" not in pxelinux.configurations(opened, 80)["default"]
    assert "\nshell\n" not in ipxe.static_script(closed, 80)


@pytest.mark.parametrize(("given", "grubs", "pxelinuxs"), [(5000, "5", "50"), (0, "-1", "0"), (1, "1", "1")])
def test_timeouts_mean_the_same_everywhere(given: int, grubs: str, pxelinuxs: str) -> None:
    assert f"set timeout={grubs}\n" in grub.configuration(menu(timeout=given), 80)
    assert f"\nTIMEOUT {pxelinuxs}\n" in pxelinux.configurations(menu(timeout=given), 80)["default"]


def test_pxelinux_asks_for_a_host_by_these_names() -> None:
    hosts = tuple(
        (key, value, MenuChoice("a", RootTransport.NBD, "", None))
        for key, value in (("mac", "52:54:00:AB:00:01"), ("ip", "192.168.67.30"), ("hostname", "pc01"))
    )
    found = pxelinux.configurations(Menu(menu().offer, menu().default, hosts), 80)
    assert sorted(found) == ["01-52-54-00-ab-00-01", "C0A8431E", "default"]
    assert "INITRD ::ltsp/ltsp.img,::ltsp/nbd.img,::ltsp/images/a/" in found["C0A8431E"]
    assert "nbd.img" not in found["default"]
