"""Declarations of parameters: each is sound and found, and what they give for one host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ltspd.config import parameters
from ltspd.config.configuration import load
from ltspd.config.document import Severity
from ltspd.config.names import is_parameter_name, is_reserved
from ltspd.config.parameter import CLIENT, MENU, SERVER, Parameter, Settings, Side
from ltspd.config.parameters import (
    collect,
    find,
    is_known,
    is_secret,
    is_unread,
    mistakes,
    of_scripts,
    sides,
    suggestion,
    table,
    unread,
)
from ltspd.config.readers import EXPRESSION, FLAG, TEXT, count
from ltspd.menu.choice import PARAMETERS
from ltspd.paths import client_home
from ltspd.plan import TITLES
from tests import REPOSITORY

# Every parameter in ltsp.conf(5) and the long options of LTSP's commands, which may stand there too.
DOCUMENTED = """
ADD_IMAGE_EXCLUDES OMIT_IMAGE_EXCLUDES AUTOLOGIN RELOGIN GDM3_CONF LIGHTDM_CONF SDDM_CONF CRONTAB_POWEROFF
CUPS_SERVER DEBUG_LOG DEBUG_SHELL DEFAULT_IMAGE KERNEL_PARAMETERS MENU_TIMEOUT DISABLE_SESSION_SERVICES
DISABLE_SYSTEM_SERVICES KEEP_SESSION_SERVICES KEEP_SYSTEM_SERVICES MASK_SESSION_SERVICES MASK_SYSTEM_SERVICES
DNS_SERVER FSTAB_NFS HOSTNAME HOSTS_NFS IMAGE_TO_RAM LOCAL_SWAP MULTISEAT NAT OMIT_FUNCTIONS PASSWORDS_PC01
POST_INIT_LN_XORG PRE_INITRD_BOTTOM_X PWMERGE_SUR PWMERGE_SGR PWMERGE_DGR PWMERGE_DUR REMOTEAPPS RPI_IMAGE
SEARCH_DOMAIN SERVER UDEV_SEAT_1_SOUND X_DRIVER X_HORIZSYNC X_MODELINE X_MODES X_PREFERREDMODE X_VERTREFRESH
X_VIRTUAL BASE_DIR HOME_DIR TFTP_DIR OVERWRITE DNS PROXY_DHCP REAL_DHCP TFTP BACKUP CLEANUP IONICE
KERNEL_INITRD MKSQUASHFS_PARAMS REVERT BINARIES NFS_HOME NFS_TFTP HTTP HTTP_IMAGE HTTP_INDEX HTTP_IMAGES
HTTP_TFTP IN_PLACE IPXE_X86_32_IMG"""


@pytest.mark.parametrize("name", DOCUMENTED.split())
def test_ltsps_parameters_are_known(name: str) -> None:
    assert is_known(name)
    assert not is_reserved(name)


def test_what_is_declared_has_an_effect_though_ltsp_had_the_name_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parameters, "OF_LTSP", ("BEAMER", "TFTP", "IPXE_*", "WAND_*"))
    assert unread() == ("BEAMER", "WAND_*")
    names = ("BEAMER", "BEAMERS", "TFTP", "IPXE_A", "WAND_", "WAND_X")
    assert [each for each in names if is_unread(each)] == ["BEAMER", "WAND_X"]


@pytest.mark.parametrize("name", table())
def test_each_declaration_is_sound(name: str) -> None:
    each = table()[name]
    assert is_parameter_name(name.removesuffix("*"))
    assert not is_reserved(name)
    assert not is_secret(name) or each.secret
    assert each.sides
    assert len(each.help.split()) > 1
    assert not each.help.endswith(".")
    if each.stem:
        assert not each.default, "what a family is by default, nobody could ask for"
    else:
        Settings()[each]


def test_declarations_are_found_wherever_they_are() -> None:
    assert None not in map(find, ("REAL_DHCP", "KEEP_GENERATIONS", "IPXE_X", "FSTAB_X"))
    assert (sides("TFTP"), sides("HOSTNAME"), sides("NOTHING")) == (SERVER, CLIENT, Side(0))


def test_the_gateway_knows_all_parameters_of_the_menu_without_the_table() -> None:
    # It makes the menu of each client, and must not load what the table is collected from.
    assert {*PARAMETERS} == {each for each in table().values() if MENU in each.sides}


def test_the_table_needs_nothing_but_python() -> None:
    """Pages and packages are made where none of our dependencies is installed."""
    code = "from ltspd.config.parameters import table; assert table()"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=REPOSITORY, check=True)


def test_two_declarations_of_one_name_are_refused() -> None:
    seats = Parameter("SEATS", count(), "1", SERVER, "How many seats there are")
    assert list(collect([("a", seats), ("b", seats)])) == ["SEATS"]
    other = Parameter("SEATS", count(), "2", SERVER, "How many seats there are")
    with pytest.raises(ValueError, match="SEATS is declared twice: in a and in b"):
        collect([("a", seats), ("b", other)])


def test_our_own_scripts_have_no_mistakes() -> None:
    assert mistakes() == ()


def test_a_script_of_clients_declares_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("""#!/bin/sh
# Beamers show the login alone.
# parameter: BEAMER bool "0" Show the login on the beamer alone.
# parameter: BEAMER_* text "" A mode of one beamer
# needs: LTSP_API 1
echo "$BEAMER"
# parameter: LATER bool "0" No header any more
""")
    scripts = of_scripts(tmp_path, ())
    beamer, modes = scripts.parameters.values()
    assert scripts.mistakes == []
    assert (beamer.name, beamer.reader, beamer.default, beamer.sides) == ("BEAMER", FLAG, "0", CLIENT)
    assert beamer.help == "Show the login on the beamer alone"
    assert (modes.stem, modes.reader) == ("BEAMER_", TEXT)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("BEAMER", "is not # parameter: NAME"),
        ('BEAMER bool "0"', "is not # parameter: NAME"),
        ("BEAMER bool 0 Help", "is not # parameter: NAME"),
        ('BEAMER boolean "0" Help', "is not # parameter: NAME"),
        ('beamer bool "0" x', "is not # parameter: NAME"),
        ('9LIVES bool "0" Help', "can't be the name of a parameter"),
        ('PATH path "" Help', "can't be the name of a parameter"),
        ('BEAMER bool "yes" Help', "the default of BEAMER, 'yes', is neither 0 nor 1"),
        ('BEAMER_* text "x" Help', "has no default"),
        ('TAKEN bool "0" Help', "is declared elsewhere"),
        ('SEATS count "2" Help', "is declared elsewhere"),
    ],
)
def test_a_line_of_a_header_that_cant_be_read_costs_itself(tmp_path: Path, row: str, reason: str) -> None:
    features = tmp_path / "features"
    features.mkdir()
    (features / "10-a.sh").write_text('# needs: LTSP_API 1\n# parameter: SEATS count "1" Help\n')
    own = features / "61-own.sh"
    own.write_text(f'# needs: LTSP_API 1\n# parameter: {row}\n# parameter: LIGHTS bool "1" Help\n')
    scripts = of_scripts(tmp_path, {"TAKEN"})
    (wrong,) = scripts.mistakes
    assert [*scripts.parameters] == ["SEATS", "LIGHTS"]
    assert scripts.parts == [("a", "a_main"), ("own", "own_main")]
    assert (wrong.severity, wrong.file, wrong.line) == (Severity.WARNING, str(own), 2)
    assert reason in wrong.reason


def test_files_that_are_no_scripts_do_no_harm(tmp_path: Path) -> None:
    features = tmp_path / "features"
    (features / "directory.sh").mkdir(parents=True)
    (features / "gone.sh").symlink_to("nowhere")
    (features / "old.sh").write_bytes(b'# needs: LTSP_API 1\n# caf\xe9\n# parameter: OLD bool "0" caf\xe9\n')
    (features / "none.sh").write_text("#!/bin/sh\n")
    (features / "windows.sh").write_bytes(b"# needs: LTSP_API 1\r\n")
    Path(os.fsdecode(bytes(features) + b"/zo\xeb.sh")).write_text("# parameter: " + "x" * 9999)
    scripts = of_scripts(tmp_path, ())
    wrong = scripts.mistakes
    assert max(len(str(each).encode()) for each in wrong) < 400
    assert [*scripts.parameters] == ["OLD"]
    assert [(Path(each.file).name, each.line) for each in wrong] == [
        ("directory.sh", 0), ("gone.sh", 0), ("none.sh", 1), ("windows.sh", 1),
        ("zo\ufffd.sh", 1), ("zo\ufffd.sh", 1),
    ]  # fmt: skip


def test_a_broken_script_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """An administrator's own feature lies beside ours."""
    home = tmp_path / "client"
    shutil.copytree(client_home(), home)
    (home / "features/61-own.sh").write_text(
        '# needs: LTSP_API 1\n# parameter: BEAMER boolean\n# parameter: IONICE line "" What comes first\n'
    )
    code = f"""
from pathlib import Path
from ltspd import paths
paths._CHECKOUT = Path({str(home)!r})
from ltspd.config.configuration import load
config = load({{"/etc/ltsp/ltsp.conf": "IONICE=Europe/Berlin\\n"}})
assert config.ok
print(*config.findings, sep="\\n")
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
    told = found.stdout.decode().splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"{home}/features/61-own.sh:2: warning: ")


def test_the_servers_settings_hold_nothing_that_it_does_not_read() -> None:
    text = "[server]\nROOT_PASSWORD=hush\nHOSTNAME=x\nWHATEVER=1\nTFTP=0\nIPXE_A_IMG=A\n"
    assert load({"x": text}).settings.texts == {"TFTP": "0", "IPXE_A_IMG": "A"}


def test_a_family_is_asked_for_as_a_whole() -> None:
    settings = Settings({"IPXE_A": "1", "IPXE_": "2", "IPX": "3"})
    assert settings.family(TITLES) == {"A": "1"}
    with pytest.raises(TypeError, match="family"):
        settings[TITLES]


@pytest.mark.parametrize(
    ("wrong", "right"), [("HOSTNME", "HOSTNAME"), ("DNS_SERVERS", "DNS_SERVER"), ("QWERTY", "")]
)
def test_suggestions(wrong: str, right: str) -> None:
    assert suggestion(wrong) == right


@pytest.mark.parametrize("text", ["a.*", "(a|b)[0-9]{2}", r"anna\.b", ":sudo|team"])
def test_an_expression_is_one_for_clients_too(text: str) -> None:
    assert EXPRESSION.read(text) == text


@pytest.mark.parametrize("text", ["(?!x).*", r"\d+", "a+?", "a*+", "(a", "a\nb"])
def test_what_only_python_understands_is_no_expression_for_clients(text: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|one line"):
        EXPRESSION.read(text)
