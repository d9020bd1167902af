"""Which cards a set-up changes, and what is no set-up."""

from dataclasses import replace

import pytest

from ltspd.errors import InvalidOption
from ltspd.model.network import Link, LinkKind
from ltspd.setup.request import Decision, Request, decide
from tests.worlds.planning import link

WAN = replace(link("wan0", "10.0.0.2/24"), default_route=True)
LAN = link("lan0", index=3)
OTHERS = (
    replace(link("wlan0", index=4), kind=LinkKind.WIRELESS),
    link("docker0", "172.17.0.1/16", kind=LinkKind.VIRTUAL, index=5),
    replace(link("port0", index=6), enslaved=True),
)


def decided(*links: Link, **words: object) -> Decision:
    return decide(Request.of(words), links)


def shown(found: Decision) -> list[tuple[str, str]]:
    return [(each.link.name, str(each.address or "dhcp")) for each in found.changes]


def test_two_cards() -> None:
    found = decided(WAN, LAN, *OTHERS, kind="dual", wan="wan0", lan="lan0")
    assert shown(found) == [("lan0", "192.168.67.1/24")]
    assert (found.setup.lan, found.setup.wan, found.setup.dns) == ("lan0", "wan0", True)
    assert not any(each.cuts for each in found.changes)
    found = decided(WAN, LAN, kind="dual", wan="wan0", lan="lan0", address="10.9.0.1/16")
    assert shown(found) == [("lan0", "10.9.0.1/16")]


def test_a_card_that_is_right_stays_as_it_is() -> None:
    there = link("lan0", "192.168.67.5/24", index=3)
    assert shown(decided(WAN, there, kind="dual", wan="wan0", lan="lan0")) == []
    assert shown(decided(WAN, kind="single")) == []


def test_a_card_without_an_address_asks_for_one() -> None:
    assert shown(decided(link("eth0"), kind="single", dns=True)) == [("eth0", "dhcp")]
    wan = link("wan0")
    assert ("wan0", "dhcp") in shown(decided(wan, LAN, kind="dual", wan="wan0", lan="lan0"))
    found = decided(OTHERS[0], LAN, kind="dual", wan="wlan0", lan="lan0")
    assert ("wlan0", "dhcp") not in shown(found)
    assert "connect it to a wireless network" in found.warnings[0]


def test_an_address_that_goes_may_cut_a_connection() -> None:
    found = decided(WAN, link("lan0", "10.0.7.2/24", index=3), kind="dual", wan="wan0", lan="lan0")
    assert [each.cuts for each in found.changes] == [True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"kind": "triple"}, "single or dual"),
        ({"kind": "dual", "lan": "lan0"}, "need --wan"),
        ({"kind": "dual", "lan": "lan0", "wan": "lan0"}, "both cards"),
        ({"kind": "dual", "lan": "lan9", "wan": "wan0"}, "no card 'lan9'"),
        ({"kind": "dual", "lan": "wlan0", "wan": "wan0"}, "wireless"),
        ({"kind": "dual", "lan": "docker0", "wan": "wan0"}, "no wired card"),
        ({"kind": "dual", "lan": "port0", "wan": "wan0"}, "port of a bridge"),
        ({"kind": "dual", "lan": "wan0", "wan": "lan0"}, "reaches the internet"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "10.0.0.9/16"}, "wan0 is in 10.0.0.0/24"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "172.17.9.1/24"}, "docker0 is in"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "10.9.0.0/16"}, "clients beside it"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "10.9.0.1/31"}, "clients beside it"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "127.0.0.1/8"}, "server's address"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "10.9.0.1/x"}, "not an address"),
        ({"kind": "dual", "lan": "lan0", "wan": "wan0", "address": "::1/64"}, "not an address"),
        ({"kind": "single"}, "several wired cards (wan0, lan0)"),
        ({"kind": "single", "lan": "wlan0"}, "wireless"),
        ({"kind": "single", "address": "10.9.0.1/24"}, "neither --wan nor --address"),
    ],
)
def test_what_can_not_be_right_is_said(words: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        decided(WAN, LAN, *OTHERS, **words)
    assert said in caught.value.message


def test_without_a_wired_card_there_is_no_set_up() -> None:
    with pytest.raises(InvalidOption, match="no wired card"):
        decided(*OTHERS, kind="single")
