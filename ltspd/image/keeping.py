"""Which generations of an image may go: by number, by age, and by who may still need them. Pure."""

from ltspd.model import Image

# A client that has fetched its kernel a moment ago is not seen before it mounts its root; also where
# everything is slow that has happened after so many seconds.
GRACE_SECONDS = 600.0
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

    The newest ``keep`` stay, those younger than ``days``, the current one, the ``needed`` ones (pinned or
    in use), and what another generation took the place of less than ``grace`` seconds ago. ``now`` is in
    seconds since the epoch.
    """
    generations = image.generations
    gone = []
    for index, each in enumerate(generations[: max(0, len(generations) - max(1, keep))]):
        replaced = generations[index + 1].created
        if each.id == image.current or each.id in needed:
            continue
        if now - each.created >= days * _DAY and now - replaced >= grace:
            gone.append(each.id)
    return tuple(gone)
