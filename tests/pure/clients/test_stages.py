"""When a boot came to each stage: the last boot only, heard and reported."""

from dataclasses import replace

import pytest

from ltspd.clients.stages import Reached, reached, stages, told
from ltspd.model.client import ClientState, Seen, Step, Word

S = 1_000_000
NOW = 1_700_000_000 * S


def after(*words: str) -> Reached:
    """Return what is known after these stages were reported, a second apart, from NOW on."""
    found: Reached = ()
    for at, word in enumerate(words):
        found = reached(found, word, NOW + at * S)
    return tuple((stage, (at - NOW) // S) for stage, at in found)


@pytest.mark.parametrize(
    ("reported", "known"),
    [
        ("network root login", (("network", 0), ("root", 1), ("login", 2))),
        ("network root login login login", (("network", 0), ("root", 1), ("login", 2))),
        ("network failed failed", (("network", 0), ("failed", 1))),
        ("network root login off network", (("network", 4),)),
        ("network network root", (("network", 1), ("root", 2))),
        # A report got lost, or came before ltspd was started.
        ("network root login root login", (("root", 3), ("login", 4))),
        ("login off failed", (("failed", 2),)),
        ("root", (("root", 0),)),
        ("root discover login", (("root", 0), ("login", 2))),
        ("", ()),
    ],
)
def test_only_the_last_boot_counts(reported: str, known: Reached) -> None:
    assert after(*reported.split()) == known


HEARD = (
    Step(NOW - 400 * S, Word.DISCOVER, text="PXEClient:7"),
    Step(NOW - 390 * S, Word.LEASE),
    Step(NOW - 30 * S, Word.DISCOVER, text="PXEClient:7", times=3, last=NOW - 26 * S),
    Step(NOW - 25 * S, Word.OFFER),
    Step(NOW - 24 * S, Word.REQUEST),
    Step(NOW - 23 * S, Word.LEASE),
    Step(NOW - 22 * S, Word.FETCH, text="ipxe.efi"),
    Step(NOW - 20 * S, Word.DISCOVER, text="iPXE:7"),
    Step(NOW - 19 * S, Word.LEASE),
)
BOOTED = ClientState(
    "52:54:00:00:00:01",
    stage="login",
    seen=Seen(steps=HEARD),
    reached=(("network", NOW), ("root", NOW + 3 * S), ("login", NOW + 9 * S)),
)


def seconds(client: ClientState) -> dict[str, int]:
    return {stage: (at - NOW) // S for stage, at in stages(client).items()}


def test_what_was_heard_comes_before_what_was_reported() -> None:
    heard = {"discover": -30, "offer": -25, "lease": -23, "tftp": -22}
    assert seconds(BOOTED) == {**heard, "network": 0, "root": 3, "login": 9}
    assert list(stages(BOOTED)) == ["discover", "offer", "lease", "tftp", "network", "root", "login"]


def test_a_boot_that_has_reported_nothing_yet_is_not_mixed_with_the_one_before() -> None:
    later = tuple(each._replace(at=each.at + 900 * S) for each in HEARD[2:6])
    client = replace(BOOTED, stage="lease", seen=Seen(steps=(*HEARD, *later)))
    assert seconds(client) == {"discover": 870, "offer": 875, "lease": 877}


def test_what_was_heard_long_before_or_after_the_boot_is_not_part_of_it() -> None:
    old = tuple(each._replace(at=each.at - 1000 * S) for each in HEARD)
    assert list(seconds(replace(BOOTED, seen=Seen(steps=old)))) == ["network", "root", "login"]
    new = tuple(each._replace(at=each.at + 1000 * S) for each in HEARD)
    assert list(seconds(replace(BOOTED, seen=Seen(steps=new)))) == ["network", "root", "login"]


def test_of_a_client_that_was_never_heard_only_reports_are_known() -> None:
    assert seconds(replace(BOOTED, seen=Seen())) == {"network": 0, "root": 3, "login": 9}
    assert stages(ClientState("52:54:00:00:00:01")) == {}


def test_what_the_gateway_tells_is_bounded_and_in_order() -> None:
    given = {"login": NOW + 9, "network": NOW, "root": NOW + 3}
    assert told(given, NOW + 5) == (("network", NOW), ("root", NOW + 3), ("login", NOW + 5))
    assert told({}, NOW) == ()


@pytest.mark.parametrize("given", [None, [], {"tftp": 1}, {"x": 1}, {"root": "1"}, {1: 1}])
def test_what_the_gateway_can_not_mean_is_refused(given: object) -> None:
    assert told(given, NOW) is None
