"""``ltspctl setup``: after one command a client reaches what is outside; undone, all is gone."""

from collections.abc import Iterator

import pytest

from tests.lab.cards import Cards, cards, check_dual

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def fresh() -> Iterator[Cards]:
    with cards("bookworm-cards", "NetworkManager") as found:
        yield found


def test_two_cards_by_one_command_and_back(fresh: Cards) -> None:
    check_dual(fresh)
