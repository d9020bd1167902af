"""Files of ifupdown before and after a card has got its address in them."""

import re
from ipaddress import IPv4Interface

from ltspd.setup.interfaces import DIRECTORY, MAIN, converted, has
from ltspd.setup.request import Change
from tests.worlds.planning import link

LOOPBACK = "auto lo\niface lo inet loopback\n"
CHANGE = Change(link("lan0"), IPv4Interface("192.168.67.1/24"))
OURS = "auto lan0\niface lan0 inet static\n    address 192.168.67.1/24\n"


def test_a_card_of_nobody_gets_a_file_of_its_own() -> None:
    main = f"{LOOPBACK}source /etc/network/interfaces.d/*\n"
    found = converted({MAIN: main}, CHANGE)
    assert list(found) == [f"{DIRECTORY}/ltspd-lan0"]
    assert found[f"{DIRECTORY}/ltspd-lan0"].endswith(OURS)


def test_the_file_of_a_vlan_is_one_that_ifup_reads() -> None:
    change = Change(link("lan0.5"), IPv4Interface("192.168.67.1/24"))
    (path,) = converted({MAIN: f"source-directory {DIRECTORY}\n"}, change)
    # interfaces(5): run-parts(8) says which names count.
    assert re.fullmatch("[A-Za-z0-9_-]+", path.removeprefix(f"{DIRECTORY}/"))


def test_without_a_directory_the_lines_go_to_the_end() -> None:
    text = converted({MAIN: LOOPBACK}, CHANGE)[MAIN]
    assert text.startswith(LOOPBACK)
    assert text.endswith(OURS)


def test_old_stanzas_of_the_card_are_commented_out_and_no_others() -> None:
    stanza = "iface lan0 inet dhcp\n\tmetric 5\n"
    other = "iface lan00 inet dhcp\n\tmetric 6\n"
    files = {MAIN: f"{LOOPBACK}source-directory {DIRECTORY}\n", f"{DIRECTORY}/cards": f"{stanza}\n{other}"}
    assert has(files, "lan0")
    found = converted(files, CHANGE)
    assert found[f"{DIRECTORY}/cards"] == f"#ltspd# iface lan0 inet dhcp\n#ltspd# \tmetric 5\n\n{other}"
    assert not has({MAIN: found[f"{DIRECTORY}/cards"]}, "lan0")
