"""A network that keeps changing: after each event what is served is right, and only what must is restarted.

The whole daemon runs in a network of its own, and systemd's stand-in counts. Real DHCP servers are restarted
when that is told to, and machines ask them on all links. LTSPD_FLAPS in the environment says for how many
seconds; LTSPD_SEED repeats a run.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.answers import running
from tests.lab.capture import Asked, Capture
from tests.lab.dhcp import Machine
from tests.worlds.bus import ask
from tests.worlds.daemon import NEEDS_ROOT, World

pytestmark = NEEDS_ROOT

SECONDS = float(os.environ.get("LTSPD_FLAPS", "20"))
# Networks of other software: to the kernel, some of them are bridges or ordinary cards.
FOREIGN = {
    "docker0": "bridge",
    "br-0123456789ab": "bridge",
    "virbr0": "bridge",
    "lxcbr0": "bridge",
    "podman0": "bridge",
    "vboxnet0": "veth",
    "vnet0": "tap",
    "wg0": "tun",
    "tun0": "tun",
}
# Which unit reads which file, and how it takes a new one.
FILES = {
    "dnsmasq.conf": ("ltspd-dnsmasq.service", "RestartUnit"),
    "proxy-dhcp.conf": ("ltspd-proxy-dhcp.service", "RestartUnit"),
    "tftp.conf": ("ltspd-tftp.service", "RestartUnit"),
    "radvd.conf": ("ltspd-radvd.service", "RestartUnit"),
    "login/sshd_config": ("ltspd-login.service", "RestartUnit"),
    "gateway.json": ("ltspd-gateway.service", "ReloadUnit"),
}
# Who asks on each link: firmware and a system that is up, of a machine that may boot and of one that may not.
DENIED = "52:54:00:de:00:*"
FIRMWARE, SYSTEM = Machine(0), Machine(mac="52:54:00:0d:00:02")
REFUSED = (Machine(0, mac="52:54:00:de:00:01"), Machine(mac="52:54:00:de:00:02"))
DHCP = {unit: name for name, (unit, _) in FILES.items() if name in ("dnsmasq.conf", "proxy-dhcp.conf")}


@dataclass(slots=True)
class Servers:
    """The DHCP servers that run in the daemon's network, by their units."""

    world: World
    net: str
    folder: Path
    _running: dict[str, ExitStack] = field(default_factory=dict)

    def do(self, acts: Sequence[tuple[str, str]]) -> None:
        """Do what systemd was told: start one anew with its present file, or end it."""
        for verb, unit in acts:
            if unit not in DHCP:
                continue
            self._running.pop(unit, ExitStack()).close()
            if verb != "StopUnit":
                file = self.folder / DHCP[unit]
                file.write_text(self.world.output(DHCP[unit]))
                self._running[unit] = ExitStack()
                self._running[unit].enter_context(running(self.net, file))

    def close(self) -> None:
        """End all of them."""
        self.do([("StopUnit", unit) for unit in list(self._running)])


@dataclass(slots=True)
class Card:
    """An interface as the test has made it. ``ours``: it is one that is served."""

    kind: str
    ours: bool
    up: bool = True
    address: str = ""
    port: bool = False


