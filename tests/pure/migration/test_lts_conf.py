"""LTSP 5's lts.conf: the ltsp.conf that is made from it, and the row of each setting."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.config.configuration import load
from ltspd.config.document import Host
from ltspd.config.evaluate import Index, effective
from ltspd.config.parameters import find, is_secret, is_unread
from ltspd.config.parse import parse
from ltspd.migration import lts_keys
from ltspd.migration.lts_conf import LARGEST, Fate, Row, Unreadable, translate
from ltspd.migration.lts_keys import KEYS
from tests.worlds.ltsp_confs import ODD

# A name for each row of the table; those of families end in digits.
NAMES = sorted({each.name.replace("[0-9]*", "07").replace("[0-9]", "1").replace("*", "1") for each in KEYS})
SECTIONS = [
    "default", "Default", "00:11:22:AA:bb:cc", "00-11-22-aa-bb-cc", "192.168.67.20", "192.168.*", "pc01",
    "beamer", "my room", "my-room", "server", "common", "clients", "unnamed", "room:a", "image/x",
    "a|b", "é", "", "[",
]  # fmt: skip
VALUES = [
    *ODD, "True", "Y", "n", "False", "guest", "pc01", "1024x768", '"1024x768" "800x600"', "'a b'", '"a b" c',
    "a # b", "# b", '"a', "$(id)", "`id`", "$SERVER", "server:/home /home nfs defaults 0 0", "8.8.8.8", "mac",
    '"25.18 640 656 752 800 480 490 492 525"', "hush",
]  # fmt: skip
_line = st.one_of(
    st.builds(
        "{}{}{}".format, st.sampled_from(NAMES), st.sampled_from(["=", " = ", "\t="]), st.sampled_from(VALUES)
    ),
    st.sampled_from(SECTIONS).map(lambda name: f"LIKE = {name}"),
    st.sampled_from(["LDM_AUTOLOGIN=True", "LDM_AUTOLOGIN=n", "LDM_USERNAME=ada", "HOSTNAME=pc7", "OTHER=1"]),
    st.sampled_from(["# a remark", "; another", "nonsense", "", "#LDM_PASSWORD=x", "export SOUND=True"]),
    st.text(max_size=20),
)
_section = st.tuples(st.sampled_from(SECTIONS), st.lists(_line, max_size=6))


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = draw(st.lists(_line, max_size=3))
    for name, body in draw(st.lists(_section, max_size=8)):
        lines += [f"[{name}]", *body]
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def values(text: str, mac: str = "", hostname: str = "") -> dict[str, str]:
    """Return what counts for a client by the ltsp.conf that is made from a lts.conf."""
    index = Index(parse(translate(text).text))
    found = effective(index, Host(mac, "192.168.67.20", hostname))
    return {name: each.text for name, each in found.items()}


def rows(text: str) -> list[tuple[int, str, Fate, str]]:
    return [(each.line, each.key, each.fate, each.became) for each in translate(text).rows]


def row(setting: str) -> Row:
    (found,) = translate(f"[default]\n{setting}\n").rows
    return found


@given(st.one_of(texts(), st.text(), st.text(alphabet="[]=\"'#;$`\\\n\r\tLIKEADM_ 0")))
def test_whatever_is_in_it_the_result_is_an_ltsp_conf_and_nothing_is_lost(text: str) -> None:
    result = translate(text)
    config = load({"x": result.text})
    assert config.ok, config.errors
    assert not config.document.mistakes
    told = {each.line for each in result.rows}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        plain = line.strip()
        silent = not plain or plain[0] in "#;[" or not line.removesuffix("\r").strip(" \t")
        assert silent or number in told, line
    taken = [each for section in config.document.sections for each in section.assignments]
    assert {each.name for each in taken} <= {each.became for each in result.rows}, "each has its reason"
    assert all(find(each.name) or is_unread(each.name) for each in taken)


@given(texts())
def test_no_password_is_copied(text: str) -> None:
    said = [line for line in text.splitlines() if re.match(r"[ \t]*#?LDM_PASSWORD", line)]
    result = translate("[default]\nLDM_PASSWORD=hush1\n#LDM_PASSWORD = hush1\nmy password is hush1\n" + text)
    assert "hush1" not in result.text + str(result.rows)
    assert all("LDM_PASSWORD=hush" not in each for each in result.text.splitlines()), said


@pytest.mark.parametrize("name", NAMES)
def test_each_name_has_a_reason_or_a_parameter(name: str) -> None:
    found = lts_keys.find(name, "1")
    assert found is not None
    assert found.why or found.target
    assert not found.why.endswith(".")
    if found.target:
        assert not is_secret(found.target)
        assert not found.gone


def test_no_row_of_the_table_is_hidden_by_an_earlier_one() -> None:
    for place, each in enumerate(KEYS):
        for before in KEYS[:place]:
            hidden = fnmatchcase(each.name, before.name) and before.value in ("*", each.value)
            assert not hidden, f"{before.name} hides {each.name}"


def test_what_has_a_name_here_counts_or_will() -> None:
    """Whether a parameter has its effect is what this release says, not the table."""
    for name in ("TIMEZONE", "CUPS_SERVER", "CRONTAB_01", "LANG", "NBD_SWAP", "DNS_SERVER", "FSTAB_1"):
        found = row(f"{name}=8.8.8.8" if name == "DNS_SERVER" else f"{name}=True")
        parameter = find(name)
        assert found.fate is (Fate.DONE if parameter else Fate.LATER), found
        assert found.became == (name if parameter or is_unread(name) else "")


def test_a_section_is_like_another_one_where_it_says_nothing_itself() -> None:
    text = (
        "[pc01]\nSEARCH_DOMAIN=own\nLIKE=Beamer\n"
        "[beamer]\nSEARCH_DOMAIN=theirs\nSERVER=10.0.0.9\n"
        "[Default]\nSERVER=10.0.0.1"
    )
    assert values(text, hostname="pc01") == {"SEARCH_DOMAIN": "own", "SERVER": "10.0.0.9"}
    assert values(text) == {"SERVER": "10.0.0.1"}


def test_macs_are_found_in_any_case_and_with_dashes() -> None:
    text = "[00-A1-08-EB-43-27]\nSERVER=10.0.0.1\n[00:A1:08:EB:43:28]\nSERVER=10.0.0.2"
    assert values(text, "00:a1:08:eb:43:27")["SERVER"] == "10.0.0.1"
    assert values(text, "00:a1:08:eb:43:28")["SERVER"] == "10.0.0.2"


def test_names_of_sections_that_mean_something_else_here_are_others() -> None:
    text = "[server]\nSERVER=10.0.0.1\n[pc01]\nLIKE=server\n[Server]\nSEARCH_DOMAIN=x\n"
    text += "[my room]\n[my-room]\n[my:room]\n"
    assert values(text, hostname="pc01") == {"SERVER": "10.0.0.1", "SEARCH_DOMAIN": "x"}
    result = translate(text)
    assert re.findall(r"^\[.*\]$", result.text, re.MULTILINE) == [
        "[section-server]", "[pc01]", "[section-my-room]", "[my-room]", "[section-my-room-1]",
    ]  # fmt: skip
    assert [each.key for each in result.rows if each.became.startswith("[")] == [
        "[server]",
        "[my room]",
        "[my:room]",
    ]


def test_circles_of_like_are_opened() -> None:
    text = "[a]\nLIKE=b\nSERVER=10.0.0.1\n[b]\nLIKE=a\n[c]\nLIKE=c\n[d]\nLIKE=a\n"
    assert values(text, hostname="d") == {"SERVER": "10.0.0.1"}
    assert [each.line for each in translate(text).rows if each.fate is Fate.REFUSED] == [2, 5, 7]
    assert load({"x": translate(text).text}).findings == ()


def test_long_chains_of_like_end_where_clients_can_follow() -> None:
    text = (
        "".join(f"[s{number}]\nLIKE=s{number + 1}\n" for number in range(300)) + "[s300]\nSERVER=10.0.0.1\n"
    )
    assert load({"x": translate(text).text}).ok
    assert any(each.fate is Fate.REFUSED for each in translate(text).rows)


@pytest.mark.parametrize(
    ("section", "account"),
    [
        ("LDM_USERNAME=guest", "guest"),
        ("LDM_AUTOLOGIN=False", ""),
        ("LDM_AUTOLOGIN=False\nLDM_USERNAME=guest", ""),
        ("HOSTNAME=pc07", "pc07"),
        ("HOSTNAME_BASE=room", "room/room"),
        ("LIKE=group", "ada"),
        ("LIKE=group\nHOSTNAME=pc07", "ada"),
        ("SOUND=True", "ltsp/ltsp"),
    ],
)
def test_who_is_logged_in_is_the_same(section: str, account: str) -> None:
    text = f"[default]\nLDM_AUTOLOGIN=True\n[group]\nLDM_USERNAME=ada\n[pc01]\n{section}\n"
    assert values(text, hostname="pc01").get("AUTOLOGIN", "") == account


def test_nobody_is_logged_in_by_a_name_alone() -> None:
    assert rows("[default]\nLDM_USERNAME=guest\n") == [(2, "LDM_USERNAME", Fate.GONE, "")]


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("HOSTNAME_BASE=pc", "pc%{IP}"),
        ("HOSTNAME_EXTRA=mac", "ltsp%{MAC}"),
        ("HOSTNAME_BASE=pc\nHOSTNAME_EXTRA=mac", "pc%{MAC}"),
        ("HOSTNAME_BASE=pc\nHOSTNAME=teacher", "teacher"),
    ],
)
def test_host_names(lines: str, name: str) -> None:
    assert values(f"[default]\n{lines}\n")["HOSTNAME"] == name


def test_modes_of_the_screen_become_one_list() -> None:
    text = "[default]\nX_MODE_1=800x600\nX_MODE_0 = 1024x768\n"
    assert values(text)["X_MODES"] == '"1024x768" "800x600"'
    assert [(key, became) for _, key, _, became in rows(text)] == [
        ("X_MODE_1", "X_MODES"),
        ("X_MODE_0", "X_MODES"),
    ]
    assert values('[default]\nX_MODE_0="1024x768 800x600"\n')["X_MODES"] == '"1024x768" "800x600"'
    timing = "25.18 640 656 752 800 480 490 492 525 -hsync"
    assert values(f'[default]\nX_MODE_0="{timing}"\nX_MODE_1=vga\n') == {
        "X_MODELINE": f"640x480 {timing}", "X_MODES": '"vga"',
    }  # fmt: skip
    assert values(f'[default]\nX_MODE_0="own {timing}"\n')["X_MODELINE"] == f"own {timing}"


def test_the_program_of_a_kiosk() -> None:
    assert values("[default]\nKIOSK_EXE=/usr/bin/firefox\n") == {"KIOSK_COMMAND": "/usr/bin/firefox"}


def test_a_desktop_of_another_host() -> None:
    text = '[default]\nSCREEN_07="rdesktop -a 16"\nRDP_SERVER=win\nRDP_OPTIONS="-a 16"\n'
    assert values(text) == {"SESSION": "rdp", "RDP_SERVER": "win"}


def test_mounted_homes_are_said_to_be_mounted() -> None:
    text = '[default]\nFSTAB_1="server:/home /home nfs ro 0 0"\nFSTAB_2="server:/data /data nfs ro 0 0"\n'
    assert values(text)["HOME_KIND"] == "mounted"
    assert "HOME_KIND" not in values(text.replace("/home nfs", "/homes nfs"))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SEARCH_DOMAIN=a", "a"),
        ("  SEARCH_DOMAIN =  a.b \t", "a.b"),
        ('search_domain="a" # remark', "a"),
        ("SEARCH_DOMAIN='a'#remark", "a"),
        ("SEARCH_DOMAIN=a  # remark", "a"),
        ("SEARCH_DOMAIN=a#b", "a#b"),
        ("SEARCH_DOMAIN=a b", "a b"),
        ("export SEARCH_DOMAIN=a\r", "a"),
        ("SEARCH_DOMAIN=\\", "\\"),
        ('SEARCH_DOMAIN="it\'s"', "it's"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert values(f"[default]\n{line}\n") == {"SEARCH_DOMAIN": value}


@pytest.mark.parametrize(
    ("line", "fate", "message"),
    [
        ('SEARCH_DOMAIN="a', Fate.REFUSED, "can't be read"),
        ('SEARCH_DOMAIN="a" b', Fate.REFUSED, "can't be read"),
        ("SEARCH_DOMAIN=it's", Fate.REFUSED, "can't be read"),
        ("SEARCH_DOMAIN=$(id)", Fate.REFUSED, "code of the shell"),
        ("DNS_SERVER=server", Fate.REFUSED, "as DNS_SERVER it has 'server', which is not an IPv4 address"),
        ("nonsense", Fate.REFUSED, "neither a section nor NAME = value"),
        ("LIKE=nobody", Fate.REFUSED, "no section of that name"),
        ("LIKE=default", Fate.GONE, "counts for every client anyway"),
        ("LDM_PASSWORD=x", Fate.GONE, "AUTOLOGIN needs no password"),
        ("SCREEN_07=ldm", Fate.GONE, "display manager"),
        ("SCREEN_02=rdesktop", Fate.LATER, "on one screen"),
        ("HOSTNAM=pc", Fate.UNKNOWN, "ltsp.conf has HOSTNAME"),
        ("DHCP_LEASE=8h", Fate.UNKNOWN, "lts.conf has no such name"),
        ("SOUND\u2028=1", Fate.REFUSED, "neither a section nor NAME = value"),
    ],
)
def test_what_is_not_taken_over_says_why_and_is_a_comment(line: str, fate: Fate, message: str) -> None:
    result = translate(f"[default]\n{line}\n")
    found = result.rows[-1]
    assert (found.line, found.fate, found.became) == (2, fate, "")
    assert message in found.message
    assert "\n#- " in result.text
    assert not any(section.entries for section in parse(result.text).sections)


def test_passwords_in_other_settings_are_told() -> None:
    found = row('FSTAB_1="//nas/x /x cifs username=a,password=b 0 0"')
    assert (found.fate, found.became) == (Fate.DONE, "FSTAB_1")
    assert "clients do not get it" in found.message


def test_remarks_stay_and_what_is_larger_than_any_lts_conf_is_refused() -> None:
    assert "\n# for all\n" in translate("[default]\n  ## for all\n").text
    with pytest.raises(Unreadable, match="is this the right file"):
        translate("#" * (LARGEST + 1))
    many = "".join(f"[pc{number}]\nLDM_AUTOLOGIN=y\n" for number in range(5000))
    with pytest.raises(Unreadable, match="which nothing would read"):
        translate(f"[default]\nLDM_USERNAME={'a' * 250}\n{many}")
