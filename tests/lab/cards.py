"""A server whose cards nobody has set up yet, between a network outside and a room with a client.

Outside, a router gives addresses and answers for names, and a web server is behind it. Neither knows the
room, so whoever reaches the web server from there goes through the server's address translation.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tests.lab import product, reach
from tests.lab.dhcp import DISCOVER, VENDOR, Answer, Cable, Machine
from tests.lab.net import SERVER_ADDRESS, Lan, ip, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, leftovers, open_session
from tests.patience import PATIENCE

WAN, LAN = "ext0", "lan0"
ROUTER, WEB, NAME = "10.0.3.1", "10.0.9.9", "www.outside.test"
PAGE = "this is outside"

# The cards' own configuration, as an installation leaves it: one asks the router for an address.
NETWORKD = f"[Match]\nName={WAN}\n[Network]\nDHCP=yes\n"
# A container has no udev, without which NetworkManager takes a card for one that others still prepare.
# It makes connections of its own for cards at its start only, so they would not be there after undoing.
NM = "[main]\nno-auto-default=*\n[device]\nmatch-device=*\nmanaged=1\n"
KEYFILE = (
    f"[connection]\nid=outside\nuuid=5ac1e7b2-0c1f-4b61-8f13-0a4f4e0e2b11\ntype=ethernet\ninterface-name={WAN}\n"
    "[ipv4]\nmethod=auto\n"
)
OUTSIDE = {
    "systemd-networkd": ("/etc/systemd/network/50-outside.network", NETWORKD),
    "NetworkManager": ("/etc/NetworkManager/system-connections/outside.nmconnection", KEYFILE),
}
# How the clients' card gets an address that a set-up takes from it.
GIVEN = {
    "systemd-networkd": "printf '[Match]\\nName=lan0\\n[Network]\\nAddress=10.7.0.2/24\\n'"
    " >/etc/systemd/network/60-room.network; networkctl reload",
    "NetworkManager": "nmcli connection add type ethernet ifname lan0 con-name room ip4 10.7.0.2/24",
}
# What a client does with its lease: busybox's udhcpc gives it as the environment.
_LEASED = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router"
printf 'nameserver %s\\n' $dns >"$RESOLV"
"""
# What one does that got none.
_UNLEASED = (
    f"ip address add 192.168.67.251/24 dev pc0; ip route add default via {SERVER_ADDRESS}; "
    f"echo nameserver {SERVER_ADDRESS} >"
)
# All that a machine in the room gets of the server, and by it.
EVERYTHING = {"DHCP", "TFTP", "HTTP", "NFS", "NBD", "login", "outside"}
_FETCH = f"import urllib.request as r; print(r.urlopen('http://{NAME}/page', timeout=20).read().decode())"


