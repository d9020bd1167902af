"""The lab's LAN: network namespaces joined by bridges, with a counter on every client's cable.

`lan` is the switch room: bridges and taps. `srv` is the server's namespace, with `lan0`
(192.168.67.1/24, LTSP's own default subnet) and, if asked for, `ext0` in a second network that has a
DHCP server of its own, in `rtr`.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lab.session import Session

SERVER_ADDRESS = "192.168.67.1"
EXTERNAL_ADDRESS = "10.0.3.2"
ROUTER_ADDRESS = "10.0.3.1"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over a client's cable so far: bytes and packets to and from the client."""

    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int


@dataclass(slots=True)
class Lan:
    """A LAN with its server's place; `plug` adds a client's cable."""

    session: Session
    external: bool
    _taps: list[str] = field(default_factory=list)

    @property
    def switch(self) -> str:
        """The namespace of the bridges and taps, where virtual machines are started."""
        return f"{self.session.name}-lan"

    @property
    def server(self) -> str:
        """The namespace that the server's container gets."""
        return f"{self.session.name}-srv"

    @property
    def router(self) -> str:
        """The namespace of the second network's DHCP server."""
        return f"{self.session.name}-rtr"

    def plug(self, *, external: bool = False) -> str:
        """Make a tap on the LAN (or on the second network) and return its name."""
        tap = f"tap{len(self._taps)}"
        self._taps.append(tap)
        bridge = "ext" if external else "lan"
        ip(self.switch, f"tuntap add dev {tap} mode tap", f"link set {tap} master {bridge} up")
        return tap

    def unplug(self, tap: str) -> None:
        """Remove a tap. Its number is not used again, so that no counter is mixed up."""
        ip(self.switch, f"link delete {tap}")

    def traffic(self, tap: str) -> Traffic:
        """Return the counters of a tap, as the client sees them: what we send, it receives."""
        done = subprocess.run(
            ["ip", "-n", self.switch, "-s", "-j", "link", "show", "dev", tap],
            capture_output=True,
            text=True,
            check=True,
        )
        stats = json.loads(done.stdout)[0]["stats64"]
        return Traffic(
            stats["tx"]["bytes"], stats["rx"]["bytes"], stats["tx"]["packets"], stats["rx"]["packets"]
        )


def make_lan(session: Session, *, external: bool = False, router: bool = True, prefix: int = 24) -> Lan:
    """Make the LAN of a run, with the second network if ``external``; ``router``: with its DHCP server.

    ``prefix`` is the length of the LAN's; a network of 24 bits has addresses for some 230 clients.
    """
    lan = Lan(session, external)
    for name in [lan.switch, lan.server, *([lan.router] if external else [])]:
        _netns(session, name)
    # The switch itself has no business on its network: it only forwards frames.
    _sysctl(lan.switch, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    # Duplicate address detection would keep link-local addresses unusable for the first seconds.
    _sysctl(lan.server, "net.ipv6.conf.default.accept_dad=0")
    ip(
        lan.switch,
        "link add lan type bridge forward_delay 0 mcast_snooping 0",
        "link set lan up",
        f"link add port-srv type veth peer name lan0 netns {lan.server}",
        "link set port-srv master lan up",
    )
    ip(lan.server, "link set lo up", f"address add {SERVER_ADDRESS}/{prefix} dev lan0", "link set lan0 up")
    if external:
        _add_external(lan, router)
    return lan


def _add_external(lan: Lan, router: bool) -> None:
    ip(
        lan.switch,
        "link add ext type bridge forward_delay 0 mcast_snooping 0",
        "link set ext up",
        f"link add ext-srv type veth peer name ext0 netns {lan.server}",
        f"link add ext-rtr type veth peer name ext0 netns {lan.router}",
        "link set ext-srv master ext up",
        "link set ext-rtr master ext up",
    )
    ip(lan.server, f"address add {EXTERNAL_ADDRESS}/24 dev ext0", "link set ext0 up")
    ip(lan.router, "link set lo up", f"address add {ROUTER_ADDRESS}/24 dev ext0", "link set ext0 up")
    if not router:
        return
    leases = lan.session.directory / "router.leases"
    dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-dhcp"]
    dnsmasq += ["--log-facility=-", "--user=root", "--interface=ext0", "--bind-interfaces"]
    dnsmasq += ["--dhcp-range=10.0.3.100,10.0.3.199,1h", f"--dhcp-leasefile={leases}", "--pid-file="]
    lan.session.start(dnsmasq, log="router.log", netns=lan.router)


def _netns(session: Session, name: str) -> None:
    subprocess.run(["ip", "netns", "add", name], check=True)
    session.stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)


def _sysctl(netns: str, *settings: str) -> None:
    subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-q", "-w", *settings], check=True)


def ip(netns: str, *commands: str) -> None:
    """Run `ip` commands in a network namespace; a failure raises RuntimeError with ip's words."""
    done = _batch(netns, commands)
    if done.returncode != 0:
        raise RuntimeError(f"ip in {netns} failed: {done.stderr.strip()} (of: {'; '.join(commands)})")


def _batch(netns: str, commands: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    lines = "".join(f"{command}\n" for command in commands)
    return subprocess.run(
        ["ip", "-n", netns, "-batch", "-"], input=lines, capture_output=True, text=True, check=False
    )
