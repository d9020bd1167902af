"""What routes for clients and answers their questions for names, with the files that are rendered for them.

In plain network namespaces: a room, a server, and what is outside, which knows nothing of the room.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ltspd.model.facts import Facts
from ltspd.outputs import dns, nat
from tests import REPOSITORY
from tests.worlds.planning import conf, link, programs, world

NAMES = ("room", "server", "outside")
SERVER, OUTSIDE = "192.168.67.1", "10.0.3.1"
CONF = f"[server]\nNAT=1\nDNS=1\nDNS_SERVER={OUTSIDE}\nDNS_BLACKLIST={{}}\nDHCP_LINKS=ext0=off\n"
LINKS = (link("ext0", "10.0.3.2/24"), link("lan0", f"{SERVER}/24", index=3))
SWITCHES = "cd /proc/sys/net/ipv4; grep . ip_forward conf/all/accept_redirects conf/*/forwarding"


class Place:
    """The namespaces, and a directory that the script of the unit has for its own."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._prefix = f"ltspd-routing-{os.getpid()}"
        self._directory = directory
        self._stack = stack
        for name in NAMES:
            subprocess.run(["ip", "netns", "add", f"{self._prefix}-{name}"], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", f"{self._prefix}-{name}"], check=True)
            self.run(name, "ip link set lo up")
        for name, card, peer in (("room", "pc0", "lan0"), ("outside", "web0", "ext0")):
            there = f"{self._prefix}-{name}"
            self.run(
                "server",
                f"ip link add {peer} type veth peer name {card} netns {there}; ip link set {peer} up",
            )
            self.run(name, f"ip link set {card} up")
        self.run("server", f"ip address add {SERVER}/24 dev lan0; ip address add 10.0.3.2/24 dev ext0")
        self.run("room", f"ip address add 192.168.67.9/24 dev pc0; ip route add default via {SERVER}")
        self.run(
            "outside", f"ip address add {OUTSIDE}/24 dev web0; ip route add 192.168.67.0/24 via 10.0.3.2"
        )
        facts = Facts(links=LINKS, programs=programs("dnsmasq", "nft"))
        black = directory / "black"
        black.write_text("0.0.0.0 ads.test\n")
        here = world(conf(CONF.format(black)), facts)
        for module in (nat, dns):
            (file,) = module.render(here).files
            (directory / Path(file.path).name).write_bytes(file.data)
        os.chmod(directory, 0o755)

    def run(self, name: str, script: str) -> str:
        argv = ["nsenter", f"--net=/run/netns/{self._prefix}-{name}", "--", "sh", "-ec", script]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"in {name}, {script!r} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def fails(self, name: str, script: str) -> bool:
        try:
            self.run(name, script)
        except RuntimeError:
            return True
        return False

    def nat(self, verb: str) -> None:
        """Run what the unit runs, with the test's files in the place of those of the system."""
        script = (REPOSITORY / "nat/nat").read_text()
        script = script.replace("/var/lib/ltspd/outputs", str(self._directory))
        mine = self._directory / "nat"
        mine.write_text(script.replace("/run/ltspd-nat", str(self._directory)))
        self.run("server", f"sh {mine} {verb}")

    def dnsmasq(self, name: str, *arguments: str) -> None:
        """Run dnsmasq until the test ends; it goes to the background once it answers."""
        pid = self._directory / f"{name}.pid"
        self.run(name, shlex.join(["dnsmasq", f"--pid-file={pid}", "--user=root", *arguments]))
        self._stack.callback(lambda: os.kill(int(pid.read_text()), 15))

    def asks(self, name: str) -> str:
        """Return the address that a client in the room is told for a name."""
        answer = self.run("room", f"busybox nslookup -type=a {name} {SERVER} 2>&1 || true")
        return answer.rpartition("Address: ")[2].strip() if answer.count("Address") > 1 else ""

    @property
    def conf(self) -> str:
        return str(self._directory / "dns.conf")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def test_clients_get_out_and_nobody_gets_in_and_off_leaves_nothing(place: Place) -> None:
    ping = "busybox ping -c 1 -W 2"
    before = place.run("server", f"nft list ruleset; {SWITCHES}")
    assert place.fails("room", f"{ping} {OUTSIDE}")
    place.nat("start")
    # Without the way back to the room, only translation lets an answer come.
    place.run("outside", "ip route delete 192.168.67.0/24")
    place.run("room", f"{ping} {OUTSIDE}")
    place.run("outside", "ip route add 192.168.67.0/24 via 10.0.3.2")
    assert place.fails("outside", f"{ping} 192.168.67.9")
    rules = place.run("server", "nft list ruleset")
    place.nat("start")
    assert place.run("server", "nft list ruleset") == rules
    place.nat("stop")
    assert place.run("server", f"nft list ruleset; {SWITCHES}") == before
    assert place.fails("room", f"{ping} {OUTSIDE}")


def test_forwarding_stays_where_others_need_it_by_now(place: Place) -> None:
    place.nat("start")
    other = "add table ip other; add chain ip other out { type nat hook postrouting priority 100; }"
    place.run("server", f"nft '{other}; add rule ip other out masquerade'")
    place.nat("stop")
    assert place.run("server", "cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    assert "ltspd-nat" not in place.run("server", "nft list tables")


def test_clients_are_told_names_from_outside_and_none_of_the_blacklist(place: Place) -> None:
    upstream = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--listen-address={OUTSIDE}"]
    place.dnsmasq(
        "outside",
        *upstream,
        "--bind-interfaces",
        "--address=/www.test/10.0.9.9",
        "--address=/ads.test/9.9.9.9",
    )
    place.dnsmasq("server", f"--conf-file={place.conf}")
    assert place.asks("www.test") == "10.0.9.9"
    assert place.asks("ads.test") == "0.0.0.0"
    # Nobody but the room is answered: the other card, the loopback and so other programs' sockets stay free.
    listening = place.run("server", "ss -Hln 'sport = :53'")
    assert {line.split()[4] for line in listening.splitlines()} == {f"{SERVER}:53"}