@dataclass(slots=True)
class Cards:
    """The server between outside and its room; ``server`` is another one after each reboot."""

    session: Session
    lan: Lan
    tree: str
    manager: str
    sources: Mapping[str, str] = field(default_factory=dict)
    server: Server = field(init=False)

    def boot(self) -> None:
        """Start the server with nothing on its cards, as a machine starts."""
        for card in (WAN, LAN):
            ip(self.lan.server, f"address flush dev {card}", f"link set {card} down", f"link set {card} up")
        _in(self.lan.server, "nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward")
        # Else systemd-nspawn shows the switches of the container's own network read-only.
        with patch.dict(os.environ, SYSTEMD_NSPAWN_API_VFS_WRITABLE="network"):
            self.server = start_server(self.session, self.lan, tree=self.tree, sources=self.sources)
        product.wait_until_up(self.server)

    def begin(self, *, outside: bool) -> None:
        """Let the program that has the cards start, also at each boot; ``outside``: one of them is set up."""
        if self.manager == "NetworkManager":
            self.server.write("/etc/NetworkManager/conf.d/90-container.conf", NM)
        if outside:
            path, text = OUTSIDE[self.manager]
            self.server.write(path, text)
            self.server.path(path).chmod(0o600 if self.manager == "NetworkManager" else 0o644)
        self.server.run(f"systemctl enable --now {self.manager}")
        if outside:
            self.online()

    def online(self) -> None:
        """Wait until the server itself reaches the web server by its name."""
        self.server.wait_for(f"curl -sf -m 5 http://{NAME}/page | grep -q '{PAGE}'", 60)

    def reboot(self) -> None:
        """Stop the server, and start it with what is on its disk alone."""
        self.server.stop()
        self.boot()
        self.online()

    def fetch(self, bridge: str = "lan") -> str:
        """Switch a client on at a switch; return the page from outside that it gets by name."""
        with self._client(bridge) as (netns, place):
            return _in(netns, f"{_udhcpc(place, 20)} >&2 && {_seen(place, ['python3', '-c', _FETCH])}")

    def reached(self) -> set[str]:
        """Switch a client on in the room; return the names of what answers it."""
        ask = [sys.executable, reach.__file__, SERVER_ADDRESS, NAME, PAGE]
        with self._client() as (netns, place):
            lease = f"{_udhcpc(place, 3)} >&2 && echo DHCP || {{ {_UNLEASED}{place}/resolv.conf; }}"
            return set(_in(netns, f"{lease}; {_seen(place, ask)}").split())

    def state(self) -> dict[str, str]:
        """Return all that a set-up may change, in words that a reboot leaves alone."""
        run = self.server.run
        addresses = json.loads(run("ip -j -4 address show"))
        return {
            "files": run(
                "find /etc /var/lib/NetworkManager /usr/lib/systemd -xdev -type f ! -name '*timestamps*' "
                "! -name '*.lease' ! -name seen-bssids ! -name secret_key ! -name '*.cache' "
                "! -name machine-id ! -name 'NetworkManager*.state' -exec sha256sum {} + | sort -k 2"
            ),
            "record": run("ls /var/lib/ltspd /var/lib/ltspd/outputs | grep -v leases"),
            "rules": run("nft list ruleset"),
            "forwarding": run("grep -H . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding"),
            "units": run(
                "systemctl list-units --plain --no-legend --state=active 'ltspd*' "
                "| grep -v @ | cut -d ' ' -f 1"
            ),
            "failed": run("systemctl list-units --plain --no-legend --failed 'ltspd*'"),
            "connections": run("nmcli -t -f NAME,UUID,DEVICE connection show | sed /^lo:/d")
            if self.manager == "NetworkManager"
            else run("ls -R /etc/systemd/network"),
            # What the router gives may be another address after a reboot.
            "addresses": "\n".join(
                f"{each['ifname']} {one['local'] if each['ifname'] != WAN else ''}"
                for each in addresses
                for one in each["addr_info"]
            ),
        }

    @contextmanager
    def _client(self, bridge: str = "lan") -> Iterator[tuple[str, Path]]:
        netns = f"{self.session.name}-pc"
        place = self.session.directory / "pc"
        place.mkdir(exist_ok=True)
        subprocess.run(["ip", "netns", "add", netns], check=True)
        try:
            ip(self.lan.switch, f"link add port-pc type veth peer name pc0 netns {netns}")
            ip(self.lan.switch, f"link set port-pc master {bridge} up")
            ip(netns, "link set lo up", "link set pc0 up")
            yield netns, place
        finally:
            # The other end would go some time after the network itself.
            with suppress(RuntimeError):
                ip(self.lan.switch, "link delete port-pc")
            subprocess.run(["ip", "netns", "delete", netns], check=True)


def _udhcpc(place: Path, tries: int) -> str:
    """Return the command that gets a client an address, and resolv.conf in ``place``."""
    script = place / "leased"
    script.write_text(_LEASED)
    script.chmod(0o755)
    return f"RESOLV={place}/resolv.conf busybox udhcpc -i pc0 -s {script} -n -q -f -t {tries} -T 1"


def _seen(place: Path, argv: list[str]) -> str:
    """Return the command that runs another one with the resolv.conf in ``place``."""
    view = f"mount --bind {place}/resolv.conf /etc/resolv.conf && {shlex.join(argv)}"
    return shlex.join(["unshare", "--mount", "sh", "-c", view])


def _differing(before: dict[str, str], after: dict[str, str]) -> dict[str, set[str]]:
    """Return the lines that are in one of two states only."""
    lines = {name: set(text.splitlines()) ^ set(after[name].splitlines()) for name, text in before.items()}
    return {name: found for name, found in lines.items() if found}


def _check_back(found: Cards, before: dict[str, str]) -> None:
    """Fail unless everything is as it was before, soon; services may be on their way for a moment."""
    try:
        found.server.wait_for(lambda: found.state() == before, 30)
    except TimeoutError as error:
        raise AssertionError(_differing(before, found.state())) from error


def check_dual(fresh: Cards) -> None:
    """Set two cards up, use them, start again, use them, and undo it all."""
    run = fresh.server.run
    fresh.server.wait_for("ltspctl status | grep -q 'State: in-sync'", 60)
    before = fresh.state()
    command = "ltspctl setup dual --wan ext0 --lan lan0"
    said = run(f"{command} --dry-run")
    assert "192.168.67.1/24" in said
    assert "ltspd-nat" in said
    assert (left := _differing(before, fresh.state())) == {}, left
    run(f"{command} --yes")
    assert "Nothing changes" in run(command)
    fresh.server.wait_for("ltspctl status | grep -q 'State: in-sync'", 60)
    assert fresh.fetch().strip() == PAGE
    found = {each["Name"]: each["Dhcp"] for each in json.loads(run("ltspctl link list --json"))}
    assert (found["lan0"], found["ext0"]) == ("real", "off")
    fresh.reboot()
    fresh.server.wait_for("ltspctl status | grep -q 'State: in-sync'", 60)
    assert fresh.fetch().strip() == PAGE
    fresh.server.run("ltspctl setup undo")
    _check_back(fresh, before)


