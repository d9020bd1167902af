"""A room: machines at one switch, and servers of ours there that give addresses, each in its own namespace.

The servers are the real programs of a release with our configuration. Who asks is a raw socket (`Cable`).
"""

import json
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from pathlib import Path

from ltspd.config.configuration import load
from ltspd.leases.__main__ import FILES, take_over
from ltspd.model.facts import Facts
from ltspd.model.network import Link, LinkKind
from ltspd.model.output import Output
from ltspd.outputs import outputs
from tests import REPOSITORY
from tests.lab import answers, releases
from tests.lab.dhcp import Cable, Relay
from tests.lab.net import ip
from tests.lab.session import end
from tests.patience import PATIENCE
from tests.worlds.planning import programs, world

DNSMASQ, KEA, ISC = "dnsmasq", "kea", "isc"
LINK = "lan0"
NETWORK = "192.168.67."
# The package of each, and the program in it.
_PACKAGES = {
    DNSMASQ: ("dnsmasq-base", "usr/sbin/dnsmasq"),
    KEA: ("kea-dhcp4-server", "usr/sbin/kea-dhcp4"),
    ISC: ("isc-dhcp-server", "usr/sbin/dhcpd"),
}
# Kea accepts only its own folders. It gets empty ones, which nobody else sees, in its own mount namespace.
_OWN_FOLDERS = (
    "mount -t tmpfs none /var/lib; mkdir /var/lib/kea; mount --bind {leases} /var/lib/kea; "
    "mount -t tmpfs -o mode=755 none /run; mkdir -m 750 /run/kea; "
)
_CLEANER = re.compile(r"^ExecStartPre=-/usr/sbin/kea-lfc( .*)$", re.MULTILINE)
_COMMANDS = {
    DNSMASQ: "exec {program} --keep-in-foreground --conf-file={conf} --pid-file= --log-facility=-",
    KEA: _OWN_FOLDERS + "export KEA_LOCKFILE_DIR=none; {cleaner}; exec {program} -c {conf}",
    ISC: "exec {program} -4 -f --no-pid -cf {conf} -lf {leases}/dhcpd.leases",
}
# What each says once it answers.
_BEGINS = {DNSMASQ: "started, version", KEA: "DHCP4_STARTED", ISC: "Socket/fallback"}


@dataclass(slots=True)
class Room:
    """The switch of a room, with a machine's cable; `server` adds a server's place."""

    name: str
    cable: Cable
    undo: ExitStack
    _servers: int = 0

    def server(self, address: str) -> str:
        """Return the namespace of a new server with this address on the link."""
        self._servers += 1
        netns = _netns(self.undo, f"{self.name}-srv{self._servers}")
        port = f"port{self._servers}"
        ip(self.name, f"link add {port} type veth peer name {LINK} netns {netns}")
        ip(self.name, f"link set {port} master switch up")
        ip(netns, f"address add {address} dev {LINK}", f"link set {LINK} up")
        return netns

    def relay(self, server: str, address: str, subnet: str) -> Relay:
        """Return a relay in the room, with this address in a subnet that the server has a route to."""
        far = f"{self.name}-far"
        ip(far, f"address replace {NETWORK}254/24 dev {LINK}", f"address add {address}/32 dev lo")
        ip(server, f"route add {subnet} via {NETWORK}254")
        made = Relay(far, address, f"{NETWORK}1")
        self.undo.callback(made.close)
        return made


@contextmanager
def room() -> Iterator[Room]:
    """Make a room without servers."""
    with ExitStack() as undo:
        directory = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="ltspd-room-", dir="/tmp")))
        name, far = (_netns(undo, f"{directory.name}{end}") for end in ("", "-far"))
        ip(name, "link add switch type bridge forward_delay 0 mcast_snooping 0", "link set switch up")
        ip(name, f"link add cable type veth peer name {LINK} netns {far}", "link set cable master switch up")
        ip(far, f"link set {LINK} up")
        cable = Cable(far, LINK)
        undo.callback(cable.close)
        yield Room(name, cable, undo)


def output(conf: str, address: str = "192.168.67.1/24", *more: tuple[str, str]) -> Output:
    """Return our output that gives addresses, for a server with this ltsp.conf and these links."""
    config = load({"/etc/ltsp/ltsp.conf": conf})
    assert config.ok, config.errors
    links = tuple(
        Link(name, index, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface(each),))
        for index, (name, each) in enumerate(((LINK, address), *more), 2)
    )
    here = programs("dnsmasq", "kea-dhcp4", "dhcpd")
    facts = Facts(links=links, programs=here, boot_programs=answers.BOOT_PROGRAMS, ways=answers.FOUND)
    found = outputs(world(config, facts))
    (dhcp,) = (each for each in found if each.name == "dhcp")
    return dhcp


