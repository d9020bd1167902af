"""``ltspctl setup`` on each release, with each program that has the cards."""

import pytest

from tests.lab import product
from tests.lab.cards import NAME, PAGE, Cards, cards, check_dual, check_rollback, check_single
from tests.lab.client import power_on

pytestmark = [pytest.mark.lab, pytest.mark.slow]


MANAGERS = pytest.mark.parametrize("manager", ["NetworkManager", "systemd-networkd"])
RELEASES = pytest.mark.parametrize("release", ["bookworm", "trixie"])


@MANAGERS
@RELEASES
def test_one_card_by_one_command_and_back(release: str, manager: str) -> None:
    with cards(f"{release}-cards", manager, outside=False) as bare:
        check_single(bare)


@MANAGERS
@RELEASES
def test_two_cards_by_one_command_and_back(release: str, manager: str) -> None:
    with cards(f"{release}-cards", manager) as fresh:
        check_dual(fresh)
        check_rollback(fresh)


def test_a_client_boots_in_the_room_and_reaches_outside_by_name_also_after_a_reboot() -> None:
    with cards("bookworm-cards", "NetworkManager", {"bookworm": "client"}) as fresh:
        product.build(fresh.server, "bookworm")
        fresh.server.run("ltspctl setup dual --wan ext0 --lan lan0 --yes")
        product.configure(fresh.server, {})
        _boots(fresh)
        fresh.reboot()
        _boots(fresh)


def _boots(fresh: Cards) -> None:
    product.settled(fresh.server)
    client = power_on(fresh.session, fresh.lan, mac="52:54:00:67:fa:01")
    try:
        client.login_prompt()
        fetch = f"/run/initramfs/ltsp/busybox wget -q -O - http://{NAME}/page"
        assert client.shell(fetch).strip() == PAGE
    finally:
        client.off()