def check_single(bare: Cards) -> None:
    """Set the one card up that leads to the router, use it, start again, use it, and undo it all."""
    run = bare.server.run
    before = bare.state()
    command = f"ltspctl setup single --lan {WAN}"
    assert f"set-up with one card: {WAN}" in run(f"{command} --dry-run")
    assert (left := _differing(before, bare.state())) == {}, left
    run(f"{command} --yes")
    bare.online()
    assert "Nothing changes" in run(command)
    _check_proxied(bare)
    bare.reboot()
    _check_proxied(bare)
    bare.server.run("ltspctl setup undo")
    _check_back(bare, before)


def _check_proxied(bare: Cards) -> None:
    """Fail unless the router gives addresses, and the server says what boots."""
    bare.server.wait_for("ltspctl status | grep -q 'State: in-sync'", 60)
    assert bare.fetch("ext").strip() == PAGE
    with closing(Cable(bare.lan.switch, "ext")) as cable:
        transaction = cable.send(DISCOVER, Machine(0, broadcast=True))
        offers: dict[bool, Answer] = {}
        while len(offers) < 2:
            of, answer = cable.next()
            offers |= {answer.server == ROUTER: answer} if of == transaction else {}
    assert offers[True].address.startswith("10.0.3.")
    assert offers[False].address == "0.0.0.0"
    assert b"LTSP" in offers[False].options[VENDOR]


def check_rollback(fresh: Cards) -> None:
    """Take an address from a card: without a word it is back after a while, with one the set-up stays."""
    run, command = fresh.server.run, "ltspctl setup dual --wan ext0 --lan lan0"
    drop_in = "/run/systemd/system/ltspd-setup.timer.d"
    fresh.server.write(f"{drop_in}/soon.conf", "[Timer]\nOnActiveSec=\nOnActiveSec=8\n")
    run("systemctl daemon-reload")
    run(GIVEN[fresh.manager])
    fresh.server.wait_for("ip -4 address show lan0 | grep -q 10.7.0.2", 30)
    # Services begin anew with the address.
    fresh.server.wait_for("ltspctl status | grep -q 10.7.0.2", 60)
    fresh.server.wait_for("ltspctl status | grep -q 'State: in-sync'", 60)
    before = fresh.state()
    assert "'ltspctl setup confirm' keeps it" in run(command)
    assert "192.168.67.1/24" in run("ip -4 address show lan0")
    # Not the daemon ends it.
    run("systemctl stop ltspd")
    # A set-up that took longer than the timer has another minute.
    fresh.server.wait_for("ip -4 address show lan0 | grep -q 10.7.0.2", 150)
    run("systemctl start ltspd")
    _check_back(fresh, before)
    run(f"{command}; ltspctl setup confirm")
    run("! systemctl is-active ltspd-setup.timer; ltspctl setup undo")
    _check_back(fresh, before)


@contextmanager
def cards(
    tree: str, manager: str, sources: Mapping[str, str] | None = None, *, outside: bool = True
) -> Iterator[Cards]:
    """Make it all, up to a server that has these sources of images, and a way outside if that is wanted."""
    with open_session() as session:
        lan = make_lan(session, external=True, router=False)
        _outside(session, lan)
        found = Cards(session, lan, tree, manager, sources or {})
        found.boot()
        found.begin(outside=outside)
        yield found
        name = session.name
    assert leftovers(name) == []


def _outside(session: Session, lan: Lan) -> None:
    ip(lan.router, f"address add {WEB}/32 dev lo")
    dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--user=root"]
    dnsmasq += [
        "--interface=ext0",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--no-ping",
    ]
    dnsmasq += [f"--address=/{NAME}/{WEB}", "--dhcp-range=10.0.3.100,10.0.3.199,1h"]
    dnsmasq += [f"--dhcp-leasefile={session.directory}/outside.leases"]
    session.start(dnsmasq, log="outside.log", netns=lan.router)
    site = session.directory / "site"
    site.mkdir()
    (site / "page").write_text(PAGE)
    server = ["python3", "-m", "http.server", "80", "--bind", WEB, "--directory", str(site)]
    session.start(server, log="web.log", netns=lan.router)


def _in(netns: str, script: str) -> str:
    argv = ["nsenter", f"--net=/run/netns/{netns}", "--", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"in {netns}, {script!r} failed: {done.stdout}{done.stderr}")
    return done.stdout
