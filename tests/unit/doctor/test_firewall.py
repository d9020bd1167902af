"""Whether a firewall lets machines in: real rulesets as `nft -j` prints them, and what is not known."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ltspd.doctor.firewall import Drop, Packet, Ufw, dropped
from ltspd.network.firewall import NFTABLES, added, firewalld_ports, nft_ports, nft_routing, ufw_ports
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
        jump filter_INPUT_POLICIES_pre
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_POLICIES_pre {
        jump filter_IN_policy_allow-host-ipv6
    }
    chain filter_IN_policy_allow-host-ipv6 {
        jump filter_IN_policy_allow-host-ipv6_allow
    }
    chain filter_IN_policy_allow-host-ipv6_allow {
        icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
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


def applied(namespace: str, drop: Drop, rules: list[str], saved: str = "") -> Any:
    """Put rules into a chain by the commands that are offered, and into a file; return all rules."""
    inside = ["ip", "netns", "exec", namespace]
    for command in added(f"{drop.family} {drop.table} {drop.chain}", rules, bool(saved)):
        subprocess.run([*inside, "sh", "-c", command.replace(NFTABLES, saved)], check=True)
    said = subprocess.run([*inside, "nft", "--json", "list", "ruleset"], capture_output=True, check=True)
    return json.loads(said.stdout)


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
    assert list(firewalld_ports(found.zone, [("udp", 69), NFS])) == [
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
    said = applied(namespace, INPUT, list(nft_ports("lan0", [("udp", 67), ("udp", 69), NFS])))
    for packet in (DHCP, TFTP, Packet("lan0", *NFS, "192.168.67.1")):
        assert dropped(said, packet) is None
    assert dropped(said, Packet("lan0", "udp", 4011, "192.168.67.1")) == INPUT


def test_the_command_that_is_offered_lets_it_in_when_the_file_of_rules_is_loaded_anew(
    namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "nftables.conf"
    file.write_text(f"flush ruleset\n{PLAIN.replace('PORTS', '')}")
    load = ["ip", "netns", "exec", namespace, "nft", "-f", str(file)]
    subprocess.run(load, check=True)
    rules = list(nft_ports("lan0", [("udp", 67), NFS]))
    applied(namespace, INPUT, rules, str(file))
    subprocess.run(load, check=True)
    said = applied(namespace, INPUT, [])
    assert [dropped(said, each) for each in (DHCP, Packet("lan0", *NFS), TFTP)] == [None, None, INPUT]


# As other software for containers has it: what is not for its own networks is dropped.
FORWARD = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump OTHERS
        ct state established,related accept
        OURS
    }
    chain OTHERS {
        iifname "docker0" oifname != "docker0" accept
        oifname "docker0" ct state established,related accept
    }
}
"""
OUT = Packet("lan0", "tcp", 443, out="ext0")


@pytest.mark.parametrize(
    ("rule", "drop"),
    [
        ("", True), ('iifname "lan0" accept', False), ('oifname "lan0" accept', True),
        ('iifname "lan0" oifname "ext0" accept', False), ('iifname "lan0" oifname "ext1" accept', True),
        # Which address it goes to is not known.
        ('iifname "lan0" ip daddr 192.0.2.0/24 accept', False),
    ],
)  # fmt: skip
def test_what_goes_through(namespace: str, rule: str, drop: bool) -> None:
    chain = Drop("ip", "filter", "FORWARD")
    assert where(namespace, FORWARD.replace("OURS", rule), OUT) == (chain if drop else None)
    # Who may not go through may come in.
    assert where(namespace, FORWARD.replace("OURS", rule), DHCP) is None
    if drop:
        assert dropped(applied(namespace, chain, list(nft_routing("lan0"))), OUT) is None


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
### tuple ### route:deny any any 0.0.0.0/0 any 0.0.0.0/0 in_lan1
### tuple ### route:allow_log any any 0.0.0.0/0 any 0.0.0.0/0 in_lan0!out_ext0 comment=7a7a
### tuple ### deny tcp 10810 0.0.0.0/0 any 192.0.2.0/24 in
### tuple ### allow_log any 10809:10822 0.0.0.0/0 any 0.0.0.0/0 in comment=6c6f67696e73
### tuple ### allow tcp 5432 0.0.0.0/0 any 192.0.2.0/24 PostgreSQL - in
### tuple ### deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow tcp 2049 0.0.0.0/0 any 0.0.0.0/0 out
"""


@pytest.mark.parametrize(
    ("packet", "lets"),
    [
        (Packet("lan0", "udp", 67), True), (Packet("lan0", "udp", 69), True),
        (Packet("wan0", "udp", 69), False), (Packet("wan0", "tcp", 10820), True),
        (Packet("lan0", "tcp", 80), False), (Packet("lan0", "tcp", 2049), False),
        # Who sends it is not known: to some it is let in, and refused to some.
        (Packet("lan0", "tcp", 5432), True), (Packet("lan0", "tcp", 10810), True),
        (OUT, True), (Packet("lan0", "tcp", 443, out="ext1"), False),
        (Packet("lan1", "tcp", 443, out="ext0"), False), (Packet("lan1", "tcp", 10820), True),
    ],
)  # fmt: skip
def test_ufw(packet: Packet, lets: bool) -> None:
    assert Ufw(RULES).lets(packet) is lets
    assert Ufw(RULES, drops=bool(packet.out), drops_routed=not packet.out).lets(packet)


def test_the_commands_for_ufw_name_link_and_ports() -> None:
    assert list(ufw_ports("lan0", [("udp", 67), ("udp", 69), NFS])) == [
        "ufw allow in on lan0 proto udp to any port 67,69",
        "ufw allow in on lan0 proto tcp to any port 2049",
    ]
