"""The machines that tests of logins share, once for each release of Debian."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import trees
from tests.lab.session import Session
from tests.pam.machines import School, build, machines


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def school(request: pytest.FixtureRequest, lab: Session, modules: Path) -> Iterator[School]:
    tree = trees.tree(f"{request.param}-logins")
    place = lab.directory / request.param
    place.mkdir()
    with machines(tree, place) as (server, client):
        made = School(server, client, request.param)
        made.set_up(modules)
        yield made
