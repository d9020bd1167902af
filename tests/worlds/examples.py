"""How many examples hypothesis draws: all of them, or in a quick run a few."""

import os

import pytest
from hypothesis import HealthCheck, settings

# `./check quick` sets it: who waits for that run wants to know soon, and the whole run draws the rest.
QUICK = os.environ.get("LTSPD_CHECK") == "quick"
# `.ci/run` sets it: a tree that passed passes again. Every other run draws anew, and finds what is left.
SAME = os.environ.get("LTSPD_EXAMPLES") == "same"
# hypothesis's own default.
USUAL = 100
# A quick run draws this part of them.
SHARE = 10
# What takes seconds is left to the whole run.
WHOLE = pytest.mark.skipif(QUICK, reason="left to the whole run")


def drawn(count: int = USUAL) -> settings:
    """Return settings with that many examples; a fixture of the test may serve all of them.

    Other work on the machine is no failure; tests of what hostile data may cost measure that themselves.
    """
    return settings(
        max_examples=max(count // SHARE, 10) if QUICK else count,
        deadline=None,
        derandomize=SAME,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# For tests that name no number. Imported by tests/conftest.py, before any test.
settings.register_profile("of this run", drawn())
settings.load_profile("of this run")
