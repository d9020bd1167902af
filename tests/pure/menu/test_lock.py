"""The password of the menu: what is read, which lines ask for it, and what is refused by name."""

import re

import pytest

from ltspd.config.configuration import load
from ltspd.config.parse import parse
from ltspd.menu import grub, ipxe, pxelinux
from ltspd.menu.choice import rules
from ltspd.menu.lock import PASSWORD, is_right
from ltspd.model.desired import Desired
from ltspd.model.menu import Lock
from tests.worlds.planning import decide, image

# Of the word "secret", by grub-mkpasswd-pbkdf2 -c 1000 -l 16 -s 8, and by openssl passwd -6.
PBKDF2 = "grub.pbkdf2.sha512.1000.9EB00A670394F4DB.E6D2691536BE685818AD8A45EA9DC2EC"
CRYPT = "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
TWO = (image("a"), image("b"))


WAYS = "[52:54:00:0a:*]\nBOOT_WAY=shim\n[52:54:00:0b:*]\nBOOT_WAY=pxelinux\n"


def of(*lines: str, ways: str = "") -> Desired:
    return decide("[server]\n" + "".join(f"{each}\n" for each in lines) + ways, images=TWO)


def locked(*lines: str) -> tuple[str, ...]:
    return of(f"MENU_PASSWORD='{PBKDF2} {CRYPT}'", *lines).menu.offer.lock.names


def problems(*lines: str) -> list[str]:
    return [each.message for each in of(*lines).problems if each.subject == "menu"]


