"""Who boots what where BOOT_WAY names another boot program than iPXE."""

from dataclasses import replace

import pytest

from ltspd.model.facts import Facts
from ltspd.model.image import Image
from ltspd.model.menu import GRUB, SHIM, Authority, BootWay, Loader, Menu
from ltspd.network.firmware import Boot, Vendor, boots
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import conf, decide, image, link

PROGRAMS = ("undionly.kpxe", "snponly.efi", "shimx64.efi", "pxelinux.0")
SHIM_ROOM = "[52:54:00:0a:*]\nBOOT_WAY=shim\n"


def menu(text: str) -> Menu:
    return decide(text).menu


def file(
    text: str, mac: str, number: int, *, full: bool = False, programs: tuple[str, ...] = PROGRAMS
) -> str:
    """Return what a machine boots: the first entry that fits; ``full`` is an iPXE that can run our menu."""
    vendor = Vendor.HTTP if number in (15, 16) else Vendor.PXE

    def fits(boot: Boot) -> bool:
        kind = full if boot.menu else boot.vendor is vendor and number in boot.numbers
        return kind and (not boot.macs or mac.startswith(boot.macs))

    return next(filter(fits, boots(programs, menu(text)))).file


def test_a_machine_has_its_own_way_and_all_others_theirs() -> None:
    mine, other = "52:54:00:0a:00:01", "52:54:00:0b:00:01"
    assert [file(SHIM_ROOM, mine, number) for number in (7, 9, 16, 0)] == [*[SHIM] * 3, "undionly.kpxe"]
    assert [file(SHIM_ROOM, other, number) for number in (7, 16)] == ["snponly.efi"] * 2
    # Whatever its card's own iPXE could do.
    assert file(SHIM_ROOM, mine, 7, full=True) == SHIM
    assert file(SHIM_ROOM, other, 7, full=True) == "ltsp.ipxe"


def test_one_machine_keeps_ipxe_where_all_others_get_another_program() -> None:
    text = "[clients]\nBOOT_WAY=pxelinux\n[52:54:00:0a:00:01]\nBOOT_WAY=ipxe\n"
    assert file(text, "52:54:00:0a:00:01", 0) == "undionly.kpxe"
    assert file(text, "52:54:00:0a:00:01", 0, full=True) == "ltsp.ipxe"
    assert file(text, "52:54:00:0a:00:02", 0) == "pxelinux.0"
    # PXELINUX is for a BIOS.
    assert file(text, "52:54:00:0a:00:02", 7) == "snponly.efi"


def test_what_names_one_machine_goes_before_what_names_many() -> None:
    text = f"[52:54:00:0a:00:01]\nBOOT_WAY=auto\n{SHIM_ROOM}"
    assert menu(text).ways == (("52:54:00:0a:00:01", BootWay.AUTO), ("52:54:00:0a:", BootWay.SHIM))
    assert file(text, "52:54:00:0a:00:01", 7) == "snponly.efi"
    assert file(text, "52:54:00:0a:00:02", 7) == SHIM
    # As for all parameters, the section that comes first counts.
    assert menu(f"{SHIM_ROOM}{text}").ways == (("52:54:00:0a:", BootWay.SHIM),)


def test_a_way_whose_program_is_missing_is_none() -> None:
    assert file(SHIM_ROOM, "52:54:00:0a:00:01", 7, programs=("snponly.efi",)) == "snponly.efi"


def test_what_secure_boot_would_refuse_is_a_problem_where_it_is_used() -> None:
    def said(text: str, *least: int) -> list[str]:
        both = (frozenset(Authority),)
        found = {
            GRUB: Loader(generations={"grub": 4}),
            SHIM: Loader(both, {"shim": 4}, {"grub": 4 + sum(least)}),
        }
        problems = plan(conf(text), Facts(loaders=found), Paths()).problems
        return [each.message for each in problems if each.subject == "secure boot"]

    assert said(SHIM_ROOM) == []
    (message,) = said(SHIM_ROOM, 1)
    assert message.startswith("grubx64.efi is grub,4, and shimx64.efi writes grub,5 into firmware")
    assert said("[clients]\nBOOT_WAY=ipxe\n", 1) == []


def test_a_way_that_nobody_can_go_is_a_problem() -> None:
    def said(text: str, *programs: str) -> list[str]:
        facts = Facts(boot_programs={each: f"/usr/lib/{each}" for each in programs})
        return [each.message for each in plan(conf(text), facts, Paths()).problems if each.subject == "menu"]

    (message,) = said("[clients]\nBOOT_WAY=pxelinux\n", "pxelinux.0", "ldlinux.c32", "menu.c32")
    assert message.startswith("BOOT_WAY=pxelinux needs libutil.c32 on this server: 'apt install pxelinux")
    assert (
        said("[clients]\nBOOT_WAY=pxelinux\n", "pxelinux.0", "ldlinux.c32", "menu.c32", "libutil.c32") == []
    )
    (message,) = said("[pc01]\nBOOT_WAY=shim\n")
    assert message.startswith("BOOT_WAY= of pc01 in ltsp.conf does not count")
    (message,) = said("[192.168.67.30]\nBOOT_WAY=ipxe\n")
    assert "192.168.67.30" in message


@pytest.mark.parametrize(
    ("programs", "text", "says"),
    [
        (
            "",
            "",
            "what boots a BIOS and UEFI is not installed, so such machines are told nothing to boot: install",
        ),
        ("snponly.efi", "", "what boots a BIOS is not installed, so"),
        ("ipxe.pxe", "", "what boots UEFI is not installed, so"),
        ("ipxe.pxe ipxe.efi", "", ""),
        # The other programs of the usual way count as well, but not what single machines get.
        ("undionly.kpxe shimx64.efi", "[clients]\nBOOT_WAY=shim\n", ""),
        ("undionly.kpxe shimx64.efi", SHIM_ROOM, "what boots UEFI is not installed, so"),
    ],
)
def test_a_kind_of_firmware_without_a_program_is_a_problem(programs: str, text: str, says: str) -> None:
    (said,) = boot_problems(text, programs) or [""]
    assert said.startswith(says)
    assert bool(said) == bool(says)
    assert not said or said.endswith("install ipxe ('apt install ipxe').")


def boot_problems(text: str, programs: str, *images: Image, links: bool = True) -> list[str]:
    facts = Facts(
        boot_programs={each: f"/usr/lib/{each}" for each in programs.split()},
        links=(link("eth0", "10.0.3.2/24"),) if links else (),
        images=images,
    )
    return [
        each.message for each in plan(conf(text), facts, Paths()).problems if each.subject == "boot programs"
    ]


def test_arm_is_thought_of_where_there_is_an_image_for_it_and_nothing_is_where_nobody_is_served() -> None:
    both = "undionly.kpxe snponly.efi"
    (generation,) = image("arm").generations
    arm = Image("arm", (replace(generation, architecture="aarch64"),), generation.id)
    (said,) = boot_problems("", both, arm)
    assert said.startswith("what boots UEFI on ARM is not installed, so such machines")
    assert "ipxe of Debian 13 or later" in said
    assert boot_problems("", f"{both} snponly-arm64.efi", arm) == []
    assert boot_problems("", both, image("x86")) == []
    assert boot_problems("", "", links=False) == []
