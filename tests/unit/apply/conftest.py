"""Units whose systemd is a fake, and an applier that speaks to it."""

import pytest

from ltspd.apply import Applier
from ltspd.paths import Paths
from tests.worlds.applying import FakeSystemd, fresh


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd()


@pytest.fixture
def applier(paths: Paths, systemd: FakeSystemd) -> Applier:
    return fresh(paths, systemd)
