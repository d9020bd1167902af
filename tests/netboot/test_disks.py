"""Clients boot images of disks of virtual machines, every format and table at least once, and of a live ISO.

All that can be put together of these is in tests/matrix.
"""

from collections.abc import Iterator

import pytest

from tests.lab.booted import COVERING, FORMATS, WHOLE, Disks, check_booted, disks_of, names
from tests.lab.laying import TABLES
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def disks(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disks]:
    with disks_of(request, server, tmp_path_factory.mktemp("disks"), COVERING) as disks:
        yield disks


def test_every_format_and_table_is_among_them() -> None:
    assert {kind.format for kind in COVERING} == set(FORMATS)
    assert {kind.table for kind in COVERING} == set(TABLES)
    assert {kind.lvm for kind in COVERING} == {False, True}
    assert set(COVERING) < set(WHOLE)


@pytest.mark.parametrize("name", names(COVERING))
def test_a_client_boots_from_a_disk(disks: Disks, name: str) -> None:
    with disks.take(name) as client:
        check_booted(client, name)
