"""How often clients may ask for work, one address and all of them: token buckets. Pure; time is handed in."""

from collections import OrderedDict

# The limits of reports. A boot sends four and a shutdown one; a client that can't boot sends one a minute.
EACH_BURST, EACH_RATE = 20.0, 0.2
# A whole school that is switched on at one moment is taken as it comes: 500 clients, all stages at once.
ALL_BURST, ALL_RATE = 2000.0, 200.0
# Addresses with a bucket. Beyond that, the address that was quiet for longest loses its bucket.
ADDRESSES_MOST = 4096


class Bucket:
    """``burst`` at once, and ``rate`` a second in the long run."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, rate: float, now: float) -> None:
        """Begin full. ``now`` is in seconds of a clock that never goes back."""
        self._burst, self._rate = burst, rate
        self._left, self._at = burst, now

    def take(self, now: float) -> bool:
        """Return whether one more is within the limit, and count it then."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Limits:
    """All addresses, each with its bucket, and one bucket for everybody."""

    def __init__(self, now: float, burst: float = EACH_BURST, rate: float = EACH_RATE) -> None:
        """Begin with nothing taken; ``burst`` and ``rate`` are those of one address."""
        self._burst, self._rate = burst, rate
        self._all = Bucket(ALL_BURST, ALL_RATE, now)
        self._each: OrderedDict[str, Bucket] = OrderedDict()

    def allow(self, address: str, now: float) -> bool:
        """Return whether a request from this address may be looked at now."""
        bucket = self._each.get(address)
        if bucket is None:
            bucket = self._each[address] = Bucket(self._burst, self._rate, now)
            if len(self._each) > ADDRESSES_MOST:
                self._each.popitem(last=False)
        self._each.move_to_end(address)
        # The address's own bucket comes first, so that one that floods takes nothing from the others.
        return bucket.take(now) and self._all.take(now)
