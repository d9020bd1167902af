"""Which boots of machines failed, and which boot program they get then. Pure.

A boot has failed if the machine fetched its boot program, asks anew, and no kernel has reported in between.
Where the menu was fetched, that program works: what somebody chooses there, such as the local disk, is no
failure. A kernel that was fetched by TFTP, and never reported, is one.

Anybody on the network can make up what is heard and reported. So what has worked once stays, and only some
machines get another program.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import number
from ltspd.model.client import Attempts, ClientState, Seen, Stage, Step, Word
from ltspd.model.menu import BootWay, Menu
from ltspd.names import is_mac
from ltspd.network.firmware import choices

TRIES = Parameter(
    "BOOT_TRIES",
    number("a number", 0, 100),
    "3",
    SERVER,
    "Boots of a machine that fail until it gets the next boot program; 0: it keeps its first one",
)
# Machines with another program than the first one, and those of which anything is known.
MOVED_MOST, MOST = 64, 2000
# The version of the file. Fields only come to it.
VERSION = 1
# How the names of menus end, in each boot program; and tools that are chosen in them.
_MENUS = (".ipxe", ".cfg", ".c32")
_CHOSEN = ("pxelinux.cfg/", "memtest")

Records = Mapping[str, Attempts]
Clients = Mapping[str, ClientState]


@dataclass(frozen=True, slots=True)
class Server:
    """What a machine can boot here: our ``addresses``, ``programs`` that are installed, tries of each.

    ``links`` are those on which we say what to boot.
    """

    menu: Menu
    links: Collection[str] = ()
    addresses: Collection[str] = ()
    programs: Collection[str] = ()
    tries: int = 0

    def choices(self, client: ClientState) -> Mapping[BootWay, str]:
        """Return the programs that a machine can boot, in the order to try them."""
        return choices(self.programs, client.seen.architecture, client.mac)


def heard(records: Records, before: Clients, after: Clients, server: Server) -> Records:
    """Return the records after the listener has heard more of machines."""
    found = dict(records)
    for mac, client in after.items():
        past = before.get(mac)
        if past is None or client.seen is past.seen or not failed(past, client.seen, server.addresses):
            continue
        if client.seen.link not in server.links:
            continue
        if server.menu.configured(mac) is BootWay.AUTO and (mac in found or len(found) < MOST):
            others = sum(each.way is not BootWay.AUTO for each in found.values())
            record = found.get(mac, Attempts())
            found[mac] = _after_failure(record, list(server.choices(client)), server.tries, others)
    return found


def reported(records: Records, clients: Iterable[ClientState], server: Server) -> Records:
    """Return the records after machines have reported, which a boot program that works has led to."""
    found = dict(records)
    for client in clients:
        way = _gone(client.seen, server.choices(client))
        if way is None and client.mac in found:
            # It fetched so much since that the program is not among its last steps.
            way = found[client.mac].way
        if way is None or not _has_reported(client):
            continue
        if server.menu.configured(client.mac) is not BootWay.AUTO:
            continue
        if client.mac in found or len(found) < MOST:
            found[client.mac] = Attempts(way, worked=True)
    return found


def failed(before: ClientState, after: Seen, addresses: Collection[str]) -> bool:
    """Return whether a machine begins another boot because its last one, from here, came to nothing."""
    began = _began(before.seen)
    if not began or _began(after) <= began or _has_reported(before):
        return False
    fetched = [each for each in before.seen.steps if each.word is Word.FETCH and each.last >= began]
    if not fetched:
        # Nobody hears what is fetched by HTTP.
        return any(_by_http(each) and each.last >= began for each in before.seen.steps)
    last = max(fetched, key=lambda each: each.last)
    chose = last.text.endswith(_MENUS) or any(each in last.text for each in _CHOSEN)
    return last.server in addresses and not chose


def found_ways(records: Records) -> Mapping[str, BootWay]:
    """Return the machines that get another program than the first one."""
    return {mac: each.way for mac, each in records.items() if each.way is not BootWay.AUTO}


def dump(records: Records) -> bytes:
    """Return what is to be kept: what was found, and what has worked."""
    kept = {mac: each for mac, each in records.items() if each.worked or each.way is not BootWay.AUTO}
    machines = {mac: {"way": each.way, "worked": each.worked} for mac, each in sorted(kept.items())}
    return (json.dumps({"version": VERSION, "machines": machines}, indent=1) + "\n").encode()


def load(data: bytes) -> Records:
    """Return what was kept; raises ValueError."""
    try:
        machines = json.loads(data)["machines"]
        return {
            mac: Attempts(BootWay(each["way"]), worked=bool(each["worked"]))
            for mac, each in machines.items()
            if is_mac(mac)
        }
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"it is not what ltspd writes ({error!r})") from error


def _after_failure(record: Attempts, ways: list[BootWay], tries: int, others: int) -> Attempts:
    """Return the record with one more failure; the last way is followed by the first one."""
    counted = replace(record, failed=record.failed + 1)
    if record.worked or not tries or counted.failed < tries or not ways:
        return counted
    at = ways.index(record.way) if record.way in ways else -1
    following = ways[(at + 1) % len(ways)]
    if following is record.way or (record.way is BootWay.AUTO and others >= MOVED_MOST):
        return counted
    return Attempts(following)


def _has_reported(client: ClientState) -> bool:
    return client.stage not in ("", *Stage)


def _began(seen: Seen) -> int:
    """Return when a machine's firmware asked last; iPXE asks again during a boot. 0: never."""
    asked = (each for each in seen.steps if each.word is Word.DISCOVER and not each.text.startswith("iPXE"))
    return max((each.last for each in asked), default=0)


def _gone(seen: Seen, programs: Mapping[BootWay, str]) -> BootWay | None:
    """Return the way by which a machine has come: that of the program that it got last; None: unknown."""
    names = {name: way for way, name in programs.items()}
    took = (each for each in seen.steps if each.word is Word.FETCH or _by_http(each))
    known = [(each.last, names[name]) for each in took if (name := each.text.rpartition("/")[2]) in names]
    return max(known)[1] if known else None


def _by_http(step: Step) -> bool:
    return step.word in (Word.LEASE, Word.BOOT) and step.text.startswith("http:")
