"""Debian's firewalls on a server with two cards: what they drop is named, and let in as it is said."""

import contextlib
import json
import re
from dataclasses import dataclass

import pytest

from tests.lab import product
from tests.lab.cards import EVERYTHING, Cards, cards
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# As an administrator writes it: nobody comes in but by ssh, and nothing goes through.
NFTABLES = """#!/usr/sbin/nft -f

flush ruleset

table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lo" accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport 22 accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
    }
}
"""


@dataclass(frozen=True, slots=True)
class Firewall:
    """How a firewall is switched on, and what has it read its rules again."""

    on: str
    again: tuple[str, ...]
    # What a set-up says by itself lets clients in and out.
    said: str = ""


FIREWALLS = {
    "firewalld": Firewall(
        "systemctl enable --now firewalld",
        ("firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld"),
        "firewall-cmd --permanent --zone=trusted --change-interface=lan0; firewall-cmd --reload",
    ),
    "ufw": Firewall(
        "ufw --force enable && systemctl enable --now ufw",
        ("ufw reload", "systemctl restart ufw"),
        "ufw allow in on lan0; ufw route allow in on lan0 out on ext0",
    ),
    "nftables": Firewall(
        "systemctl enable --now nftables", ("systemctl reload nftables", "systemctl restart nftables")
    ),
}


def offered(server: Server) -> list[str]:
    """Return the commands that the doctor says for what a firewall drops."""
    found = json.loads(server.run("ltspctl doctor --json", check=False))
    steps = [each["Step"] for each in found if each["Subject"] == "firewall on lan0"]
    return [re.sub(r"^Let it in: (.*?)\. ('ltspctl|That).*", r"\1", each) for each in steps]


def all_pass(fresh: Cards) -> None:
    # One that is asked while it starts again is asked once more.
    with contextlib.suppress(TimeoutError):
        fresh.server.wait_for(lambda: fresh.reached() == EVERYTHING, 120)
    assert fresh.reached() == EVERYTHING, fresh.server.run("nft list ruleset; ltspctl status")


@pytest.mark.parametrize(
    ("release", "manager", "name"),
    [
        ("bookworm", "systemd-networkd", "firewalld"),
        ("trixie", "NetworkManager", "firewalld"),
        ("bookworm", "NetworkManager", "ufw"),
        ("trixie", "systemd-networkd", "ufw"),
        ("bookworm", "systemd-networkd", "nftables"),
        ("trixie", "systemd-networkd", "nftables"),
    ],
)
def test_what_a_firewall_drops_is_named_and_let_in_for_good(release: str, manager: str, name: str) -> None:
    firewall = FIREWALLS[name]
    with cards(f"{release}-firewalls", manager, {"bookworm": "client"}) as fresh:
        run = fresh.server.run
        product.build(fresh.server, "bookworm")
        if name == "nftables":
            fresh.server.write("/etc/nftables.conf", NFTABLES)
        run(firewall.on)
        assert firewall.said in run("ltspctl setup dual --wan ext0 --lan lan0 --yes")
        product.settled(fresh.server)
        assert fresh.reached() == set()
        found = offered(fresh.server)
        assert found
        # One after the other, and each once: what is still said afterwards was no help.
        for commands in found:
            if commands in offered(fresh.server):
                run(f"set -e; {commands}")
        assert offered(fresh.server) == []
        all_pass(fresh)
        for command in firewall.again:
            run(command)
            all_pass(fresh)
        fresh.reboot()
        product.settled(fresh.server)
        assert offered(fresh.server) == []
        all_pass(fresh)


@pytest.mark.parametrize(("release", "name"), [("bookworm", "firewalld"), ("trixie", "ufw")])
def test_what_the_set_up_says_lets_clients_in_and_out(release: str, name: str) -> None:
    with cards(f"{release}-firewalls", "systemd-networkd", {"bookworm": "client"}) as fresh:
        product.build(fresh.server, "bookworm")
        fresh.server.run(FIREWALLS[name].on)
        fresh.server.run("ltspctl setup dual --wan ext0 --lan lan0 --yes")
        fresh.server.run(FIREWALLS[name].said)
        product.settled(fresh.server)
        all_pass(fresh)
