"""What the gateway handed over → the clients that are published, and what follows from them. Pure.

Clients say all of this themselves, so nothing here is taken for true that could do harm if it were not: it
is shown, and it keeps generations from being removed for a while.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ltspd.clients.fields import FIELDS, ON_THE_BUS, ClientStage, is_sound
from ltspd.model.client import ClientState
from ltspd.model.image import Image
from ltspd.model.menu import RootTransport
from ltspd.model.state import Problem

# More machines than one server boots; what is above that is forgotten, the longest unheard of first.
MOST = 2000
# Clients that can't boot and get a line in Problems; the others are counted in one more.
PROBLEMS_MOST = 10

SECOND = 1_000_000
# A client that boots has its root, or has failed, well within this time: each step gives up after 60 s.
BOOTING = 15 * 60 * SECOND
# A client that can't boot tries again every minute. One that was not heard of for so long is switched off.
FAILING = 24 * 3600 * SECOND
# A connection says that a client is there; telling that more often than this would only make noise.
FRESH = 600 * SECOND

# A client in one of these stages is on its way to a login, and may not have opened its layers yet.
_ON_THE_WAY = frozenset({ClientStage.NETWORK, ClientStage.ROOT})

Clients = Mapping[str, ClientState]
# What is published: for each image its generations.
Known = Mapping[str, frozenset[str]]


def merge(
    clients: Clients, reports: Iterable[Mapping[str, object]], known: Known, now: int
) -> tuple[Clients, int]:
    """Return the clients with what was reported of them, and how many reports could not be right.

    Fields that a report lacks keep their value. ``now`` is in microseconds since the epoch; a report that
    is older than what is known of its client says nothing.
    """
    found = dict(clients)
    refused = 0
    for report in reports:
        client = _merged(found, report, known, now)
        if client is None:
            refused += 1
        else:
            found[client.mac] = client
    if len(found) > MOST:
        newest = sorted(found.values(), key=lambda each: each.last_seen)[-MOST:]
        keep = {each.mac for each in newest}
        found = {mac: client for mac, client in found.items() if mac in keep}
    return found, refused


def _merged(clients: Clients, report: Mapping[str, object], known: Known, now: int) -> ClientState | None:
    fields = {name: report[key] for name, key in ON_THE_BUS.items() if key in report}
    text = {name: value for name, value in fields.items() if isinstance(value, str) and is_sound(name, value)}
    seen = report.get("LastSeen", now)
    if "mac" not in text or len(text) < len(fields) or not isinstance(seen, int):
        return None
    before = clients.get(text["mac"], ClientState(text["mac"]))
    if seen < before.last_seen:
        return before
    value = {name: text.get(name, getattr(before, name)) for name in FIELDS}
    # Only names of what is there: whatever else a client calls its image is no business of this server.
    if value["image"] not in known:
        value["image"] = value["generation"] = ""
    if value["stage"] != ClientStage.FAILED:
        value["error"] = ""
    # A clock that goes wrong must not make a client the newest for ever.
    return replace(before, **value, last_seen=min(seen, now))


def connected(clients: Clients, addresses: frozenset[str], now: int) -> Clients:
    """Return the clients; those with a connection were seen now, if that is news."""
    return {
        mac: replace(each, last_seen=now)
        if each.address in addresses and each.stage != ClientStage.OFF and now - each.last_seen > FRESH
        else each
        for mac, each in clients.items()
    }


def generations_in_use(image: Image, clients: Iterable[ClientState], now: int) -> frozenset[str]:
    """Return the ids of an image's generations that clients are booting, by what they reported.

    What a client reads once it is up is seen in the servers' open files. Before that, it has fetched kernel
    and initrd of one generation and would find its layers gone.
    """
    return frozenset(
        each.generation
        for each in clients
        if each.image == image.name
        and each.stage in _ON_THE_WAY
        and not (each.transport == RootTransport.HTTP and each.stage != ClientStage.NETWORK)
        and now - each.last_seen < BOOTING
        and any(each.generation == one.id for one in image.generations)
    )


def problems(clients: Iterable[ClientState], now: int) -> tuple[Problem, ...]:
    """Return a problem for each client that says it can't boot, the last ones first."""
    failed = sorted(
        (each for each in clients if each.stage == ClientStage.FAILED and now - each.last_seen < FAILING),
        key=lambda each: (-each.last_seen, each.mac),
    )
    shown = [_problem(each) for each in failed[:PROBLEMS_MOST]]
    if more := len(failed) - len(shown):
        shown.append(Problem("clients", f"{more} more failed to boot; 'ltspctl client list' shows them."))
    return tuple(shown)


def _problem(client: ClientState) -> Problem:
    why = client.error or "it gave no reason."
    return Problem(
        f"client {client.hostname or client.mac}",
        f"failed to boot: {why} 'ltspctl client show {client.mac}' tells more.",
    )


def stages(clients: Iterable[ClientState]) -> Mapping[str, int]:
    """Return how many clients are at each stage."""
    return Counter(each.stage for each in clients)
