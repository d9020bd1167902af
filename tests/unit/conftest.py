"""Fixtures of several unit tests: units whose systemd is a fake, and a whole daemon."""

from collections.abc import AsyncIterator

import pytest

from ltspd.apply import Applier
from ltspd.paths import Paths
from tests.unit.applying import FakeSystemd, fresh
from tests.unit.world import World, open_world


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd()


@pytest.fixture
def applier(paths: Paths, systemd: FakeSystemd) -> Applier:
    return fresh(paths, systemd)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as world:
        yield world
