"""Who is meant by the names in an order: hosts, rooms or everybody; and what polkit is told. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltspd.clients.fields import ClientStage, is_mac
from ltspd.clients.seen import is_only_heard
from ltspd.errors import NoSuchClient
from ltspd.model.client import ClientState, Machine
from ltspd.model.order import Target, Verb

# Stands for all clients.
ALL = "*"
ROOM = "room:"
# Names in one call.
NAMES_MOST = 2000


@dataclass(frozen=True, slots=True)
class Chosen:
    """The machines that are meant. ``host`` is set if it is one host, ``room`` if all are of one room.

    ``label`` says in words who is meant. ``named``: each was named as a host.
    """

    machines: tuple[Machine, ...]
    host: str
    room: str
    label: str
    named: bool

    def details(self, verb: str, user: str) -> Mapping[str, str]:
        """Return what polkit's rules and dialogs may look at."""
        mac = self.machines[0].mac if self.host else ""
        words = {"host": self.host, "mac": mac, "room": self.room, "user": user, "verb": verb}
        return {"client": self.label, **words}


class Directory:
    """All machines by all their names."""

    def __init__(
        self, clients: Iterable[ClientState], machines: Iterable[Machine], rooms: Sequence[str]
    ) -> None:
        """Know the clients that have reported, the machines that ltsp.conf names, and the rooms."""
        self._rooms = rooms
        known = {each.mac: each for each in machines}
        known |= {
            each.mac: Machine(each.mac, each.hostname or _name(known.get(each.mac)), each.rooms, each.address)
            for each in clients
        }
        self._known = known
        self._names: dict[str, list[Machine]] = {}
        for each in known.values():
            for name in {each.hostname.lower(), each.address} - {""}:
                self._names.setdefault(name, []).append(each)

    def choose(self, names: Sequence[str], verb: Verb) -> Chosen:
        """Return who is meant; raises NoSuchClient, also for a name that several have."""
        if not names or len(names) > NAMES_MOST:
            raise NoSuchClient(f"Name 1 to {NAMES_MOST} clients or rooms, or * for all.")
        found: dict[str, Machine] = {}
        rooms: set[str] = set()
        hosts: list[str] = []
        for name in names:
            room = self._room(name)
            if name == ALL:
                found.update(self._known)
                rooms.add("")
            elif room:
                found.update((each.mac, each) for each in self._known.values() if room in each.rooms)
                rooms.add(room)
            else:
                machine = self._host(name, verb)
                found[machine.mac] = machine
                rooms.add(next(iter(machine.rooms), ""))
                hosts.append(machine.hostname or machine.mac)
        label = "all clients" if ALL in names else ", ".join(_label(each, self._room(each)) for each in names)
        return Chosen(
            tuple(sorted(found.values(), key=_order)),
            hosts[0] if len(names) == len(hosts) == 1 else "",
            rooms.pop() if len(rooms) == 1 else "",
            label if len(label) <= 100 else f"{len(found)} clients",
            len(hosts) == len(names),
        )

    def _room(self, name: str) -> str:
        """Return the room that a name stands for, or an empty string; raises NoSuchClient if unclear."""
        plain = name.lower()
        room = plain.removeprefix(ROOM)
        if room not in self._rooms:
            if plain.startswith(ROOM):
                known = ", ".join(self._rooms) or "none; ltsp.conf has them as [room:NAME]"
                raise NoSuchClient(f"There is no room {room[:64]!r}; there is: {known}.")
            return ""
        if plain == room and room in self._names:
            macs = ", ".join(each.mac for each in self._names[room])
            raise NoSuchClient(f"{room} is a room and a client; say room:{room}, or {macs}.")
        return room

    def _host(self, name: str, verb: Verb) -> Machine:
        plain = name.lower()
        mac = plain.replace("-", ":")
        if mac in self._known:
            return self._known[mac]
        if is_mac(mac) and verb is Verb.WAKE:
            return Machine(mac)
        found = self._names.get(plain, [])
        if len(found) > 1:
            macs = ", ".join(each.mac for each in found)
            raise NoSuchClient(f"{len(found)} clients are called {plain[:64]!r}; say which: {macs}.")
        if not found:
            raise NoSuchClient(
                f"There is no client or room {name[:64]!r}; 'ltspctl client list' shows the known ones."
            )
        return found[0]


def _name(machine: Machine | None) -> str:
    return machine.hostname if machine is not None else ""


def _label(name: str, room: str) -> str:
    return f"room {room}" if room else name


def _order(machine: Machine) -> tuple[list[tuple[int, str]], str]:
    """Sort pc2 before pc10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", machine.hostname.lower())
    return [(int(each), "") if each.isdecimal() else (0, each) for each in parts], machine.mac


def targets(
    chosen: Chosen, verb: Verb, clients: Mapping[str, ClientState], stagger: int
) -> tuple[tuple[Target, ...], Mapping[str, str]]:
    """Return whom an order goes to, and of others why not: that one is off only if all are named as hosts."""
    meant: list[str] = []
    why: dict[str, str] = {}
    for machine in chosen.machines:
        client = clients.get(machine.mac)
        if verb is Verb.WAKE:
            meant.append(machine.mac)
        elif client is None or client.stage in ("", ClientStage.OFF) or is_only_heard(client):
            why[machine.mac] = "it is off."
        elif not client.boot:
            why[machine.mac] = "it takes no orders until it is booted anew."
        else:
            meant.append(machine.mac)
    told = {mac: text for mac, text in why.items() if chosen.named or not text.startswith("it is off")}
    boots = {mac: clients[mac].boot if mac in clients else "" for mac in meant}
    return tuple(Target(mac, boots[mac], number * stagger) for number, mac in enumerate(meant)), told
