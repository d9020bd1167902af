"""Which line sets what for one host, and that no secret is told."""

from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.config.document import Host
from ltspd.config.explain import explain, findings, host_of
from ltspd.config.file import ConfFile
from ltspd.errors import ConfigError, InvalidOption
from ltspd.model.state import ConfigFinding, Setting
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.paths import Paths

FILE = "/etc/ltsp/ltsp.conf"
TEXT = """DNS_SERVER=10.0.0.1
[server]
KERNEL_PARAMETERS=quiet
HTTP_PORT=8080
[clients]
HOSTNAME=pc%{IP}
PASSWORDS_ADA=ada/Zm9v
KIOSK="$PASSWORDS_ADA"
[52:54:00:00:00:01]
HOSTNAME=teacher
[192.168.67.20]
DEBUG_SHELL=1
[teacher]
MENU_TIMEOUT=-1
"""


def told(text: str, host: Host) -> dict[str, Setting]:
    return {each.name: each for each in explain(load({FILE: text}), host)}


def test_a_client_gets_its_sections_the_menus_server_values_and_defaults() -> None:
    found = told(TEXT, host_of({"mac": "52-54-00-00-00-01", "ip": "192.168.67.20"}))
    assert found["HOSTNAME"] == Setting("HOSTNAME", "teacher", FILE, 10, False)
    assert found["DEBUG_SHELL"] == Setting("DEBUG_SHELL", "1", FILE, 12, False)
    assert found["MENU_TIMEOUT"] == Setting("MENU_TIMEOUT", "-1", FILE, 14, False)
    assert found["KERNEL_PARAMETERS"] == Setting("KERNEL_PARAMETERS", "quiet", FILE, 3, False)
    assert found["IMAGE_TO_RAM"] == Setting("IMAGE_TO_RAM", "0", "", 0, False)
    assert "HTTP_PORT" not in found


def test_no_word_means_the_server_itself() -> None:
    found = told(TEXT, host_of({}))
    assert found["HTTP_PORT"] == Setting("HTTP_PORT", "8080", FILE, 4, False)
    assert found["DNS_SERVER"].line == 1
    assert found["KEEP_GENERATIONS"] == Setting("KEEP_GENERATIONS", "3", "", 0, False)
    assert "HOSTNAME" not in found


def test_secrets_and_what_is_made_from_them_are_withheld() -> None:
    settings = explain(load({FILE: TEXT}), host_of({"hostname": "other"}))
    assert {each.name for each in settings if each.withheld} == {"PASSWORDS_ADA", "KIOSK"}
    assert "Zm9v" not in repr(settings)


@pytest.mark.parametrize(
    "words", [{"mac": "52:54"}, {"mac": "52:54:00-00:00:01"}, {"ip": "300.1.1.1"}, {"hostname": "a b"}]
)
def test_odd_addresses_are_refused(words: dict[str, object]) -> None:
    with pytest.raises(InvalidOption, match=r"MAC|IPv4|host name"):
        host_of(words)


def test_the_file_on_disk_is_checked_and_what_is_in_force_stays(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path)
    paths.etc.mkdir(parents=True)
    file = ConfFile(paths)
    assert file.check() == ()
    paths.conf.write_text("[server]\nHTTP_PORT=high\n[clients]\nHOSTNAM=x\n")
    error, warning = findings(file.check())
    assert (error.severity, error.file, error.line) == ("error", FILE, 2)
    assert (warning.severity, warning.line) == ("warning", 4)
    assert isinstance(warning, ConfigFinding)
    assert "is HOSTNAME meant?" in warning.message
    assert file.read()[0].settings[HTTP_PORT] == 80
    paths.conf.unlink()
    paths.conf.mkdir()
    with pytest.raises(ConfigError, match=r"ltsp\.conf can't be read"):
        file.check()
