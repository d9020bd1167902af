"""A link's last address counts for a while after it is gone."""

from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from ltspd.daemon.grace import GRACE, Grace
from ltspd.model.network import Link
from tests.worlds.planning import link

CARD = link("eth0", "192.168.67.1/24")
OTHER = link("eth1", "10.0.3.2/24", index=3)
BARE = replace(CARD, addresses=())
# What a DHCP client takes that got no answer.
ALONE = replace(CARD, addresses=(IPv4Interface("169.254.7.7/16"),))


@pytest.mark.parametrize("lost", [BARE, ALONE, replace(BARE, up=False)])
def test_the_last_address_counts_until_the_time_is_over(lost: Link) -> None:
    grace = Grace()
    assert grace.keep((CARD, OTHER), 100.0) == (CARD, OTHER)
    assert grace.again is None
    assert grace.keep((lost, OTHER), 101.0) == (CARD, OTHER)
    assert grace.again == GRACE
    assert grace.keep((lost, OTHER), 111.0) == (CARD, OTHER)
    assert grace.again == GRACE - 10
    assert grace.keep((lost, OTHER), 101.0 + GRACE) == (lost, OTHER)
    assert grace.again is None
    # It does not begin anew.
    assert grace.keep((lost, OTHER), 102.0 + GRACE) == (lost, OTHER)
    assert grace.again is None


def test_an_address_that_is_back_ends_it_and_the_next_loss_has_the_whole_time() -> None:
    grace = Grace()
    for now, seen in ((0.0, CARD), (1.0, BARE), (5.0, CARD), (6.0, BARE)):
        assert grace.keep((seen,), now) == (CARD,)
    assert grace.again == GRACE
    assert grace.keep((BARE,), 6.0 + GRACE) == (BARE,)


def test_another_address_counts_at_once() -> None:
    grace = Grace()
    other = replace(CARD, addresses=(IPv4Interface("192.168.68.1/24"),))
    assert [grace.keep((each,), 0.0) for each in (CARD, BARE, other)] == [(CARD,), (CARD,), (other,)]
    assert grace.again is None


@pytest.mark.parametrize(
    "now",
    [
        (),
        (replace(BARE, name="lan0"),),
        # The same name, another interface.
        (replace(BARE, index=9),),
        (replace(BARE, enslaved=True),),
        # Somebody has switched it off.
        (replace(CARD, up=False),),
    ],
)
def test_what_is_no_loss_of_an_address_counts_at_once(now: tuple[Link, ...]) -> None:
    grace = Grace()
    grace.keep((CARD,), 0.0)
    assert grace.keep(now, 1.0) == now
    assert grace.again is None
