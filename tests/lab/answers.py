"""What the rendered DHCP configuration makes a real dnsmasq answer, to every kind of machine there is.

Two links, each in a network of its own: on one the server gives addresses, on the other it only says what
boots, because somebody else gives them. Who asks is a raw socket at the other end of each cable.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.model.network import Link, LinkKind
from ltspd.outputs import dhcp_dnsmasq
from tests.lab import releases
from tests.lab.dhcp import DISCOVER, FULL, ROUTER, Answer, Cable, Machine
from tests.lab.net import ip
from tests.lab.session import end
from tests.patience import PATIENCE
from tests.worlds.planning import programs, world

REAL, PROXY = "lan0", "ext0"
LINKS = {REAL: ("192.168.67.1/24",), PROXY: ("10.0.3.2/24",)}
# The address that another server gave to whoever asks on the proxied link.
GIVEN = "10.0.3.77"

KINDS = {
    "BIOS": Machine(0),
    "UEFI, 32 bits": Machine(6),
    "UEFI": Machine(7),
    "UEFI by the errata": Machine(9),
    "UEFI, ARM": Machine(11),
    "UEFI by HTTP": Machine(16, "HTTPClient"),
    "iPXE on BIOS": Machine(0, features=FULL),
    "iPXE on UEFI": Machine(7, features=FULL),
    "iPXE on ARM": Machine(11, features=FULL),
    "iPXE of a card, without our menu's features": Machine(0, features=(33,)),
    "Linux": Machine(),
}
_BIOS, _UEFI, _MENU = "ltsp/undionly.kpxe", "ltsp/snponly.efi", "ltsp/ltsp.ipxe"
# Everybody gets an address where we give them, and a file if there is one for them.
REAL_FILES = {
    **dict.fromkeys(KINDS, ""),
    "BIOS": _BIOS,
    "UEFI": _UEFI,
    "UEFI by the errata": _UEFI,
    "iPXE on BIOS": _MENU,
    "iPXE on UEFI": _MENU,
    "iPXE on ARM": _MENU,
    "iPXE of a card, without our menu's features": _BIOS,
}
# Beside another server, only who has something to boot here is answered: by the offer, or by port 4011.
PROXY_FILES = {
    "BIOS": (_BIOS, _BIOS),
    "UEFI": ("", _UEFI),
    "UEFI by the errata": ("", _UEFI),
    "iPXE on BIOS": (_MENU, _MENU),
    "iPXE on UEFI": ("", _MENU),
    "iPXE on ARM": (_MENU, _MENU),
    "iPXE of a card, without our menu's features": (_BIOS, _BIOS),
}


@dataclass(slots=True)
class Answering:
    """A dnsmasq that runs with our configuration in the namespace ``near``; its links end in ``far``."""

    near: str
    far: str
    process: "subprocess.Popen[bytes]"
    directory: Path
    cables: Mapping[str, Cable]
    _count: int = field(default=0)

    def machine(self, kind: str) -> Machine:
        """Return a machine of that kind that was never seen before."""
        self._count += 1
        known = KINDS[kind]
        mac = f"52:54:00:0d:{self._count >> 8:02x}:{self._count & 255:02x}"
        return Machine(known.architecture, known.vendor, known.features, mac)

    @property
    def log(self) -> str:
        """What dnsmasq has said so far."""
        return (self.directory / "log").read_text()

    @property
    def leases(self) -> dict[str, tuple[int, str]]:
        """When each lease ends (in seconds since the epoch) and its address, by MAC."""
        lines = (line.split() for line in (self.directory / "leases").read_text().splitlines())
        return {words[1]: (int(words[0]), words[2]) for words in lines}

    def real_files(self) -> dict[str, str]:
        """Return which file each kind of machine is given together with an address."""
        found = {}
        for kind in KINDS:
            answer = self.cables[REAL].lease(self.machine(kind))
            assert answer.address.startswith("192.168.67."), kind
            # Nobody routes there, so nobody is named; dnsmasq by itself names the server.
            assert answer.addresses(ROUTER) == [], kind
            found[kind] = answer.file
        return found

    def together(self, count: int) -> float:
        """Switch so many machines on at once, and return after how many seconds the last got its offer."""
        cable = self.cables[REAL]
        machines = [self.machine("BIOS") for _ in range(count)]
        began = time.monotonic()
        waiting = {cable.send(DISCOVER, each) for each in machines}
        while waiting:
            waiting.discard(cable.next()[0])
        return time.monotonic() - began

    @contextmanager
    def card(self, mac: str, address: str) -> Iterator[tuple[str, str]]:
        """Put a real card with an address on the link where we give them; yield its namespace and name."""
        link = f"link {REAL} name eth0 address {mac}"
        ip(self.far, f"link add {link} type macvlan mode bridge", f"address add {address} dev eth0")
        ip(self.far, "link set eth0 up")
        try:
            yield self.far, "eth0"
        finally:
            ip(self.far, "link delete eth0")

    def proxy_files(self) -> dict[str, tuple[str, str]]:
        """Return what each kind that is answered gets in the offer, and from port 4011."""
        found = {}
        for kind in KINDS:
            machine, cable = self.machine(kind), self.cables[PROXY]
            offers = cable.discover(machine, after=self.machine("BIOS"))
            later = cable.boot_server(machine, self.machine("BIOS"), GIVEN, "10.0.3.2")
            assert {each.address for each in offers} <= {"0.0.0.0"}, kind
            assert {_next(each) for each in (*offers, *later)} <= {"10.0.3.2"}, kind
            if offers or later:
                found[kind] = (offers[0].file, later[0].file)
        return found


def _next(answer: Answer) -> str:
    """Return where the file of an answer is: a BIOS is told in option 43, and else the sender has it."""
    return answer.server if answer.next_server == "0.0.0.0" else answer.next_server


def rendered(links: Mapping[str, Sequence[str]], conf: str = "") -> str:
    """Return our DHCP configuration for a server with these links and that ltsp.conf."""
    config = load({"/etc/ltsp/ltsp.conf": conf})
    assert config.ok, config.errors
    found = tuple(
        Link(name, index, "", LinkKind.ETHERNET, True, addresses=tuple(map(IPv4Interface, addresses)))
        for index, (name, addresses) in enumerate(links.items(), 2)
    )
    facts = Facts(links=found, programs=programs("dnsmasq"))
    return dhcp_dnsmasq.render(world(config, facts)).files[0].data.decode()


@contextmanager
def answering(
    release: str = "", links: Mapping[str, Sequence[str]] = LINKS, conf: str = ""
) -> Iterator[Answering]:
    """Run a release's dnsmasq (this machine's if empty) with our configuration, in a network of its own."""
    with ExitStack() as undo:
        directory = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="ltspd-dhcp-", dir="/tmp")))
        directory.chmod(0o755)
        server, far = (_netns(undo, f"{directory.name}-{end}") for end in ("srv", "far"))
        cables = {}
        for name, addresses in links.items():
            ip(server, f"link add {name} type veth peer name {name} netns {far}")
            ip(server, *(f"address add {each} dev {name}" for each in addresses), f"link set {name} up")
            ip(far, f"link set {name} up")
            cables[name] = Cable(far, name)
            undo.callback(cables[name].close)
        if PROXY in links:
            ip(far, f"address add {GIVEN}/24 dev {PROXY}")
        program = "dnsmasq"
        if release:
            script = directory / "program"
            program = str(releases.program(release, "dnsmasq-base", "usr/sbin/dnsmasq", script))
        text = rendered(links, conf).replace(dhcp_dnsmasq.LEASES, str(directory / "leases"))
        (directory / "conf").write_text(text)
        argv = [program, "--keep-in-foreground", f"--conf-file={directory}/conf", "--pid-file="]
        argv += ["--log-dhcp", f"--log-facility={directory}/log"]
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{server}", "--", *argv])
        # One that no longer listens would not end by being asked.
        undo.callback(end, process, patience=2.0)
        _wait(process, 67)
        yield Answering(server, far, process, directory, cables)


def _netns(undo: ExitStack, name: str) -> str:
    subprocess.run(["ip", "netns", "add", name], check=True)
    undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
    ip(name, "link set lo up")
    return name


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a program listens on an UDP port of its network."""
    deadline = time.monotonic() + PATIENCE
    while f":{port:04X} " not in Path(f"/proc/{process.pid}/net/udp").read_text():
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args!r} does not listen on port {port}"
        time.sleep(0.02)