def theirs(kind: str, lines: str, address: str = "192.168.67.1/24", link: str = LINK) -> bytes:
    """Return the configuration of an administrator's own server, with the lines that we print for it."""
    network = IPv4Interface(address).network
    first, last = network[20], network[250]
    if kind == KEA:
        # Any Kea that works, without anything of ours.
        data = output(f"[server]\nDHCP_SERVER={kind}\nDHCP_LINKS={LINK}=real\n", address).files[0].data
        own = json.loads(data.replace(f'"{LINK}'.encode(), f'"{link}'.encode()))["Dhcp4"]
        del own["subnet4"][0]["next-server"], own["option-data"]
        return json.dumps({"Dhcp4": own | json.loads(lines)["Dhcp4"]}).encode()
    if kind == ISC:
        own = "authoritative;\nping-check false;\nddns-update-style none;\n"
        subnet = f"subnet {network[0]} netmask {network.netmask} {{ range {first} {last}; }}\n"
        return f"{own}{lines}{subnet}".encode()
    own = f"port=0\nbind-dynamic\ninterface={link}\nno-ping\ndhcp-leasefile=/var/lib/ltspd/dnsmasq.leases\n"
    return f"{own}dhcp-range={first},{last},1h\n{lines}".encode()


@contextmanager
def serving(
    netns: str, release: str, root: Path, conf: str, address: str = "192.168.67.1/24", data: bytes = b""
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a release's DHCP server in a namespace of a room, as ltsp.conf there says.

    ``data`` is another configuration than ours, as an administrator has it.
    ``root`` is the server's root: there are its leases, and those that another one left.
    """
    wanted = output(conf, address)
    if data:
        wanted = replace(wanted, files=(replace(wanted.files[0], data=data),))
    kind = next(each for each in (KEA, ISC, DNSMASQ) if f"DHCP_SERVER={each}" in conf or each == DNSMASQ)
    (file,) = wanted.files
    place = root / file.path.lstrip("/")
    leases = (root / FILES[kind][0]).parent
    for each in (place.parent, leases):
        each.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.data.replace(b"=/var/lib/", f"={root}/var/lib/".encode()))
    package, path = _PACKAGES[kind]
    program = releases.program(release, package, path, root / Path(path).name)
    accept(wanted, netns, root)
    take_over(kind, root, int(time.time()))
    cleaner = ""
    if kind == KEA:
        lfc = releases.program(release, package, "usr/sbin/kea-lfc", root / "kea-lfc")
        (words,) = _CLEANER.findall((REPOSITORY / "systemd/ltspd-kea.service").read_text())
        cleaner = f"{lfc}{words}"
    command = _COMMANDS[kind].format(program=program, conf=place, leases=leases, cleaner=cleaner)
    argv = ["nsenter", f"--net=/run/netns/{netns}", "--", "unshare", "--mount", "sh", "-ec", command]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        _wait(process, root / "log", _BEGINS[kind])
        yield process
    finally:
        end(process, patience=2.0)


def accept(wanted: Output, netns: str, root: Path) -> None:
    """Check the server's file as the daemon does before it writes it; CalledProcessError if it is refused."""
    candidate = root / "candidate"
    candidate.write_bytes(wanted.files[0].data)
    over = root / "over"
    for each in ("up/kea", "up/dhcp", "work"):
        (over / each).mkdir(parents=True, exist_ok=True)
    # Where the packages are installed there are folders for their files.
    folders = f"mount -t tmpfs none {over}; mkdir -p {over}/up/kea {over}/up/dhcp {over}/work; "
    folders += f"mount -t overlay -o lowerdir=/etc,upperdir={over}/up,workdir={over}/work etc /etc; "
    check = shlex.join(part.replace("{}", str(candidate)) for part in wanted.check)
    argv = ["nsenter", f"--net=/run/netns/{netns}", "--", "unshare", "--mount", "sh", "-ec"]
    environment = {"PATH": f"{root}:/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run([*argv, folders + check], check=True, env=environment, capture_output=True, text=True)


def numbered_subnets(wanted: Output) -> dict[str, int]:
    """Return the numbers that Kea's leases have for their networks."""
    whole = json.loads(wanted.files[0].data)
    return {each["subnet"]: each["id"] for each in whole["Dhcp4"]["subnet4"]}


def _netns(undo: ExitStack, name: str) -> str:
    subprocess.run(["ip", "netns", "add", name], check=True)
    undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
    ip(name, "link set lo up")
    return name


def _wait(process: "subprocess.Popen[bytes]", log: Path, word: str) -> None:
    """Wait until a server answers, which it says."""
    deadline = time.monotonic() + PATIENCE
    while word not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def wait_for_port(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a program of another network listens on an UDP port."""
    deadline = time.monotonic() + PATIENCE
    while f":{port:04X} " not in Path(f"/proc/{process.pid}/net/udp").read_text():
        assert process.poll() is None, process.args
        assert time.monotonic() < deadline, process.args
        time.sleep(0.02)