def test_a_password_is_right_or_not() -> None:
    lock = Lock(pbkdf2=PBKDF2)
    assert is_right(lock, "secret")
    for wrong in ("", "Secret", "secret ", "ä" * 1000, "\ud800"):
        assert not is_right(lock, wrong)
    assert not is_right(Lock(), "")
    assert not is_right(Lock(crypt=CRYPT), "secret")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("secret", "no hash"),
        (f"{PBKDF2} hunter2", "no hash"),
        ("$1$abcdefgh$ltjgWl6579NluT", "no hash"),
        (f"{CRYPT}$", "no hash"),
        (f"{PBKDF2}\\nfoo", "no hash"),
        (PBKDF2.replace("1000", "0"), "no hash"),
        (PBKDF2.replace("1000", "1000001"), "more than 1000000 rounds"),
        (f"{PBKDF2} {PBKDF2}", "two hashes for iPXE and GRUB"),
    ],
)
def test_what_is_no_hash_is_refused_and_not_repeated(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        PASSWORD.reader.read(text)
    assert text not in str(error.value)
    found = load({"/etc/ltsp/ltsp.conf": f"[server]\nMENU_PASSWORD='{text}'\n"})
    assert not found.ok
    assert "hunter2" not in str(found.errors)


def test_both_hashes_may_stand_in_any_order() -> None:
    assert PASSWORD.reader.read(f"{PBKDF2} {CRYPT}") == PASSWORD.reader.read(f"{CRYPT}  {PBKDF2}")
    assert PASSWORD.reader.read(CRYPT) == ("", CRYPT)


def test_all_lines_ask_but_a_restart_unless_some_are_named() -> None:
    assert of().menu.offer.lock == Lock()
    assert locked() == ("a", "b", "local", "firmware")
    assert locked("MENU_LOCKED='b firmware'") == ("b", "firmware")
    assert locked("MENU_LOCKED='?,restart'") == ("a", "b")
    assert locked("MENU_LOCKED=nothing") == ()
    # Who has the command line needs no line of the menu.
    assert locked("MENU_LOCKED=b", "MENU_SHELL=1") == ("b", "shell")
    assert locked("MENU_LOCKED=nothing", "MENU_SHELL=1") == ()


def test_what_cannot_be_is_said_by_name() -> None:
    both = f"MENU_PASSWORD='{PBKDF2} {CRYPT}'"
    assert problems(both) == problems() == []
    (said,) = problems("MENU_LOCKED=b")
    assert said == "MENU_LOCKED= in ltsp.conf does not count without MENU_PASSWORD=."
    (said,) = problems(both, "MENU_LOCKED='b c'")
    assert said == "MENU_LOCKED= names c, but of what can ask the menu has only a, b, local, firmware."
    (said,) = problems(f"MENU_PASSWORD='{CRYPT}'")
    assert said.startswith(
        "MENU_PASSWORD= has no hash that iPXE and GRUB can check, so their menus leave out"
    )
    assert "grub-mkpasswd-pbkdf2" in said
    assert problems(f"MENU_PASSWORD='{PBKDF2}'") == []
    found = [each.message for each in of(f"MENU_PASSWORD='{PBKDF2}'", ways=WAYS).problems]
    assert [each for each in found if "hash that PXELINUX can check" in each]


def test_nobody_can_fetch_it_with_the_menu_of_ipxe() -> None:
    menu = of(f"MENU_PASSWORD='{PBKDF2} {CRYPT}'").menu
    script = ipxe.static_script(menu, 80)
    assert "secret" not in script
    assert PBKDF2 not in script
    assert CRYPT not in script
    # Nor with the others, where no machine uses them.
    assert PBKDF2 not in grub.configuration(menu, 80)
    assert CRYPT not in pxelinux.configurations(menu, 80)["default"]
    text = f"[server]\nMENU_PASSWORD='{PBKDF2}'\n[clients]\nKERNEL_PARAMETERS=x$MENU_PASSWORD\n"
    assert "pbkdf2" not in rules(parse(text))


def of_ipxe(script: str) -> set[str]:
    """Return the lines that iPXE shows; those that ask unless they start by themselves end in a mark."""
    asks = r"^set line ask_(\w+)\niseq \$\{image\} \w+ && set line \1 \|\|\nitem \$\{line\} "
    rows = re.findall(r"^(?:iseq \$\{image\} \w+ && )?item (\w+) ", script, re.MULTILINE)
    return {
        *(f"{each}!" for each in re.findall(asks, script, re.MULTILINE)),
        *(f"{each[4:]}!" if each.startswith("ask_") else each for each in rows),
    }


def of_grub(text: str) -> set[str]:
    rows = re.findall(r"^menuentry .* --id '?(\w+)'? (\S+) \{", text, re.MULTILINE)
    return {name if who == "--unrestricted" else f"{name}!" for name, who in rows}


def of_pxelinux(text: str) -> set[str]:
    rows = (each.split("\n") for each in re.split("^LABEL ", text, flags=re.MULTILINE)[1:])
    return {f"{name}!" if any("MENU PASSWD $6$" in each for each in more) else name for name, *more in rows}


def shown(*lines: str) -> tuple[set[str], set[str], set[str]]:
    menu = of(*lines, ways=WAYS).menu
    return (
        of_ipxe(ipxe.static_script(menu, 80)),
        of_grub(grub.configuration(menu, 80)),
        of_pxelinux(pxelinux.configurations(menu, 80)["default"]),
    )


def test_the_three_menus_ask_for_the_same_lines() -> None:
    by_ipxe, by_grub, by_pxelinux = shown(f"MENU_PASSWORD='{PBKDF2} {CRYPT}'", "MENU_LOCKED='a b local'")
    # Which image starts by itself, iPXE and GRUB find out: it differs from client to client.
    assert by_ipxe == {"image_a!", "image_b!", "local!", "restart"}
    assert by_grub == {"image_a!", "image_b!", "local!", "restart", "firmware"}
    assert by_pxelinux == {"image_a", "image_b!", "local!", "restart"}


def test_a_program_that_cannot_check_it_leaves_the_line_out() -> None:
    locked = "MENU_LOCKED='b local'"
    by_ipxe, by_grub, by_pxelinux = shown(f"MENU_PASSWORD='{CRYPT}'", locked)
    # But where it starts by itself.
    assert (by_ipxe, by_grub) == (
        {"image_a", "image_b", "restart"},
        {"image_a", "image_b!", "restart", "firmware"},
    )
    menu = of(f"MENU_PASSWORD='{CRYPT}'", locked, ways=WAYS).menu
    assert "\niseq ${image} b && item image_b " in ipxe.static_script(menu, 80)
    assert 'if [ "$who" = --unrestricted ]; then\nmenuentry \'b ' in grub.configuration(menu, 80)
    assert 'superusers=""' in grub.configuration(menu, 80)
    assert by_pxelinux == {"image_a", "image_b!", "local!", "restart"}
    assert shown(f"MENU_PASSWORD='{PBKDF2}'", locked)[2] == {"image_a", "restart"}


def test_with_a_password_the_command_line_is_nobody_elses() -> None:
    lines = (f"MENU_PASSWORD='{PBKDF2} {CRYPT}'", "MENU_LOCKED=b", "MENU_SHELL=1")
    menu = of(*lines, ways=WAYS).menu
    assert 'superusers="admin"' in grub.configuration(menu, 80)
    assert "NOESCAPE 1\nALLOWOPTIONS 0\n" in pxelinux.configurations(menu, 80)["default"]
    script = ipxe.static_script(menu, 80)
    assert "\nitem ask_shell Command line\n" in script
    assert "\nitem shell " not in script
