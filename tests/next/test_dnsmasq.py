"""The DHCP servers of Debian's next releases with our configuration."""

import pytest

from tests.lab import answers, releases


@pytest.mark.parametrize("release", [releases.TESTING, releases.UNSTABLE])
def test_the_next_dnsmasq_answers_as_todays(release: str) -> None:
    with answers.answering(release) as dhcp:
        assert dhcp.told_with_an_address() == answers.every(answers.REAL)
        assert dhcp.told_beside_another() == answers.every(answers.PROXY)
        assert dhcp.told_beside_another() == answers.every(answers.PROXY)