@dataclass(slots=True)
class Network:
    """The daemon's network, changed by what may happen to one."""

    pid: int
    chance: random.Random
    cards: dict[str, Card] = field(default_factory=lambda: {"eth0": Card("veth", True, True, "192.168.67.1")})
    bridges: dict[str, set[str]] = field(default_factory=dict)
    made: int = 0
    done: list[str] = field(default_factory=list)

    def ip(self, *commands: str) -> None:
        """Run commands of `ip`, one right after the other."""
        self.done += commands
        argv = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", "ip", "-batch", "-"]
        lines = "".join(f"{each}\n" for each in commands)
        # The daemon sees none of the states between them, however slow this machine is.
        os.kill(self.pid, signal.SIGSTOP)
        try:
            done = subprocess.run(argv, input=lines, text=True, check=False, capture_output=True)
        finally:
            os.kill(self.pid, signal.SIGCONT)
        assert done.returncode == 0, (done.stderr, self.done[-20:])

    def served(self) -> tuple[set[str], set[str], set[str]]:
        """Return the links that give addresses, those that are proxied, and the addresses of both."""
        here = {
            name: card.address
            for name, card in self.cards.items()
            if card.ours and card.up and card.address and not card.port
        }
        real = {name for name, address in here.items() if address.startswith("192.168.67.")}
        return real, set(here) - real, set(here.values())

    # ---- events ---------------------------------------------------------------------------------

    def _pick(self, condition: Callable[[Card], bool]) -> str:
        names = sorted(name for name, card in self.cards.items() if condition(card))
        return self.chance.choice(names) if names else ""

    def _fresh_address(self) -> str:
        taken = {card.address.rpartition(".")[0] for card in self.cards.values()}
        nets = ["192.168.67", *(f"10.0.{number}" for number in range(1, 250))]
        return f"{self.chance.choice([net for net in nets if net not in taken])}.{self.chance.randint(1, 9)}"

    def appear(self) -> None:
        """Plug in a card, or make a bridge."""
        self.made += 1
        if len(self.cards) > 12:
            return
        kind = self.chance.choice(["veth", "bridge"])
        name = f"{'eth' if kind == 'veth' else 'br'}{self.made}"
        self._add(name, Card(kind, True))

    def appear_foreign(self) -> None:
        """Make a network as other software does."""
        names = sorted(set(FOREIGN) - set(self.cards))
        if names:
            name = self.chance.choice(names)
            self._add(name, Card(FOREIGN[name], False))

    def _add(self, name: str, card: Card) -> None:
        card.address = self._fresh_address()
        if card.kind in ("tap", "tun"):
            make = f"tuntap add dev {name} mode {card.kind}"
        else:
            make = f"link add {name} type {card.kind}"
            make += f" peer name {self.far(name)}" if card.kind == "veth" else ""
        far = [f"link set {self.far(name)} up"] if card.kind == "veth" else []
        if card.kind == "bridge" and not card.ours:
            # A machine of that software.
            far = [f"link add {_port(name)} type veth peer name {self.far(name)}"]
            far += [f"link set {_port(name)} master {name} up", f"link set {self.far(name)} up"]
        self.ip(make, f"address add {card.address}/24 dev {name}", f"link set {name} up", *far)
        self.cards[name] = card

    def far(self, name: str) -> str:
        """Return where machines of a card, or of other software's bridge, are."""
        # It has no address, so it is nothing to serve.
        return f"f-{name}"[:15]

    def cables(self) -> Iterator[tuple[str, str]]:
        """Yield where a machine can be, and at which of the server's interfaces that is."""
        bridge_of = {port: bridge for bridge, ports in self.bridges.items() for port in ports}
        for name, card in self.cards.items():
            at = bridge_of.get(name, name)
            there = card.kind == "veth" or (card.kind == "bridge" and not card.ours)
            if there and card.up and self.cards[at].up:
                yield self.far(name), at

    def vanish(self) -> None:
        """Remove an interface, maybe while it is served."""
        if name := self._pick(lambda card: True):
            foreign = self.cards[name].kind == "bridge" and not self.cards[name].ours
            self.ip(*([f"link delete {_port(name)}"] if foreign else []), f"link delete {name}")
            # The ports of a bridge are none any more.
            for port in self.bridges.pop(name, set()):
                self.cards[port].port = False
            del self.cards[name]
            for ports in self.bridges.values():
                ports.discard(name)

    def readdress(self) -> None:
        """Give an interface an address in another network."""
        if name := self._pick(lambda card: bool(card.address) and card.up):
            old, self.cards[name].address = self.cards[name].address, self._fresh_address()
            new = self.cards[name].address
            self.ip(f"address add {new}/24 dev {name}", f"address delete {old}/24 dev {name}")

    def unplug(self) -> None:
        """Take an interface down, or up again; its address stays."""
        if name := self._pick(lambda card: not card.port):
            self.cards[name].up = not self.cards[name].up
            self.ip(f"link set {name} {'up' if self.cards[name].up else 'down'}")

    def rename(self) -> None:
        """Give an interface another name."""
        if name := self._pick(lambda card: card.ours and not card.port and card.up):
            new = next(f"lan{n}" for n in range(999) if f"lan{n}" not in self.cards)
            far, to = self.far(name), self.far(new)
            ends = [f"link set {far} down", f"link set {far} name {to}", f"link set {to} up"]
            ends = ends if self.cards[name].kind == "veth" else []
            self.ip(f"link set {name} down", f"link set {name} name {new}", *ends, f"link set {new} up")
            self.cards[new] = self.cards.pop(name)
            if name in self.bridges:
                self.bridges[new] = self.bridges.pop(name)

    def enslave(self) -> None:
        """Make a card a port of a bridge, or take it out."""
        name = self._pick(lambda card: card.ours and card.kind == "veth")
        bridge = self._pick(lambda card: card.ours and card.kind == "bridge")
        for ports in self.bridges.values():
            if name in ports:
                ports.remove(name)
                self.cards[name].port = False
                self.ip(f"link set {name} nomaster")
                return
        if name and bridge:
            self.bridges.setdefault(bridge, set()).add(name)
            self.cards[name].port = True
            self.ip(f"link set {name} master {bridge}")

    def flap(self) -> None:
        """Take an address away and give it back, as some DHCP clients do when they start anew."""
        if name := self._pick(lambda card: bool(card.address)):
            address = self.cards[name].address
            self.ip(f"address delete {address}/24 dev {name}", f"address add {address}/24 dev {name}")

    def renew(self) -> None:
        """Renew a lease: only the lifetime of the address is new."""
        if name := self._pick(lambda card: bool(card.address) and card.up):
            life, address = self.chance.randint(3600, 7200), self.cards[name].address
            self.ip(f"address change {address}/24 dev {name} valid_lft {life} preferred_lft {life}")


