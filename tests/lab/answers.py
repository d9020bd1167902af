"""What the rendered DHCP configuration makes a real dnsmasq answer, to every kind of machine there is.

Two links, each in a network of its own: on one the server gives addresses, on the other it only says what
boots, because somebody else gives them. Who asks is a raw socket at the other end of each cable.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.model.menu import BootWay
from ltspd.model.network import Link, LinkKind
from ltspd.network.firmware import PROGRAMS, WAYS
from ltspd.outputs import dhcp_dnsmasq, dhcp_proxy
from tests.lab import releases
from tests.lab.dhcp import (
    ADDRESS,
    CLASS,
    DISCOVER,
    FULL,
    IPXE,
    REQUEST,
    ROUTER,
    SERVER,
    VENDOR,
    Answer,
    Cable,
    Machine,
    Relay,
)
from tests.lab.net import ip
from tests.lab.session import end
from tests.patience import PATIENCE
from tests.worlds.planning import programs, world

REAL, PROXY = "lan0", "ext0"
LINKS = {REAL: ("192.168.67.1/24",), PROXY: ("10.0.3.2/24",)}
# The address that another server gave to whoever asks on the proxied link.
GIVEN = "10.0.3.77"
# Subnets behind relays, whose requests come by the two links: the relay's address there, and a machine's.
RELAYED = {REAL: ("10.5.0.1", "10.5.0.77"), PROXY: ("10.6.0.1", "10.6.0.77")}
_SHIM, _PXELINUX, _DRIVERS, _FOUND = "52:54:00:5b:", "52:54:00:5c:", "52:54:00:5d:", "52:54:00:5e:"
# Machines that boot another program than the usual one: by ltsp.conf, and because that has failed.
OWN_WAYS = f"[{_SHIM}*]\nBOOT_WAY=shim\n[{_PXELINUX}*]\nBOOT_WAY=pxelinux\n[{_DRIVERS}*]\nBOOT_WAY=drivers\n"
FOUND = {_FOUND: BootWay.SHIM}
CONF = '[server]\nDHCP_RELAYED="10.5.0.0/24=real:10.5.0.100-10.5.0.200 10.6.0.0/24=proxy"\n' + OWN_WAYS

# All boot programs that clients could need, whatever this machine has installed.
BOOT_PROGRAMS = {
    name: f"/usr/lib/ipxe/{name}"
    for names in (*PROGRAMS.values(), *(each.values() for each in WAYS.values()))
    for name in names
}
_PI = "b8:27:eb:0d:"

KINDS = {
    "BIOS": Machine(0),
    "UEFI, 32 bits": Machine(6),
    "UEFI": Machine(7),
    "UEFI by the errata": Machine(9),
    "UEFI, ARM of 32 bits": Machine(10),
    "UEFI, ARM": Machine(11),
    "UEFI by HTTP, 32 bits": Machine(15, "HTTPClient"),
    "UEFI by HTTP": Machine(16, "HTTPClient"),
    "UEFI by HTTP, ARM of 32 bits": Machine(18, "HTTPClient"),
    "UEFI by HTTP, ARM": Machine(19, "HTTPClient"),
    "Raspberry Pi": Machine(0, mac=_PI),
    "Raspberry Pi by its own number": Machine(41, mac=_PI),
    "Raspberry Pi with UEFI": Machine(11, mac=_PI),
    "iPXE on a Raspberry Pi": Machine(11, features=FULL, mac=_PI),
    "iPXE on BIOS": Machine(0, features=FULL),
    "iPXE on UEFI": Machine(7, features=FULL),
    "iPXE on ARM": Machine(11, features=FULL),
    "iPXE of a card, without our menu's features": Machine(0, features=(33,)),
    "UEFI that boots by shim": Machine(7, mac=_SHIM),
    "UEFI that boots by shim, by the errata": Machine(9, mac=_SHIM),
    "UEFI that boots by shim, by HTTP": Machine(16, "HTTPClient", mac=_SHIM),
    "iPXE of a card that boots by shim": Machine(7, features=FULL, mac=_SHIM),
    "BIOS that can't boot by shim": Machine(0, mac=_SHIM),
    "BIOS that boots by PXELINUX": Machine(0, mac=_PXELINUX),
    "iPXE of a card that boots by PXELINUX": Machine(0, features=FULL, mac=_PXELINUX),
    "UEFI that can't boot by PXELINUX": Machine(7, mac=_PXELINUX),
    "BIOS whose card iPXE drives itself": Machine(0, mac=_DRIVERS),
    "UEFI whose card iPXE drives itself": Machine(7, mac=_DRIVERS),
    "UEFI whose card iPXE drives itself, by HTTP": Machine(16, "HTTPClient", mac=_DRIVERS),
    "iPXE that drives the card itself": Machine(7, features=FULL, mac=_DRIVERS),
    "UEFI on which iPXE has failed": Machine(7, mac=_FOUND),
    "UEFI on which iPXE has failed, by HTTP": Machine(16, "HTTPClient", mac=_FOUND),
    "UEFI, RISC-V": Machine(27),
    "Linux": Machine(),
    "Windows": Machine(vendor="MSFT 5.0"),
}
_BIOS, _UEFI, _MENU = "ltsp/undionly.kpxe", "ltsp/snponly.efi", "ltsp/ltsp.ipxe"
_SECURE, _OLD, _OWN = "ltsp/shimx64.efi", "ltsp/pxelinux.0", "ltsp/ipxe.efi"
_UEFI_32, _ARM, _ARM_32 = "ltsp/snponly-ia32.efi", "ltsp/snponly-arm64.efi", "ltsp/snponly-arm32.efi"
PI_TITLE = b"Raspberry Pi Boot   "
# Which file each kind is told by PXE; a Raspberry Pi none, but the title of the menu that it looks for.
FILES = {
    "BIOS": _BIOS,
    "UEFI, 32 bits": _UEFI_32,
    "UEFI": _UEFI,
    "UEFI by the errata": _UEFI,
    "UEFI, ARM of 32 bits": _ARM_32,
    "UEFI, ARM": _ARM,
    "Raspberry Pi": "",
    "Raspberry Pi by its own number": "",
    "Raspberry Pi with UEFI": _ARM,
    "iPXE on a Raspberry Pi": _MENU,
    "iPXE on BIOS": _MENU,
    "iPXE on UEFI": _MENU,
    "iPXE on ARM": _MENU,
    "iPXE of a card, without our menu's features": _BIOS,
    "UEFI that boots by shim": _SECURE,
    "UEFI that boots by shim, by the errata": _SECURE,
    "iPXE of a card that boots by shim": _SECURE,
    "BIOS that can't boot by shim": _BIOS,
    "BIOS that boots by PXELINUX": _OLD,
    "iPXE of a card that boots by PXELINUX": _OLD,
    "UEFI that can't boot by PXELINUX": _UEFI,
    "BIOS whose card iPXE drives itself": "ltsp/ipxe.pxe",
    "UEFI whose card iPXE drives itself": _OWN,
    "iPXE that drives the card itself": _MENU,
    "UEFI on which iPXE has failed": _SECURE,
}
# Which of our files each kind gets by HTTP.
HTTP_FILES = {
    "UEFI by HTTP, 32 bits": _UEFI_32,
    "UEFI by HTTP": _UEFI,
    "UEFI by HTTP, ARM of 32 bits": _ARM_32,
    "UEFI by HTTP, ARM": _ARM,
    "UEFI that boots by shim, by HTTP": _SECURE,
    "UEFI whose card iPXE drives itself, by HTTP": _OWN,
    "UEFI on which iPXE has failed, by HTTP": _SECURE,
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a machine is told: a file or URI, the class of the answer, and whether the Pi's menu.

    ``alone``: that no proxyDHCP server has more to say.
    """

    file: str
    vendor: str = ""
    pi: bool = False
    alone: bool = False

    @classmethod
    def by(cls, answer: Answer) -> "Told":
        """Return what an answer tells."""
        vendor = answer.options.get(CLASS, b"").rstrip(b"\0").decode()
        alone = answer.options.get(IPXE, b"").startswith(b"\xb0\1\1")
        return cls(answer.file, vendor, PI_TITLE in answer.options.get(VENDOR, b""), alone)


