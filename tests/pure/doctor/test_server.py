"""What the doctor says of the server's own side: each broken thing once, with its next step."""

from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from ltspd.doctor.firewall import Ufw
from ltspd.doctor.server import Holder, Hole, Look, about
from ltspd.model.finding import Severity
from ltspd.model.network import DhcpRole, Link, LinkKind, Network, ServedLink
from ltspd.model.output import Output, Unit

LAN = Link(
    "lan0", 2, "52:54:00:aa:00:01", LinkKind.ETHERNET, True, addresses=(IPv4Interface("192.168.67.1/24"),)
)
SERVED = ServedLink("lan0", LAN.addresses[0], DhcpRole.PROXY)
DHCP = Output("dhcp", activation=Unit("ltspd-dnsmasq.service"), ports=(("udp", 67),))
TFTP = Output("tftp", activation=Unit("ltspd-tftp.service"), ports=(("udp", 69),))
WELL = Look((), Network((SERVED,)), (LAN,), (DHCP, TFTP), ruleset={"nftables": []})


def test_nothing_is_wrong() -> None:
    assert about(WELL) == ()


def test_ports_of_others_are_named_and_our_own_and_systemds_are_not() -> None:
    ours = [
        Holder("udp", 67, "dnsmasq", 5, "ltspd-dnsmasq.service"),
        Holder("udp", 69, "systemd", 1, "init.scope"),
    ]
    assert about(replace(WELL, holders=ours)) == ()
    (port,) = about(replace(WELL, holders=[*ours, Holder("udp", 4011, "pxe", 7, "pxe.service")]))
    assert (port.severity, port.subject) == (Severity.ERROR, "port 4011/udp")
    assert "pxe (pid 7, pxe.service)" in port.cause
    assert "systemctl disable --now pxe.service" in port.step


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("", "kill 7"),
        ("session-2.scope", "kill 7"),
        ("user@1000.service", "kill 7"),
        (r"pxe\x2dboot.service", r"systemctl disable --now 'pxe\x2dboot.service'"),
    ],
)
def test_only_that_process_is_stopped(unit: str, command: str) -> None:
    (port,) = about(replace(WELL, holders=[Holder("udp", 4011, "pxe", 7, unit)]))
    assert port.step == f"Stop it ('{command}'), then 'ltspctl apply'."


def test_a_file_is_one_word_of_the_command() -> None:
    (found,) = about(replace(WELL, unreadable=("/srv/tftp/a b;reboot",)))
    assert found.step.startswith("'chmod o+rX '/srv/tftp/a b;reboot'', then")


def test_links_without_a_role() -> None:
    bare = Link("lan1", 3, "52:54:00:aa:00:02", LinkKind.ETHERNET, True)
    (found,) = about(replace(WELL, links=(LAN, bare, replace(bare, name="wlan0", kind=LinkKind.WIRELESS))))
    assert (found.severity, found.subject) == (Severity.WARNING, "link lan1")
    assert "no IPv4 address" in found.cause
    (found,) = about(replace(WELL, links=(replace(LAN, name="lan2"),), network=Network(())))
    assert "DHCP_LINKS" in found.step


def test_a_firewall_a_file_a_hole_and_a_problem_come_in_the_order_of_their_weight() -> None:
    hole = Hole("dnsmasq-base", "2.90-4", "2.90-5", "a hole")
    found = about(
        replace(
            WELL,
            ufw=Ufw(""),
            unreadable=("/srv/tftp",),
            holes=(hole,),
            problems=("output dhcp: it is down.",),
        )
    )
    assert [each.subject for each in found] == [
        "output dhcp",
        "firewall on lan0",
        "TFTP /srv/tftp",
        "package dnsmasq-base",
    ]
    assert "ufw allow in on lan0 proto udp to any port 67,69,4011" in found[1].step
    assert found[0].cause == "it is down."


def test_serving_that_is_off_comes_first() -> None:
    found = about(replace(WELL, network=replace(WELL.network, serving=False), problems=("output x: broken",)))
    assert [(each.subject, each.step) for each in found] == [
        ("serving", "'ltspctl serve on'."),
        ("output x", ""),
    ]


def test_what_nobody_needs_is_not_looked_at() -> None:
    off = replace(TFTP, wanted=False)
    assert about(replace(WELL, outputs=(DHCP, off), holders=[Holder("udp", 69, "tftpd", 9, "")])) == ()


OUT = Link("ext0", 3, "52:54:00:aa:00:03", LinkKind.ETHERNET, True, default_route=True)
ROUTED = replace(
    WELL, network=Network((replace(SERVED, role=DhcpRole.REAL),), nat=True), links=(LAN, OUT), outputs=()
)
CHAIN = {"family": "inet", "table": "t", "name": "f", "hook": "forward", "type": "filter", "policy": "drop"}


def test_what_a_firewall_drops_of_what_goes_through_is_named_where_clients_are_routed() -> None:
    ours = "table inet t {\n\tchain f {"
    for saved, lasting in ((ours, True), (ours.replace(" t ", " tt "), False), (ours[:-7], False)):
        look = replace(ROUTED, ruleset={"nftables": [{"chain": CHAIN}]}, saved=saved)
        (found,) = (each for each in about(look) if each.severity is Severity.ERROR)
        assert found.cause == "nftables (table inet t) drops what they send to other networks by ext0."
        assert "nft insert rule inet t f 'iifname \"lan0\" accept'; nft insert" in found.step
        added = "echo 'insert rule inet t f iifname \"lan0\" accept' >>/etc/nftables.conf"
        assert (added in found.step) == lasting
        assert ("until the rules are loaded anew" in found.step) == (not lasting)
        without = replace(look, network=replace(look.network, nat=False))
        assert [each for each in about(without) if each.severity is Severity.ERROR] == []
    (found,) = (each for each in about(replace(ROUTED, ufw=Ufw(""))) if each.severity is Severity.ERROR)
    assert found.step.startswith("Let it in: ufw route allow in on lan0 out on ext0.")
