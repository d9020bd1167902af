"""Which account a client opens by its own key: by ltsp.conf, by what is sure of it, by the account."""

import pytest

from ltspd.config.autologin import AUTOLOGIN, PASSWORDS, Autologin
from ltspd.logins import accounts
from ltspd.model.account import Account
from ltspd.model.client import Enrolled
from ltspd.model.facts import Facts
from ltspd.model.output import File
from ltspd.outputs import outputs
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import conf, link, world

KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"
OTHER = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'B' * 43}"
MAC, MAC2 = "52:54:00:00:00:01", "52:54:00:00:00:02"
ME = Enrolled(MAC, KEY, kept=True, since=1, address="192.168.67.20", hostname="pc01")
YOU = Enrolled(MAC2, OTHER, kept=False, since=2, address="192.168.67.21", hostname="pc02")


def facts(*enrolled: Enrolled, **more: object) -> Facts:
    names = ("guest01", "guest20", "guest21", "anna", "teacher")
    accounts = tuple(
        Account(each, 1000 + place, 1000, "", f"/home/{each}", "/bin/bash")
        for place, each in enumerate(names)
    )
    return Facts(links=(link("eth0", "192.168.67.1/24"),), accounts=accounts, enrolled=enrolled, **more)  # type: ignore[arg-type]


def opened(text: str, *enrolled: Enrolled, **more: object) -> list[tuple[str, str]]:
    found = plan(conf(text), facts(*(enrolled or (ME,)), **more), Paths())
    return [(each.account, each.mac) for each in found.openings]


def told(text: str, *enrolled: Enrolled, **more: object) -> str:
    found = plan(conf(text), facts(*(enrolled or (ME,)), **more), Paths())
    return "\n".join(str(each) for each in found.problems if each.subject == "AUTOLOGIN")


# ---- what ltsp.conf says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hostname", "account"),
    [
        ("anna", "pc01", "anna"), ("pc/guest", "pc01", "guest01"), ("pc/guest", "other", ""),
        ("^ltsp/guest", "ltsp20", "guest20"), ("^pc/guest", "xpc1", ""), ("[a-z]*/u", "pc01", "u01"),
        ("pc.*/guest", "pc01", "guest"), ("0$/x", "pc10", "pc1x"), ("a/b", "aa", "ba"),
        ("[^p]*/x", "pc", "xpc"),
    ],
)  # fmt: skip
def test_an_account_follows_from_the_host_name_as_in_ltsp(text: str, hostname: str, account: str) -> None:
    found = AUTOLOGIN.reader.read(text)
    assert isinstance(found, Autologin)
    assert found.account(hostname) == account


@pytest.mark.parametrize(
    "text",
    ["a b", "root:x", "/guest", "pc/", r"\(pc\)/x", "(a)/b", "a+/b", "a|b/c", "a?/b", "[z-a]/x", "a/../b",
     "-x", "a*b*c*d*/x", "[/x", "é", "pc/gu&est", "a/b\n", ".ssh"],
)  # fmt: skip
def test_what_clients_may_read_differently_is_refused(text: str) -> None:
    assert AUTOLOGIN.problem(text)


def test_of_passwords_only_the_names_are_read() -> None:
    assert PASSWORDS.reader.read(
        "teacher/cXdlcjEyMzQK [a-z][-0-9]*/MTIzNAo= guest[^:]*/ anna/a/b= anna/"
    ) == (
        "teacher",
        "anna",
    )
    assert PASSWORDS.secret


# ---- whom it is said of ----------------------------------------------------------------------


def test_a_section_by_mac_address_counts_for_the_machine_with_that_key() -> None:
    text = f"[{MAC}]\nAUTOLOGIN=anna\n"
    assert opened(text, ME, YOU) == [("anna", MAC)]
    assert opened("[clients]\nAUTOLOGIN=anna\n", ME, YOU) == [("anna", MAC), ("anna", MAC2)]
    assert opened("[clients]\nAUTOLOGIN=anna\n[pc01]\nAUTOLOGIN=\n", ME, YOU) == [
        ("anna", MAC),
        ("anna", MAC2),
    ]
    assert opened("", ME, YOU) == opened("[server]\nAUTOLOGIN=anna\n", ME) == []


def test_a_name_that_only_the_client_says_opens_nothing() -> None:
    assert opened("[pc01]\nAUTOLOGIN=teacher\n") == []
    text = "[clients]\nAUTOLOGIN=pc/guest\n"
    assert opened(text) == []
    assert "give it a HOSTNAME=" in told(text)


