"""Lines for servers that we can't run, read as their makers document them: each machine gets its program."""

import re
import shlex
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import pytest

from ltspd.model.facts import Facts
from ltspd.network.firmware import PI_TITLE, pxe_menu
from ltspd.outputs import foreign
from tests.worlds.planning import conf, link, world

PROGRAMS = ("undionly.kpxe", "snponly.efi", "shimx64.efi")
TEXT = "[server]\nDHCP_LINKS=lan0=foreign\n[52:54:00:0a:*]\nBOOT_WAY=shim\n"
PC, SHIM, PI = "52:54:00:00:00:01", "52:54:00:0a:00:01", "b8:27:eb:00:00:01"


def lines(server: str) -> list[str]:
    boots = {each: f"/usr/lib/ipxe/{each}" for each in PROGRAMS}
    facts = Facts(links=(link("lan0", "10.0.3.2/24"),), boot_programs=boots)
    found = foreign.lines(world(conf(TEXT), facts))["lan0"][server].splitlines()
    return [each for each in found if not each.startswith("#")]


Told = Mapping[int, str]


def by_windows(mac: str, vendor: str, user: str = "") -> Told:
    """Return the options of the first policies that fit."""
    classes: dict[str, str] = {}
    policies: dict[str, bool] = {}
    told: dict[int, str] = {}
    for line in lines("windows"):
        # A comma binds its words into one list.
        words = shlex.split(line)
        given = dict(zip(words[1::2], words[2::2], strict=False))
        match words[0]:
            case "Add-DhcpServerv4Class":
                classes[given["-Name"]] = given["-Data"]
            case "Add-DhcpServerv4Policy":
                assert int(given["-ProcessingOrder"]) == len(policies) + 1
                assert given["-Condition"] == "AND"
                bare = mac.replace(":", "").upper()
                sent: dict[str, Callable[[str], bool]] = {
                    "-VendorClass": lambda name: vendor.startswith(classes[name.rstrip("*")]),
                    "-UserClass": lambda name: classes[name] == user,
                    "-MacAddress": lambda each, bare=bare: fnmatchcase(bare, each),  # type: ignore[misc]
                }
                policies[given["-Name"]] = all(
                    any(fits(each) for each in given[name].removeprefix("EQ,").split(","))
                    for name, fits in sent.items()
                    if name in given
                )
            case "Set-DhcpServerv4OptionValue" if policies[given["-PolicyName"]]:
                told.setdefault(int(given["-OptionId"]), given["-Value"])
    return told


def by_mikrotik(mac: str, vendor: str, user: str = "") -> Told:
    """Return the options of the first matcher that fits."""
    del mac
    options: dict[str, tuple[int, str]] = {}
    sets: dict[str, list[str]] = {}
    for line in lines("mikrotik"):
        given = dict(each.split("=", 1) for each in shlex.split(line) if "=" in each)
        if " option add" in line:
            options[given["name"]] = (int(given["code"]), re.sub("^s'(.*)'$", r"\1", given["value"]))
        elif " sets add" in line:
            sets[given["name"]] = given["options"].split(",")
        elif " matcher add" in line:
            sent = {"60": vendor, "77": user}[given["code"]]
            kind, value = given["matching-type"], given["value"]
            if sent == value or (kind == "substring" and value in sent):
                return {66: "10.0.3.2", **dict(options[each] for each in sets[given["option-set"]])}
    return {}


@pytest.mark.parametrize("told", [by_windows, by_mikrotik])
def test_each_kind_of_machine_is_told_its_program(told: Callable[..., Told]) -> None:
    ours = {66: "10.0.3.2"}
    assert told(PC, "PXEClient:Arch:00000:UNDI:002001") == {**ours, 67: "ltsp/undionly.kpxe"}
    for number in (7, 9):
        assert told(PC, f"PXEClient:Arch:{number:05}:UNDI:003016") == {**ours, 67: "ltsp/snponly.efi"}
    uri = {60: "HTTPClient", 67: "http://10.0.3.2/ltsp/snponly.efi"}
    # A boot server's address beside a whole URI does no harm.
    assert {**told(PC, "HTTPClient:Arch:00016:UNDI:003016"), **ours} == {**ours, **uri}
    for vendor in ("PXEClient:Arch:00000:UNDI:002001", "PXEClient:Arch:00007:UNDI:003010"):
        assert told(PC, vendor, "iPXE") == {**ours, 67: "ltsp/ltsp.ipxe"}
    # No program is here for it, and this is no machine that boots.
    assert told(PC, "PXEClient:Arch:00011:UNDI:003016") == {}
    assert told(PC, "MSFT 5.0") == {}


def test_windows_knows_machines_by_their_mac_addresses() -> None:
    assert by_windows(SHIM, "PXEClient:Arch:00007:UNDI:003016")[67] == "ltsp/shimx64.efi"
    assert by_windows(SHIM, "HTTPClient:Arch:00016:UNDI:003016")[67] == "http://10.0.3.2/ltsp/shimx64.efi"
    found = by_windows(PI, "PXEClient:Arch:00000:UNDI:002001")
    assert bytes(int(each, 16) for each in found[43].split(",")) == pxe_menu(PI_TITLE)
    assert found[60] == "PXEClient"


def test_mikrotik_sends_machines_of_this_network_to_us() -> None:
    (line,) = (each for each in lines("mikrotik") if " network set" in each)
    assert line == '/ip dhcp-server network set [find address="10.0.3.0/24"] next-server=10.0.3.2'
    assert "shim" not in " ".join(lines("mikrotik"))
