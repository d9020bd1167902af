"""The reports that the gateway handed over → the clients that are published, and their problems. Pure.

A client may report anything, so reports are only used where a lie does no harm: they are shown, and they
keep generations from being removed for a while.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ltspd.clients.fields import ANSWER, ANSWERS_ON_THE_BUS, FIELDS, ON_THE_BUS, ClientStage, is_sound
from ltspd.clients.stages import reached, told
from ltspd.model.client import ClientState, Identity
from ltspd.model.image import Image
from ltspd.model.menu import RootTransport
from ltspd.model.state import Problem

# More machines than one server boots. Beyond that the clients with the oldest reports are forgotten.
MOST = 2000
# Clients that can't boot and get a line in Problems; one more line counts the others.
PROBLEMS_MOST = 10

SECOND = 1_000_000
# A client that boots has its root, or has failed, well within this time: each step gives up after 60 s.
BOOTING = 15 * 60 * SECOND
# A client that can't boot tries again every minute. One that is silent for this long is switched off.
FAILING = 24 * 3600 * SECOND
# A client with an open connection is published as seen no more often than this.
FRESH = 600 * SECOND

# A client in one of these stages is on its way to a login, and may not have opened its layers yet.
_ON_THE_WAY = frozenset({ClientStage.NETWORK, ClientStage.ROOT})

# A client in one of these stages may say what is wrong.
_TROUBLED = frozenset({ClientStage.LOGIN, ClientStage.FAILED})

Clients = Mapping[str, ClientState]
# The ids of each published image's generations.
Known = Mapping[str, frozenset[str]]


def merge(
    clients: Clients, reports: Iterable[Mapping[str, object]], known: Known, now: int
) -> tuple[Clients, int]:
    """Return the clients with the reports merged in, and how many reports were refused as invalid.

    Fields that a report lacks keep their value. ``now`` is in microseconds since the epoch; a report that
    is older than its client's last one changes nothing.
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
        # Those that keep their keys are as many at most, and stay: administrators may have to forget one.
        others = [each for each in found.values() if each.identity is not Identity.KEPT]
        drop = {each.mac for each in sorted(others, key=lambda each: each.last_seen)[:-MOST]}
        found = {mac: client for mac, client in found.items() if mac not in drop}
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
    # An image that is not published here is not repeated.
    if value["image"] not in known:
        value["image"] = value["generation"] = ""
    if value["stage"] not in _TROUBLED:
        value["error"] = ""
    # A time in the future comes from a wrong clock, and would make this client the newest for ever.
    seen = min(seen, now)
    # The gateway has seen stages that followed each other faster than it tells us of them.
    given = told(report["Stages"], seen) if "Stages" in report else ((value["stage"], seen),)
    if given is None:
        return None
    stages = before.reached
    for stage, at in given:
        stages = reached(stages, stage, at)
    return replace(before, **value, last_seen=seen, reached=stages)


def answers(reports: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, str]]:
    """Yield what clients said of orders: mac, boot, order and result; nothing of what can't be right."""
    keys = {**ON_THE_BUS, **ANSWERS_ON_THE_BUS}
    for report in reports:
        found = {name: str(report.get(keys[name], "")) for name in ("mac", "boot", *ANSWER)}
        if all(found.values()) and all(is_sound(name, text) for name, text in found.items()):
            yield found


def connected(clients: Clients, addresses: frozenset[str], now: int) -> Clients:
    """Return the clients; those with an open connection were seen now, unless they were seen just before."""
    return {
        mac: replace(each, last_seen=now)
        if each.address in addresses and each.stage != ClientStage.OFF and now - each.last_seen > FRESH
        else each
        for mac, each in clients.items()
    }


def generations_in_use(image: Image, clients: Iterable[ClientState], now: int) -> frozenset[str]:
    """Return the ids of an image's generations that clients are booting, by their reports.

    The servers' open files show what a running client reads. A client that boots has no file open yet: it has
    fetched the kernel and initrd of a generation, and needs its layers next.
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
    """Return a problem for each client that can't boot, or runs and lacks something, the newest first."""
    failed = sorted(
        (
            each
            for each in clients
            if (each.stage == ClientStage.FAILED or each.error) and now - each.last_seen < FAILING
        ),
        key=lambda each: (-each.last_seen, each.mac),
    )
    shown = [_problem(each) for each in failed[:PROBLEMS_MOST]]
    if more := len(failed) - len(shown):
        shown.append(
            Problem("clients", f"{more} more failed to boot or run short; 'ltspctl client list' shows them.")
        )
    return tuple(shown)


def _problem(client: ClientState) -> Problem:
    why = client.error or "it gave no reason."
    what = "failed to boot" if client.stage == ClientStage.FAILED else "is up, but"
    return Problem(
        f"client {client.hostname or client.mac}",
        f"{what}: {why} 'ltspctl client show {client.mac}' tells more.",
    )


def stages(clients: Iterable[ClientState]) -> Mapping[str, int]:
    """Return how many clients are at each stage."""
    return Counter(each.stage for each in clients)
