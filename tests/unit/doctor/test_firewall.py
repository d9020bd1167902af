"""Whether a firewall lets machines in: real rulesets as `nft -j` prints them, and what is not known."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from ltspd.doctor.firewall import Drop, Packet, dropped, nft_commands, ufw_commands, ufw_lets_in
from tests.worlds.daemon import NEEDS_ROOT

DHCP, TFTP, NFS = (
    Packet("lan0", "udp", 67, "192.168.67.1"),
    Packet("lan0", "udp", 69, "192.168.67.1"),
    ("tcp", 2049),
)
PLAIN = """
table inet filter {
    set ports { type inet_service; flags interval; elements = { 22, 60-69 } }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lo" accept
        ct state invalid drop
        icmp type echo-request accept
        PORTS
    }
}
"""
ZONES = """
table inet firewalld {
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES {
        iifname "wan0" goto filter_IN_external
        goto filter_IN_public
    }
    chain filter_IN_external {
        tcp dport 22 accept
    }
    chain filter_IN_public {
        jump filter_IN_public_allow
        meta l4proto { icmp, ipv6-icmp } accept
    }
    chain filter_IN_public_allow {
        tcp dport 22 accept
        udp dport 67 accept
    }
}
"""
pytestmark = [NEEDS_ROOT, pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft (nftables)")]


@pytest.fixture
def namespace() -> Iterator[str]:
    """Make a network of its own, whose rules the test sets."""
    name = f"firewall-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def where(namespace: str, rules: str, packet: Packet) -> Drop | None:
    inside = ["ip", "netns", "exec", namespace, "nft"]
    subprocess.run([*inside, "flush", "ruleset"], check=True)
    subprocess.run([*inside, "-f", "-"], input=rules.encode(), check=True)
    said = subprocess.run([*inside, "--json", "list", "ruleset"], capture_output=True, check=True)
    return dropped(json.loads(said.stdout), packet)


INPUT = Drop("inet", "filter", "input")


@pytest.mark.parametrize(
    ("rule", "drop"),
    [
        ("", INPUT), ("udp dport 67 accept", None), ("udp dport { 67, 69 } accept", None),
        ("udp dport 60-70 accept", None), ("udp dport @ports accept", None), ("udp dport 68 accept", INPUT),
        ("tcp dport 67 accept", INPUT), ("meta l4proto udp th dport 67 accept", None),
        ('iifname "lan*" accept', None), ('iifname "wan0" accept', INPUT), ('iifname != "wan0" accept', None),
        ("ip daddr 192.168.67.0/24 accept", None), ("ip protocol udp drop", INPUT),
        ("udp dport vmap { 67 : accept, 69 : drop }", None), ("ip6 saddr fe80::/10 accept", INPUT),
        # Who sends it is not known, so nothing is claimed.
        ("ip saddr 10.0.0.0/8 accept", None), ("limit rate 5/second accept", None),
    ],
)  # fmt: skip
def test_plain_rules(namespace: str, rule: str, drop: Drop | None) -> None:
    assert where(namespace, PLAIN.replace("PORTS", rule), DHCP) == drop


def test_firewalld_is_told_by_its_zone(namespace: str) -> None:
    assert where(namespace, ZONES, DHCP) is None
    found = where(namespace, ZONES, TFTP)
    assert found is not None
    assert found.zone == "public"
    commands = list(nft_commands(found, "lan0", [("udp", 69), NFS]))
    assert commands == [
        "firewall-cmd --permanent --zone=public --add-port=69/udp --add-port=2049/tcp",
        "firewall-cmd --reload",
    ]
    outside = where(namespace, ZONES, Packet("wan0", "udp", 67, "10.0.3.2"))
    assert outside is not None
    assert outside.zone == "external"


def test_the_command_that_is_offered_lets_it_in(namespace: str) -> None:
    rules = PLAIN.replace("PORTS", "")
    drop = where(namespace, rules, TFTP)
    assert drop is not None
    for command in nft_commands(drop, "lan0", [("udp", 67), ("udp", 69), NFS]):
        subprocess.run(["ip", "netns", "exec", namespace, "sh", "-c", command], check=True)
    said = subprocess.run(
        ["ip", "netns", "exec", namespace, "nft", "--json", "list", "ruleset"],
        capture_output=True,
        check=True,
    )
    for packet in (DHCP, TFTP, Packet("lan0", *NFS, "192.168.67.1")):
        assert dropped(json.loads(said.stdout), packet) is None
    assert dropped(json.loads(said.stdout), Packet("lan0", "udp", 4011, "192.168.67.1")) == INPUT


def test_no_rules_and_broken_ones_claim_nothing() -> None:
    assert dropped({}, DHCP) is None
    chain = {"family": "inet", "table": "t", "name": "c", "hook": "input", "type": "filter", "policy": "drop"}
    jump = {"family": "inet", "table": "t", "chain": "c", "expr": [{"jump": {"target": "c"}}]}
    assert dropped({"nftables": [{"chain": chain}, {"rule": jump}]}, DHCP) is None
    assert dropped({"nftables": [{"chain": chain}, {"rule": {**jump, "expr": [{"jump": 3}]}}]}, DHCP) is None


RULES = """*filter
### RULES ###
### tuple ### allow udp 67,69 0.0.0.0/0 any 0.0.0.0/0 in_lan0
-A ufw-user-input -i lan0 -p udp -m multiport --dports 67,69 -j ACCEPT
### tuple ### allow any 10809:10822 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in
"""


@pytest.mark.parametrize(
    ("link", "protocol", "port", "in_"),
    [
        ("lan0", "udp", 67, True), ("lan0", "udp", 69, True), ("wan0", "udp", 69, False),
        ("wan0", "tcp", 10820, True), ("lan0", "tcp", 80, False), ("lan0", "tcp", 2049, False),
    ],
)  # fmt: skip
def test_ufw(link: str, protocol: str, port: int, in_: bool) -> None:
    assert ufw_lets_in(RULES, Packet(link, protocol, port, "10.0.0.1")) is in_


def test_the_commands_for_ufw_name_link_and_ports() -> None:
    assert list(ufw_commands("lan0", [("udp", 67), ("udp", 69), NFS])) == [
        "ufw allow in on lan0 proto udp to any port 67,69",
        "ufw allow in on lan0 proto tcp to any port 2049",
    ]
