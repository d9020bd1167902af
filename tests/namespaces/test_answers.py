"""Real DHCP servers of Debian 12 and 13 with our configuration: what each kind of machine is answered."""

from collections.abc import Iterator

import pytest

from tests.lab import answers, releases
from tests.lab.answers import Answering


@pytest.fixture(scope="module", params=["", releases.DEBIAN_13], ids=["here", releases.DEBIAN_13])
def dhcp(request: pytest.FixtureRequest) -> Iterator[Answering]:
    with answers.answering(request.param) as running:
        yield running


def test_where_we_give_addresses_every_machine_gets_one_and_its_file(dhcp: Answering) -> None:
    assert dhcp.real_files() == answers.REAL_FILES


def test_beside_another_server_only_what_can_boot_here_is_answered(dhcp: Answering) -> None:
    assert dhcp.proxy_files() == answers.PROXY_FILES
    # It goes on answering, whoever has asked.
    assert dhcp.proxy_files() == answers.PROXY_FILES
