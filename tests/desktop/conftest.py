"""Servers of two releases with people, and for each a client with a screen, which stays on for all tests.

What the screen showed is kept as pictures among the logs of the run.
"""

from collections.abc import Iterator

import pytest

from tests.lab.desk import Desk
from tests.lab.school import School, open_school

# Servers of each release, and images by the greeters that they have, with the root tree of each.
_GREETERS = ("lightdm", "sddm", "greetd")
DEBIAN_12 = "login-server", dict.fromkeys(_GREETERS, "greeters")
DEBIAN_13 = "trixie-server", dict.fromkeys(_GREETERS, "trixie-greeters")


@pytest.fixture(scope="package", params=[DEBIAN_12, DEBIAN_13], ids=["bookworm", "trixie"])
def school(request: pytest.FixtureRequest) -> Iterator[School]:
    with open_school(*request.param) as school:
        yield school


@pytest.fixture(scope="package")
def desk(school: School) -> Iterator[Desk]:
    desk = school.switch_on("desk", "52:54:00:67:f8:01")
    yield desk
    desk.client.off()