def right(kind: str, server: str, *, proxy: bool = False, foreign: bool = False) -> Told | None:
    """Return what a kind of machine must be told by a server with that address; None: nothing at all.

    ``proxy``: somebody else gives addresses; ``foreign``: and tells our files, too.
    """
    if kind in HTTP_FILES:
        return Told(f"http://{server}/{HTTP_FILES[kind]}", "HTTPClient")
    if kind not in FILES:
        return None if proxy else Told("")
    pi = FILES[kind] == ""
    alone = KINDS[kind].features is not None and not proxy and not foreign
    return Told(FILES[kind], "PXEClient" if proxy or pi else "", pi, alone)


def every(link: str) -> dict[str, Told | None]:
    """Return what each kind of machine must be told on one of the two links."""
    server = LINKS[link][0].partition("/")[0]
    return {kind: right(kind, server, proxy=link == PROXY) for kind in KINDS}


@dataclass(slots=True)
class Answering:
    """Our DHCP servers, by their role, that run in the namespace ``near``; its links end in ``far``."""

    near: str
    far: str
    processes: Mapping[str, "subprocess.Popen[bytes]"]
    directory: Path
    cables: Mapping[str, Cable]
    _count: int = field(default=0)

    def machine(self, kind: str) -> Machine:
        """Return a machine of that kind that was never seen before."""
        self._count += 1
        known = KINDS[kind]
        return replace(known, mac=f"{known.mac[:12]}{self._count >> 8:02x}:{self._count & 255:02x}")

    @property
    def log(self) -> str:
        """What the one that gives addresses has said so far."""
        return (self.directory / "real.log").read_text()

    @property
    def leases(self) -> dict[str, tuple[int, str]]:
        """When each lease ends (in seconds since the epoch) and its address, by MAC.

        dnsmasq writes its file anew in place, so that for a moment some are missing, or half a line is there.
        """
        lines = (self.directory / "leases").read_text().splitlines(keepends=True)
        whole = (line.split() for line in lines if line.endswith("\n"))
        return {words[1]: (int(words[0]), words[2]) for words in whole}

    def told_with_an_address(self) -> dict[str, Told | None]:
        """Return what each kind of machine is told together with an address."""
        found: dict[str, Told | None] = {}
        for kind in KINDS:
            answer = self.cables[REAL].lease(self.machine(kind))
            assert answer.address.startswith("192.168.67."), kind
            assert answer.next_server == "192.168.67.1", kind
            # Nobody routes there, so nobody is named; dnsmasq by itself names the server.
            assert answer.addresses(ROUTER) == [], kind
            found[kind] = Told.by(answer)
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

    def told_beside_another(self) -> dict[str, Told | None]:
        """Return what each kind is told in the end beside another server: by the offer, or by port 4011."""
        found: dict[str, Told | None] = {}
        for kind in KINDS:
            machine, cable = self.machine(kind), self.cables[PROXY]
            offers = cable.discover(machine, after=self.machine("BIOS"))
            later = cable.boot_server(machine, self.machine("BIOS"), GIVEN, "10.0.3.2")
            assert {each.address for each in offers} <= {"0.0.0.0"}, kind
            assert {_next(each) for each in (*offers, *later)} <= {"10.0.3.2"}, kind
            # Firmware asks port 4011 only if it got an offer.
            assert len(offers) <= 1, kind
            found[kind] = _last(offers, later) if offers else None
        return found

    def told_by_relay(self, link: str) -> dict[str, Told | None]:
        """Return what each kind is told whose relay's requests come by a link."""
        server, (relay, client) = LINKS[link][0].partition("/")[0], RELAYED[link]
        found: dict[str, Told | None] = {}
        with contextlib.closing(Relay(self.far, relay, server)) as asking:
            for kind in KINDS:
                machine = self.machine(kind)
                answers = asking.ask(DISCOVER, machine, self.machine("BIOS"))
                if link == PROXY:
                    later = self.cables[link].boot_server(machine, self.machine("BIOS"), client, server)
                    assert {_next(each) for each in (*answers, *later)} <= {server}, kind
                    found[kind] = _last(answers, later) if answers else None
                    continue
                wanted = {ADDRESS: IPv4Address(answers[0].address).packed, SERVER: answers[0].options[SERVER]}
                (answer,) = asking.ask(REQUEST, machine, self.machine("BIOS"), wanted)
                assert 100 <= int(answer.address.removeprefix("10.5.0.")) <= 200, kind
                # The relay is the router, and our address that it asked is where the files are.
                assert (answer.addresses(ROUTER), answer.next_server) == ([relay], server), kind
                found[kind] = Told.by(answer)
        return found


