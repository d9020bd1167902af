"""Clients boot images of disks of virtual machines: each format with each table, with and without LVM."""

from collections.abc import Iterator

import pytest

from tests.lab.booted import WHOLE, Disks, check_booted, disks_of, names
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def disks(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disks]:
    with disks_of(request, server, tmp_path_factory.mktemp("disks"), WHOLE) as disks:
        yield disks


@pytest.mark.parametrize("name", names(WHOLE))
def test_a_client_boots_from_a_disk(disks: Disks, name: str) -> None:
    with disks.take(name) as client:
        check_booted(client, name)
