"""Fixtures of several unit tests: an empty root, a small source, units whose systemd is a fake, a daemon."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltspd.apply import Applier
from ltspd.model import Source
from ltspd.paths import Paths
from tests.unit.applying import FakeSystemd, fresh
from tests.unit.image_trees import make_source
from tests.unit.world import World, open_world


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path)


@pytest.fixture
def source(paths: Paths) -> Source:
    return make_source(paths)


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
