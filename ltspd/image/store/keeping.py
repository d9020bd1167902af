"""Which generations of an image may go: by number, by age, and by who may still need them. Pure."""

from ltspd.model.image import Image

_DAY = 86400.0


def surplus(
    image: Image,
    needed: frozenset[str],
    *,
    now: float,
    keep: int,
    days: float = 0.0,
    grace: float = 0.0,
) -> tuple[str, ...]:
    """Return the ids of the generations to remove, oldest first.

    The newest ``keep`` stay, those younger than ``days``, those of channels, the ``needed`` ones (pinned or
    in use), and what another generation took the place of less than ``grace`` seconds ago. ``now`` is in
    seconds since the epoch.
    """
    generations = image.generations
    gone = []
    for each in generations[: max(0, len(generations) - max(1, keep))]:
        replaced = replaced_at(image, each.id)
        if each.id == image.current or each.id in needed or each.id in image.channels.values():
            continue
        if not recent(each.created, now, days * _DAY) and not recent(replaced, now, grace):
            gone.append(each.id)
    return tuple(gone)


def recent(then: float, now: float, seconds: float) -> bool:
    """Return whether something was less than ``seconds`` ago.

    A time further in the future than ``seconds`` was written under a wrong clock; it does not count as
    recent.
    """
    return abs(now - then) < seconds


def replaced_at(image: Image, generation: str) -> float:
    """Return when new clients were given this generation last, in seconds since the epoch; 0: never.

    Where nothing was written down, it is when the next one was built.
    """
    known = image.replaced.get(generation, 0.0)
    ids = [each.id for each in image.generations]
    after = image.generations[ids.index(generation) + 1 :]
    return max(known, after[0].created if after else 0.0)