def test_a_name_that_ltsp_conf_gives_counts() -> None:
    assert opened(f"[{MAC}]\nHOSTNAME=pc01\n[pc01]\nAUTOLOGIN=teacher\n") == [("teacher", MAC)]
    assert opened(f"[clients]\nAUTOLOGIN=pc/guest\n[{MAC}]\nHOSTNAME=pc01\n") == [("guest01", MAC)]
    assert opened("[clients]\nAUTOLOGIN=ltsp/guest\n") == [("guest20", MAC)]
    assert opened("[clients]\nHOSTNAME=pc%{IP}\nAUTOLOGIN=pc/guest\n", ME, YOU) == [
        ("guest20", MAC),
        ("guest21", MAC2),
    ]


def test_nobody_gets_what_the_address_of_a_known_machine_opens() -> None:
    text = "[192.168.67.20]\nAUTOLOGIN=teacher\n"
    thief = Enrolled(MAC2, OTHER, kept=True, since=2, address=ME.address, hostname="pc01")
    assert opened(text, ME, thief) == [("teacher", MAC)]
    assert opened("[clients]\nAUTOLOGIN=ltsp/guest\n", ME, thief) == [("guest20", MAC)]
    # Before the machine is known, or if its key lasts for a boot only, the network is all that there is.
    assert opened(text, thief) == [("teacher", MAC2)]


def test_passwords_open_the_accounts_that_are_named_without_them() -> None:
    text = f"[{MAC}]\nAUTOLOGIN=anna\nPASSWORDS_PC01='anna/cGFzczAx teacher/x guest.*/'\n"
    assert opened(text) == [("anna", MAC), ("teacher", MAC)]
    (file,) = (each for each in rendered(text) if each.path.endswith("anna"))
    assert b"cGFz" not in file.data


def test_a_directory_is_asked_for_accounts_that_are_named_outright() -> None:
    text = f"[clients]\nAUTOLOGIN=pc/guest\n[{MAC}]\nAUTOLOGIN=lena\nPASSWORDS_A='lena/x otto/x g.*/'\n"
    text += "[a]\nAUTOLOGIN='x y'\n"
    assert accounts(conf(text).document) == ("lena", "otto")


# ---- accounts --------------------------------------------------------------------------------


def test_accounts_that_are_not_there_or_closed_are_named_and_not_opened() -> None:
    text = "[clients]\nAUTOLOGIN=nobody1\n"
    assert opened(text) == []
    assert "nobody1" in told(text)
    closed = {"anna": "is locked (usermod -U unlocks it)"}
    assert opened("[clients]\nAUTOLOGIN=anna\n", closed=closed) == []
    assert "anna, but it is locked" in told("[clients]\nAUTOLOGIN=anna\n", ME, YOU, closed=closed)
    assert told("[clients]\nAUTOLOGIN=anna\n") == ""


def test_with_enrol_off_nothing_is_opened_and_that_is_said() -> None:
    text = "[server]\nENROL=off\n[clients]\nAUTOLOGIN=anna\n"
    assert opened(text) == []
    assert "ENROL=off" in told(text)
    assert told("[server]\nENROL=off\n") == ""


def test_many_reasons_are_few_lines() -> None:
    text = "".join(f"[52:54:00:00:00:{each:02x}]\nAUTOLOGIN=none{each}\n" for each in range(9))
    many = [Enrolled(f"52:54:00:00:00:{each:02x}", KEY, kept=True, since=1) for each in range(9)]
    assert len(told(text, *many).splitlines()) == 6
    assert "4 more" in told(text, *many)


# ---- the output ------------------------------------------------------------------------------


def rendered(text: str, *enrolled: Enrolled) -> tuple[File, ...]:
    found = outputs(world(conf(text), facts(*(enrolled or (ME,)))))
    return next((each.files for each in found if each.name == "login-keys"), ())


def test_each_account_has_a_file_with_a_line_for_each_client() -> None:
    (file,) = rendered("[clients]\nAUTOLOGIN=anna\n", ME, YOU)
    assert file.path == "/var/lib/ltspd/outputs/login/keys/anna"
    options = 'restrict,command="internal-sftp"'
    assert file.data.decode() == f"{options} {KEY} {MAC}\n{options} {OTHER} {MAC2}\n"
    assert file.mode == 0o644
    assert rendered("") == ()


def test_what_is_no_key_and_no_name_never_gets_into_a_file() -> None:
    assert (
        rendered("[clients]\nAUTOLOGIN=anna\n", Enrolled(MAC, f"{KEY}\nssh-rsa x", kept=True, since=1)) == ()
    )
    assert rendered("[clients]\nAUTOLOGIN=anna\n", Enrolled("x\ny", KEY, kept=True, since=1)) == ()
