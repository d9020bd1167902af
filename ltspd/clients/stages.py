"""When a client's boot came to each stage: what was heard of it, and what it reported itself then. Pure."""

from collections.abc import Mapping

from ltspd.clients.fields import ClientStage
from ltspd.model.client import ClientState, Stage, Step, Word

Reached = tuple[tuple[str, int], ...]

# What was heard this long before the first report, in microseconds, still belongs to the same boot.
ATTEMPT = 600 * 1_000_000

_RANK: Mapping[str, int] = {
    ClientStage.NETWORK: 0,
    ClientStage.ROOT: 1,
    ClientStage.LOGIN: 2,
    ClientStage.OFF: 3,
    ClientStage.FAILED: 3,
}
_HEARD: Mapping[Word, Stage] = {
    Word.DISCOVER: Stage.DISCOVER,
    Word.OFFER: Stage.OFFER,
    Word.LEASE: Stage.LEASE,
    Word.FETCH: Stage.TFTP,
}


def reached(before: Reached, stage: str, at: int) -> Reached:
    """Return the reported stages of a boot with one more; the first one of the next boot starts anew.

    A client that repeats a stage, because something else of its report has changed, came to it before. Times
    are in microseconds since the epoch.
    """
    if stage not in _RANK:
        return before
    if before and before[-1][0] == stage and stage != ClientStage.NETWORK:
        return before
    # A report of an earlier stage comes from a later boot, also if that boot's first report was lost.
    if not before or _RANK[stage] <= _RANK[before[-1][0]]:
        return ((stage, at),)
    return (*before, (stage, at))


def told(given: object, now: int) -> Reached | None:
    """Return the stages of a boot as the gateway told them, or None if they can't be right.

    No time is later than ``now``.
    """
    if not isinstance(given, Mapping) or not set(given) <= set(_RANK):
        return None
    if not all(isinstance(each, int) for each in given.values()):
        return None
    found = sorted(((stage, min(at, now)) for stage, at in given.items()), key=lambda each: _RANK[each[0]])
    return tuple(found)


def stages(client: ClientState) -> Mapping[str, int]:
    """Return the time at which the boot of a client came to each stage, in the order of the stages.

    It is the boot that it is in, or was last in.
    """
    steps = _attempt(client.seen.steps)
    if client.stage not in list(Stage):
        first = client.reached[0][1] if client.reached else 0
        steps = tuple(each for each in steps if first - ATTEMPT < each.at <= first)
    heard: dict[str, int] = {}
    for each in steps:
        if each.word in _HEARD:
            heard.setdefault(_HEARD[each.word], each.at)
    return heard if client.stage in list(Stage) else {**heard, **dict(client.reached)}


def _attempt(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps from the last time on that the firmware began to ask for an address."""
    asked = [at for at, each in enumerate(steps) if each.word is Word.DISCOVER]
    firmware = [at for at in asked if not steps[at].text.startswith("iPXE")]
    begins = firmware or asked
    return steps[begins[-1] :] if begins else steps
