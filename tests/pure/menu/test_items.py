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
    known = ["local", "restart", "setup", "memtest", "shell"]
    assert re.findall(r"^(?:iseq .* && )?item (\w+)", script, re.MULTILINE)[1:] == known
    assert "\niseq ${platform} efi && item setup Firmware setup ||\n" in script
    for each in known:
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


def test_without_a_menu_grub_waits_for_nobody() -> None:
    assert "set timeout_style=hidden\nset timeout=0\n" in grub.configuration(menu(timeout=None), 80)
    assert "set timeout_style=menu\nset timeout=5\n" in grub.configuration(menu(timeout=5000), 80)


def test_pxelinux_asks_for_a_host_by_these_names() -> None:
    hosts = tuple(
        (key, value, MenuChoice("a", RootTransport.NBD, "", None))
        for key, value in (("mac", "52:54:00:AB:00:01"), ("ip", "192.168.67.30"), ("hostname", "pc01"))
    )
    found = pxelinux.configurations(Menu(menu().offer, menu().default, hosts), 80)
    assert sorted(found) == ["01-52-54-00-ab-00-01", "C0A8431E", "default"]
    assert "INITRD ::ltsp/ltsp.img,::ltsp/nbd.img,::ltsp/images/a/" in found["C0A8431E"]
    assert "nbd.img" not in found["default"]


def test_earlier_generations_are_named_by_the_time_of_their_build() -> None:
    made = "20250101T235900Z-0a1b2c3d"
    entries = (Entry("a", "g", "6.1", title="Class"), Entry("a", made, "6.0", channel=made))
    offered = Menu(Offer(entries, NFS), MenuChoice(f"a@{made}", RootTransport.NFS, "", 5000))
    title = "a (6.0), 2025-01-01 23:59:00 UTC"
    assert f"\nitem image_a@{made} {title}\n" in (script := ipxe.static_script(offered, 80))
    assert f"\nset image a@{made}\n" in script
    assert f"\n:image_a@{made}\nset name a\nset generation {made}\n" in script
    text = grub.configuration(offered, 80)
    assert f"menuentry '{title}' --id 'image_a@{made}' --unrestricted {{\n  start_image 'a' '{made}'" in text
    assert f"set default='image_a@{made}'\n" in text
    text = pxelinux.configurations(offered, 80)["default"]
    assert f"LABEL image_a@{made}\n  MENU LABEL {title}\n  MENU DEFAULT\n" in text
    assert f"LINUX ::ltsp/images/a/generations/{made}/vmlinuz\n" in text


# ---- images of several architectures ---------------------------------------------------------------


def mixed(transport: RootTransport = NFS) -> Menu:
    entries = (
        Entry("pc", "g", "6.1", architecture="x86_64"),
        Entry("old", "g", "6.1", architecture="i686", nbd=False),
        Entry("arm", "g", "6.1", architecture="aarch64", nbd=False),
    )
    return Menu(Offer(entries, transport), MenuChoice("arm", RootTransport.NBD, "", None))


def test_a_machine_is_offered_what_it_can_run() -> None:
    script = ipxe.static_script(mixed(), 80)
    assert "\niseq ${machine} arm && item image_arm arm (6.1) ||\n" in script
    assert "\niseq ${machine} x86 && item image_old old (6.1) ||\n" in script
    # Where another image was chosen for it, the first of its own starts.
    assert "\niseq ${machine}:${image} x86:arm && set image pc ||\n" in script
    assert "\niseq ${machine}:${image} arm:old && set image arm ||\n" in script
    for text in (grub.configuration(mixed(), 80), pxelinux.configurations(mixed(), 80)["default"]):
        assert "image_old" in text
        assert "menuentry 'arm" not in text
        assert "LABEL image_arm" not in text


def test_with_one_architecture_no_machine_is_asked_which_it_is() -> None:
    assert "buildarch" not in ipxe.static_script(menu(), 80)


@pytest.mark.parametrize(
    ("usual", "instead"),
    [(NFS, "nfs"), (RootTransport.HTTP, "http"), (RootTransport.NBD, "http")],
)
def test_what_has_no_program_for_nbd_gets_its_root_otherwise(usual: RootTransport, instead: str) -> None:
    script = ipxe.static_script(mixed(usual), 80)
    assert f"set name old\nset generation g\niseq ${{root}} nbd && set root {instead} ||\n" in script
    assert "set name pc\nset generation g\ngoto load\n" in script
    assert f'if [ "$root_way" = nbd ]; then set root_way={instead}; fi' in grub.configuration(
        mixed(usual), 80
    )
    text = pxelinux.configurations(mixed(usual), 80)["default"]
    assert "APPEND ltsp.root=nbd ltsp.image=pc" in text
    assert f"APPEND ltsp.root={instead} ltsp.image=old" in text