def _last(offers: Sequence[Answer], later: Sequence[Answer]) -> Told:
    """Return what counts of an offer and of an answer of port 4011: the latter if it tells anything."""
    first = Told.by(offers[0])
    second = Told.by(later[0]) if later else first
    return first if first.file or first.pi or not (second.file or second.pi) else second


def _next(answer: Answer) -> str:
    """Return where the file of an answer is: a BIOS is told in option 43, and else the sender has it."""
    return answer.server if answer.next_server == "0.0.0.0" else answer.next_server


def rendered(links: Mapping[str, Sequence[str]], conf: str = "") -> dict[str, str]:
    """Return our DHCP configurations for a server with these links and that ltsp.conf, by their role."""
    config = load({"/etc/ltsp/ltsp.conf": conf})
    assert config.ok, config.errors
    found = tuple(
        Link(name, index, "", LinkKind.ETHERNET, True, addresses=tuple(map(IPv4Interface, addresses)))
        for index, (name, addresses) in enumerate(links.items(), 2)
    )
    known = programs("dnsmasq")
    here = world(config, Facts(links=found, programs=known, boot_programs=BOOT_PROGRAMS, ways=FOUND))
    outputs = {"real": dhcp_dnsmasq.render(here), "proxy": dhcp_proxy.render(here)}
    return {role: each.files[0].data.decode() for role, each in outputs.items() if each and each.wanted}


