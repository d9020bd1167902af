"""How long tests wait for what must come, and what they measure instead of time."""

import os

# Seconds after which something that a test waits for is taken for hanging. No test fails because the machine
# does other work: whatever comes before this is good, and how quick it is, bench/ measures.
PATIENCE = 600.0
# Seconds of one processor after which something is no longer just slow: a hundred times what it takes on a
# quiet machine, and far less than what grows with the square of its input.
FAR_TOO_LONG = 60.0


def processor_seconds() -> float:
    """Return the seconds of processors that this process and its ended children have used.

    They tell what was done, whatever else the machine does meanwhile.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
