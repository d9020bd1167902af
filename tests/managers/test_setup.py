"""``ltspctl setup`` on each release, with each program that has the cards."""

import pytest

from tests.lab.cards import cards, check_dual, check_rollback

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.mark.parametrize("manager", ["NetworkManager", "systemd-networkd"])
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_two_cards_by_one_command_and_back(release: str, manager: str) -> None:
    with cards(f"{release}-cards", manager) as fresh:
        check_dual(fresh)
        check_rollback(fresh)
