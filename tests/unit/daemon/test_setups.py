"""Set-ups asked of a unit: what the daemon makes of its answers, and of one that nobody has confirmed."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from ltspd.daemon.setups import TIMER, Setups
from ltspd.dbus.systemd import Systemd
from ltspd.errors import InvalidOption, ToolFailed, Unanswered
from ltspd.model.setup import Setup, SetupKind
from ltspd.paths import Paths

OPEN = Setup(SetupKind.DUAL, "lan0", "wan0", confirmed=False)


class Unit:
    """Starts no unit, but leaves the answer that one would leave."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.answer: Any = None
        self.fails = False
        self.started: list[str] = []
        self.asked: Any = None
        self.patience = 0.0

    async def act(self, method: str, unit: str, patience: float = 0.0) -> str:
        if self.fails:
            raise Unanswered("systemd does not answer.")
        assert method == "StartUnit"
        self.started.append(unit)
        if unit != TIMER:
            self.patience = patience
            self.asked = json.loads((self._paths.run / "setup.request").read_bytes())
            if self.answer is not None:
                (self._paths.run / "setup.answer").write_text(json.dumps(self.answer))
        return "done"


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    return Unit(paths)


@pytest.fixture
def setups(unit: Unit, tmp_path: Path) -> Setups:
    return Setups(Paths(tmp_path), cast(Systemd, unit))


async def test_what_the_unit_answers_is_returned_and_nothing_stays(setups: Setups, unit: Unit) -> None:
    unit.answer = {"changes": ["+ a"], "warnings": [], "confirm": False}
    assert await setups.ask("make", {"kind": "dual"}) == unit.answer
    assert (unit.started, unit.asked) == (["ltspd-setup@make.service"], {"kind": "dual"})
    assert list(unit._paths.run.iterdir()) == []
    # dhclient.conf(5): "timeout"; ifup waits for it.
    assert unit.patience > 300


async def test_an_error_of_the_unit_is_the_callers(setups: Setups, unit: Unit) -> None:
    unit.answer = {"error": "InvalidOption", "message": "There is no card."}
    with pytest.raises(InvalidOption, match="no card"):
        await setups.ask("plan", {})
    unit.answer = {"error": "ToolFailed", "message": "It did not start."}
    with pytest.raises(ToolFailed, match="did not start"):
        await setups.ask("make", {})


async def test_an_answer_of_yesterday_does_not_count(setups: Setups, unit: Unit) -> None:
    (unit._paths.run / "setup.answer").write_text('{"changes": ["+ old"]}')
    with pytest.raises(ToolFailed, match="journalctl -u ltspd-setup@make"):
        await setups.ask("make", {})


async def test_a_set_up_that_nobody_confirmed_gets_another_minute_once(setups: Setups, unit: Unit) -> None:
    unit.fails = True
    await setups.guard(OPEN)
    unit.fails = False
    for _ in range(2):
        await setups.guard(OPEN)
    assert unit.started == [TIMER]


@pytest.mark.parametrize("setup", [None, Setup(SetupKind.DUAL, "lan0", "wan0")])
async def test_no_timer_runs_for_what_may_stay(setups: Setups, unit: Unit, setup: Setup | None) -> None:
    await setups.guard(setup)
    # This one was made since then, and the unit itself has started the timer.
    await setups.guard(OPEN)
    assert unit.started == []
