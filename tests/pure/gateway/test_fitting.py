"""Who gets the drivers of one card alone: nobody is left with an initrd that does not boot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.gateway import fitting
from ltspd.gateway.fitting import Fitting

MAC = "52:54:00:00:00:01"
MODALIAS = "pci:v00008086d000010D3sv0sd0bc02sc00i00"
DRIVERS = {"8086:10d3": ("e1000e",), "10ec:8139": ("8139cp", "8139too"), MODALIAS: ("e1000e",)}


class Machine:
    """A machine with a menu that calls its card by a name; boots take a minute each."""

    def __init__(self, table: Fitting | None = None, mac: str = MAC) -> None:
        self.table, self.mac, self.now = Fitting() if table is None else table, mac, 1000.0

    def fetch(self, menu: str = "") -> tuple[str, ...]:
        self.now += 60
        self.given = self.table.give(self.mac, menu, lambda card: DRIVERS.get(card, ()), self.now)
        return self.given.drivers

    def report(self, card: str = "", stage: str = "network", after: float = 10) -> str:
        self.now += after
        return self.table.report(self.mac, stage, after - 2, card, self.now)

    def boot(self, menu: str = "", card: str = "") -> tuple[str, ...]:
        """Boot with the drivers that are given, which may be all."""
        drivers = self.fetch(menu)
        if not drivers or drivers == DRIVERS.get(card or menu):
            self.report(card)
        return drivers


def test_what_the_menu_tells_counts_at_once() -> None:
    machine = Machine()
    assert machine.fetch("8086:10d3") == ("e1000e",)
    assert machine.report() == "only e1000e: its card is 8086:10d3, as its boot program says."
    assert machine.report(stage="off") == "only e1000e: its card is 8086:10d3, as its boot program says."
    assert machine.fetch("10ec:8139") == ("8139cp", "8139too")


def test_what_a_machine_reported_counts_where_the_menu_tells_nothing() -> None:
    machine = Machine()
    assert machine.fetch() == ()
    assert machine.report(MODALIAS) == "all: nobody knows its card yet."
    assert machine.fetch() == ("e1000e",)
    assert machine.report(MODALIAS) == f"only e1000e: its card is {MODALIAS}, as it reported."


def test_what_it_reported_does_not_count_for_another_card() -> None:
    machine = Machine()
    machine.boot("1234:0001", MODALIAS)
    # The menu calls it by a name that no driver has, but always the same: a USB card's controller.
    assert machine.boot("1234:0001", MODALIAS) == ("e1000e",)
    assert machine.fetch("1234:0002") == ()
    assert str(machine.given) == "all: no driver of its image is known to be for 1234:0002."


def test_who_does_not_report_gets_all_until_it_does() -> None:
    machine = Machine()
    assert machine.fetch("8086:10d3") == ("e1000e",)
    for _ in range(3):
        assert machine.fetch("8086:10d3") == ()
        assert str(machine.given) == "all: it did not come up with the drivers of one card."
    machine.report()
    assert machine.fetch("8086:10d3") == ("e1000e",)


def test_after_two_failures_a_card_gets_all_for_good() -> None:
    machine = Machine()
    for _ in range(fitting.TRIES):
        assert machine.fetch("8086:10d3") == ("e1000e",)
        assert machine.boot("8086:10d3") == ()
    for _ in range(3):
        assert machine.boot("8086:10d3") == ()
        assert str(machine.given) == "all: it failed 2 times with the drivers of 8086:10d3 alone."
    assert machine.boot("10ec:8139") == ("8139cp", "8139too")
    assert machine.boot("8086:10d3") == ("e1000e",)


def test_boots_that_were_cut_off_now_and_then_are_forgotten() -> None:
    machine = Machine()
    for _ in range(4):
        assert machine.fetch("8086:10d3") == ("e1000e",)
        assert machine.boot("8086:10d3") == ()
        assert machine.boot("8086:10d3") == ("e1000e",)


def test_what_the_boot_before_says_is_no_success() -> None:
    machine = Machine()
    machine.boot("8086:10d3")
    machine.fetch("8086:10d3")
    # It was up for an hour, and its last words come late.
    assert machine.table.report(MAC, "login", 3600, MODALIAS, machine.now + 1) == ""
    assert machine.fetch("8086:10d3") == ()


def test_a_boot_that_asked_nobody_is_not_taken_for_the_one_before() -> None:
    machine = Machine()
    machine.boot("8086:10d3")
    machine.now += 3600
    assert machine.report(MODALIAS) == ""
    assert machine.fetch() == ("e1000e",)


@pytest.mark.parametrize("stage", ["failed", "off"])
def test_who_failed_has_not_come_up(stage: str) -> None:
    machine = Machine()
    machine.fetch("8086:10d3")
    machine.report(stage=stage)
    assert machine.fetch("8086:10d3") == ()


def test_memory_is_bounded_and_one_machine_pushes_out_the_quietest() -> None:
    table = Fitting()
    quiet, busy = Machine(table, "52:54:00:ff:00:01"), Machine(table, "52:54:00:ff:00:02")
    quiet.boot("", MODALIAS)
    busy.boot("", MODALIAS)
    for number in range(2 * fitting.MOST):
        Machine(table, f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}").fetch("8086:10d3")
        if number % 500 == 0:
            assert busy.boot("", MODALIAS) == ("e1000e",)
    assert len(table) == fitting.MOST
    assert quiet.fetch() == ()


CARDS = st.sampled_from(["8086:10d3", "10ec:8139", "1234:0001"])


@given(st.lists(st.tuples(CARDS, st.booleans(), st.booleans()), max_size=40))
def test_whatever_card_a_machine_gets_it_boots_at_the_second_try(
    boots: list[tuple[str, bool, bool]],
) -> None:
    """Each boot has a card, of which the menu may tell or not, and a user who may switch off meanwhile."""
    machine = Machine()
    names = {"8086:10d3": MODALIAS, "10ec:8139": "10ec:8139", "1234:0001": "pci:unknown"}
    for card, told, cut in boots:
        if cut:
            machine.fetch(card if told else "")
            continue
        for _ in range(2):
            drivers = machine.fetch(card if told else "")
            if not drivers or drivers == DRIVERS.get(names[card]):
                machine.report(names[card])
                break
        else:
            pytest.fail("two boots in a row failed")