def _port(name: str) -> str:
    return f"p-{name}"[:15]


HARMLESS = {"flap", "renew", "appear_foreign"}
EVENTS = ("appear", "vanish", "readdress", "unplug", "rename", "enslave", *HARMLESS)


def _links(text: str) -> set[str]:
    return {line.removeprefix("interface=") for line in text.splitlines() if line.startswith("interface=")}


def _texts(world: World) -> dict[str, str]:
    return {name: world.output(name) if (world.paths.outputs / name).exists() else "" for name in FILES}


def _found(world: World) -> tuple[set[str], set[str], set[str]]:
    """Return what is served by the files, as ``Network.served``."""
    text = _texts(world)
    addresses = set(json.loads(text["gateway.json"])["addresses"]) if text["gateway.json"] else set()
    return _links(text["dnsmasq.conf"]), _links(text["proxy-dhcp.conf"]), addresses


def _needed(before: dict[str, str], after: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what systemd must have been asked for between two states of the files, each once."""
    for name, (unit, change) in FILES.items():
        if before[name] != after[name]:
            verb = "StopUnit" if not after[name] else change if before[name] else "RestartUnit"
            yield verb, unit


def check_answers(network: Network, capture: Capture, what: str = "") -> None:
    """Have machines ask wherever one can be: who must be answered is, and nobody else."""
    real, proxy, _ = network.served()
    others: set[Asked] = set()
    wanted: dict[Asked, str] = {}
    neighbours = []
    for card, at in network.cables():
        address = network.cards[at].address
        for number, machine in enumerate((FIRMWARE, SYSTEM, *REFUSED), 50):
            own = f"{address.rpartition('.')[0]}.{number}"
            neighbours.append(f"neigh replace {own} lladdr {machine.mac} dev {at} nud permanent")
            first, second = Asked(card, machine), Asked(card, machine, own, address)
            right = {first} if at in real and machine not in REFUSED else set()
            right |= {first, second} if at in proxy and machine is FIRMWARE else set()
            wanted |= dict.fromkeys(right, at)
            others |= {first, second} - right
    network.ip(*neighbours)
    # A server takes one packet after the other, so those that it must not answer are over by then.
    for each in (*others, *wanted):
        capture.ask(each)
    try:
        found = capture.answered(set(wanted))
    except TimeoutError as error:
        raise AssertionError(f"{what}: {error}") from error
    assert set(found) == set(wanted), (what, set(found) ^ set(wanted))
    for each, interfaces in found.items():
        assert interfaces <= {wanted[each], *network.bridges.get(wanted[each], ())}, (what, each, interfaces)


async def test_a_network_that_keeps_changing_is_followed_with_the_restarts_that_it_needs(
    world: World, tmp_path: Path
) -> None:
    world.write("/etc/ltsp/ltsp.conf", f"[server]\nDHCP_DENY={DENIED}\n")
    (world.paths.root / "usr/lib/ipxe").mkdir(parents=True)
    world.write("/usr/lib/ipxe/undionly.kpxe", "a boot program")
    process = await world.ready()
    await world.settled()
    seed = int(os.environ.get("LTSPD_SEED", str(random.randrange(1 << 32))))
    network, net = Network(process.pid, random.Random(seed)), f"/proc/{process.pid}/ns/net"
    network.ip("link set far0 down", "link set far0 name f-eth0", "link set f-eth0 up")
    counted: Counter[str] = Counter()
    slowest, end = 0.0, time.monotonic() + SECONDS
    loop = asyncio.get_running_loop()
    with closing(Servers(world, net, tmp_path)) as servers, closing(Capture(net)) as capture:
        # Who tells systemd of its state waits if nobody hears it.
        loop.add_reader(world.notify, lambda: world.notify.recv(4096))
        servers.do(world.systemd.acts)
        check_answers(network, capture)
        while time.monotonic() < end or set(EVENTS) - set(counted):
            world.systemd.acts.clear()
            before = _texts(world)
            event = network.chance.choice(EVENTS)
            getattr(network, event)()
            began = time.monotonic()
            # It has woken the daemon by itself; this only waits for the end of the pass.
            await ask(world.bus, "Manager", "Reload")
            wanted = network.served()
            await world.until(lambda _, wanted=wanted: _found(world) == wanted)  # type: ignore[misc]
            slowest = max(slowest, time.monotonic() - began)
            await world.until(lambda manager: manager["State"] != "applying")
            what = f"seed {seed}, {event}: {network.done[-3:]}"
            after = _texts(world)
            acts = [(verb, unit) for verb, unit in world.systemd.acts if unit in dict(FILES.values())]
            assert sorted(acts) == sorted(_needed(before, after)), what
            assert event not in HARMLESS or before == after, what
            servers.do(acts)
            check_answers(network, capture, what)
            counted[event] += 1
        loop.remove_reader(world.notify)
    print(
        f"\n{counted.total()} events in {SECONDS:g} s, the slowest was followed in {slowest:.2f} s: {counted}"
    )
    assert "Traceback" not in world.log.read_text()