@contextmanager
def answering(
    release: str = "", links: Mapping[str, Sequence[str]] = LINKS, conf: str = CONF
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
            ip(far, f"address add {GIVEN}/24 dev {PROXY}", f"address add 192.168.67.9/24 dev {REAL}")
            for address in (address for pair in RELAYED.values() for address in pair):
                ip(far, f"address add {address}/32 dev lo")
            ip(server, "route add 10.5.0.0/16 via 192.168.67.9", f"route add 10.6.0.0/16 via {GIVEN}")
        program = "dnsmasq"
        if release:
            script = directory / "program"
            program = str(releases.program(release, "dnsmasq-base", "usr/sbin/dnsmasq", script))
        processes = {}
        for role, text in rendered(links, conf).items():
            file = directory / role
            file.write_text(text)
            processes[role] = undo.enter_context(running(f"/run/netns/{server}", file, program))
        yield Answering(server, far, processes, directory, cables)


@contextmanager
def running(net: str, file: Path, program: str = "dnsmasq") -> Iterator["subprocess.Popen[bytes]"]:
    """Run dnsmasq in a network with a configuration of ours, from when it listens; leases lie beside that."""
    file.write_text(file.read_text().replace(dhcp_dnsmasq.LEASES, str(file.with_name("leases"))))
    log = Path(f"{file}.log")
    log.unlink(missing_ok=True)
    argv = [program, "--keep-in-foreground", f"--conf-file={file}", "--pid-file="]
    argv += ["--log-dhcp", f"--log-facility={log}"]
    process = subprocess.Popen(["nsenter", f"--net={net}", "--", *argv])
    try:
        # Two programs share port 67, so that is no sign: it writes this line when it listens.
        _wait(process, log)
        yield process
    finally:
        # One that no longer listens would not end by being asked.
        end(process, patience=2.0)


def _netns(undo: ExitStack, name: str) -> str:
    subprocess.run(["ip", "netns", "add", name], check=True)
    undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
    ip(name, "link set lo up")
    return name


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a dnsmasq has said what it answers; it listens by then."""
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and "DHCP" in log.read_text()):
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args!r} does not start"
        time.sleep(0.02)
