"""A network that keeps changing: after each event what is served is right, and only what must is restarted.

The whole daemon runs in a network of its own, and systemd's stand-in counts. LTSPD_FLAPS in the environment
says for how many seconds; LTSPD_SEED repeats a run.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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
        # One that was renamed left the name of its other end behind.
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
            make += f" peer name {self._far(name)}" if card.kind == "veth" else ""
        far = [f"link set {self._far(name)} up"] if card.kind == "veth" else []
        self.ip(make, f"address add {card.address}/24 dev {name}", f"link set {name} up", *far)
        self.cards[name] = card

    def _far(self, name: str) -> str:
        # It has no address, so it is nothing to serve.
        return f"f-{name}"[:15]

    def vanish(self) -> None:
        """Remove an interface, maybe while it is served."""
        if name := self._pick(lambda card: True):
            self.ip(f"link delete {name}")
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
            self.ip(f"link set {name} down", f"link set {name} name {new}", f"link set {new} up")
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


async def test_a_network_that_keeps_changing_is_followed_with_the_restarts_that_it_needs(
    world: World,
) -> None:
    process = await world.ready()
    await world.settled()
    seed = int(os.environ.get("LTSPD_SEED", str(random.randrange(1 << 32))))
    network = Network(process.pid, random.Random(seed))
    counted: Counter[str] = Counter()
    # Who tells systemd of its state waits if nobody hears it.
    asyncio.get_running_loop().add_reader(world.notify, lambda: world.notify.recv(4096))
    slowest, end = 0.0, time.monotonic() + SECONDS
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
        counted[event] += 1
    print(
        f"\n{counted.total()} events in {SECONDS:g} s, the slowest was followed in {slowest:.2f} s: {counted}"
    )
    asyncio.get_running_loop().remove_reader(world.notify)
    assert "Traceback" not in world.log.read_text()
