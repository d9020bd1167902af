"""What was heard of machines that boot by the network, and of the servers that answer them. Pure.

Of a machine it keeps where it is now and its last steps, of a server its last answer. Both are bounded; time
is handed in, in microseconds since the epoch.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ltspd.clients.fields import is_address, is_mac
from ltspd.clients.seen import FRESH, SECOND, STEPS_MOST
from ltspd.gateway.limits import Bucket
from ltspd.listener.packets import ACK, DISCOVER, NAK, NOBODY, OFFER, REQUEST, Fetch, Message
from ltspd.model.client import Seen, Server, Stage, Step, Word

# Machines; beyond that, the one that was quiet for longest is forgotten. Servers likewise.
MOST = 1000
SERVERS_MOST = 16
# Machines that were never heard before, at once and a second: whoever makes addresses up is told of slowly.
NEW_BURST, NEW_RATE = 500.0, 5.0
# What is new of servers, at once and a second: administrators are told of it.
SERVER_BURST, SERVER_RATE = 12.0, 0.1
# The same step within this time is one that is repeated.
REPEATED = 60 * SECOND
# iPXE asks for an address within this time after it was fetched; later, it is one in a card.
CHAINED = 120 * SECOND
# A server that gave no answer to this many machines, this long after its last one, is gone.
MISSED, QUIET = 3, 5 * SECOND


@dataclass(slots=True)
class _Machine:
    """What was heard of one machine; ``boots``: its last message was one of firmware or iPXE."""

    seen: Seen
    boots: bool = True
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class _Heard:
    server: Server
    missed: int = 0


class Book:
    """All machines, in the order in which they were heard last, and all servers."""

    def __init__(self, now: int) -> None:
        """Begin with nobody."""
        self._machines: OrderedDict[str, _Machine] = OrderedDict()
        self._news: dict[str, None] = {}
        self._servers: OrderedDict[tuple[str, str], _Heard] = OrderedDict()
        self._new = Bucket(NEW_BURST, NEW_RATE, now / SECOND)
        self._new_servers = Bucket(SERVER_BURST, SERVER_RATE, now / SECOND)
        # Whether the daemon doesn't know of all servers.
        self.servers_changed = False

    def __len__(self) -> int:
        return len(self._machines)

    @property
    def news(self) -> bool:
        """Whether there is anything to tell of machines."""
        return bool(self._news)

    def servers(self, now: int) -> list[Server]:
        """Return the servers that were heard not too long ago."""
        for key in [key for key, each in self._servers.items() if now - each.server.heard >= FRESH]:
            del self._servers[key]
        return [each.server for each in self._servers.values()]

    def batch(self, most: int) -> list[Seen]:
        """Return up to ``most`` machines with news, and count them as told."""
        macs = list(self._news)[:most]
        for mac in macs:
            del self._news[mac]
        found = (self._machines[mac] for mac in macs)
        return [each.seen._replace(steps=tuple(each.steps)) for each in found]

    def untold(self, told: Iterable[Seen]) -> None:
        """Count these as not told after all, because the call failed."""
        self._news.update((each.mac, None) for each in told if each.mac in self._machines)

    def all_untold(self) -> None:
        """Count everything as not told, because there is a new daemon."""
        self._news = dict.fromkeys(self._machines)
        self.servers_changed = True

    # ---- packets -----------------------------------------------------------------------------------

    def take(self, packet: Message | Fetch, link: str, mac: str, own: bool, now: int) -> None:
        """Take note of a packet: ``mac`` sent it on this link; ``own``: this very machine did."""
        if isinstance(packet, Fetch):
            self._fetch(packet, mac, now)
        elif not is_mac(packet.mac):
            return
        elif packet.answer:
            if not own:
                self._answered(packet, link, mac, now)
            self._answer(packet, now)
        else:
            self._asked(packet, link, now)

    def _asked(self, message: Message, link: str, now: int) -> None:
        if message.kind == REQUEST and not message.boot_server and is_address(message.server):
            # It names the server that it chose, also one whose offer was sent to that machine alone.
            self._heard(Server(link, message.server, heard=now))
        machine = self._machines.get(message.mac)
        if not message.boots:
            if machine is not None:
                machine.boots = False
            return
        if message.kind == DISCOVER:
            self._missed(link, now)
        if machine is None:
            if not self._new.take(now / SECOND):
                return
            machine = self._machines[message.mac] = _Machine(Seen(message.mac))
            if len(self._machines) > MOST:
                forgotten, _ = self._machines.popitem(last=False)
                self._news.pop(forgotten, None)
        machine.boots = True
        architecture = message.architecture if message.architecture >= 0 else machine.seen.architecture
        vendor = message.vendor or machine.seen.vendor
        machine.seen = machine.seen._replace(link=link, architecture=architecture, vendor=vendor)
        if message.kind == DISCOVER:
            last = machine.steps[-1] if machine.steps else None
            chained = message.ipxe and last is not None and last.word is Word.FETCH
            if not chained or last is None or now - last.at > CHAINED:
                machine.seen = machine.seen._replace(stage=Stage.DISCOVER, file="", server="")
            who = "iPXE" if message.ipxe else message.vendor
            self._step(machine, Step(now, Word.DISCOVER, text=f"{who}:{architecture}"))
        elif message.boot_server:
            self._step(machine, Step(now, Word.ASK, _shown(message.receiver)))
        elif message.kind == REQUEST:
            step = Step(now, Word.REQUEST, _shown(message.server), _shown(message.wanted))
            self._step(machine, step)

    def _answer(self, message: Message, now: int) -> None:
        machine = self._machines.get(message.mac)
        if machine is None:
            return
        server, given = _shown(message.server), _shown(message.given)
        if message.kind == ACK and not message.boot_server and given:
            lease = machine.seen._replace(lease=given, expires=now + message.lease * SECOND)
            machine.seen = lease
            self._news[message.mac] = None
        if not machine.boots:
            return
        if message.boot_server:
            word, stage = Word.BOOT, None
        elif message.kind == OFFER:
            word, stage = Word.OFFER, Stage.OFFER
        elif message.kind == ACK:
            word, stage = Word.LEASE, Stage.LEASE
        elif message.kind == NAK:
            word, stage = Word.REFUSED, None
        else:
            return
        before = machine.seen
        if stage is not None and _ORDER.index(stage) > _ORDER.index(before.stage):
            machine.seen = before._replace(stage=stage, server=server, file=message.file)
        elif message.file:
            machine.seen = before._replace(server=server, file=message.file)
        self._step(machine, Step(now, word, server, given, message.file))

    def _fetch(self, fetch: Fetch, mac: str, now: int) -> None:
        machine = self._machines.get(mac)
        if machine is not None and machine.boots:
            machine.seen = machine.seen._replace(stage=Stage.TFTP)
            self._step(machine, Step(now, Word.FETCH, _shown(fetch.receiver), text=fetch.file))

    def _step(self, machine: _Machine, step: Step) -> None:
        """Add a step, or count one that is repeated; either is news."""
        machine.seen = machine.seen._replace(at=step.at)
        self._machines.move_to_end(machine.seen.mac)
        self._news[machine.seen.mac] = None
        for at, each in enumerate(machine.steps):
            if each.same(step) and step.at - each.last < REPEATED:
                machine.steps[at] = each._replace(times=each.times + 1, last=step.at)
                return
        machine.steps[:] = [*machine.steps[1 - STEPS_MOST :], step._replace(last=step.at)]

    # ---- servers -----------------------------------------------------------------------------------

    def _answered(self, message: Message, link: str, mac: str, now: int) -> None:
        if message.kind not in (OFFER, ACK) or not is_address(message.server):
            return
        self._heard(
            Server(
                link,
                message.server,
                mac if is_mac(mac) else "",
                gives=message.given not in ("", NOBODY) and not message.boot_server,
                boots=bool(message.file or message.vendor),
                file=message.file,
                heard=now,
            )
        )

    def _heard(self, server: Server) -> None:
        key = (server.link, server.address)
        before = self._servers.get(key)
        if before is not None:
            old = before.server
            server = server._replace(
                mac=server.mac or old.mac,
                gives=server.gives or old.gives,
                boots=server.boots or old.boots,
                file=server.file or old.file,
            )
            # That it is still there is told now and then.
            news = server._replace(heard=old.heard) != old or server.heard - old.heard > FRESH // 4
            if not news:
                server = server._replace(heard=old.heard)
        else:
            news = True
        if news and not self._new_servers.take(server.heard / SECOND):
            return
        self._servers[key] = _Heard(server)
        self._servers.move_to_end(key)
        if len(self._servers) > SERVERS_MOST:
            self._servers.popitem(last=False)
        self.servers_changed = self.servers_changed or news

    def _missed(self, link: str, now: int) -> None:
        """Count the servers of a link that have let earlier machines wait."""
        for key, each in list(self._servers.items()):
            if each.server.link == link and now - each.server.heard > QUIET:
                each.missed += 1
                if each.missed > MISSED:
                    del self._servers[key]
                    self.servers_changed = True


# How far a machine has come; nothing was heard of one at first.
_ORDER = ("", Stage.DISCOVER, Stage.OFFER, Stage.LEASE, Stage.TFTP)


def _shown(address: str) -> str:
    return address if is_address(address) else ""
