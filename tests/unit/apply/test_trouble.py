"""Units that keep ending are told apart from those with a hiccup, and each trouble has its own next step."""

import os
import shutil
from pathlib import Path

import pytest

from ltspd.apply import trouble
from ltspd.apply.trouble import OFTEN, WINDOW, Troubles
from ltspd.dbus.systemd import UnitStatus
from ltspd.model.output import File, Output, OutputState, Unit
from ltspd.paths import Paths
from tests.worlds.applying import UNIT, FakeSystemd, apply, fresh, served

OUTPUT = Output("x", (File("/etc/x", b""),), activation=Unit(UNIT))


class Clock:
    """A monotonic clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def troubles(paths: Paths, clock: Clock | None = None) -> Troubles:
    return Troubles(paths, clock or Clock())


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a journalctl into the way that prints a file, and keeps what it was asked."""
    lines = tmp_path / "lines"
    lines.write_text("")
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ncat {lines}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return lines


def running(restarts: int) -> UnitStatus:
    return UnitStatus(UNIT, "active", "running", "success", restarts, "ab")


def between(restarts: int) -> UnitStatus:
    return UnitStatus(UNIT, "activating", "auto-restart", "exit-code", restarts, "ab")


def test_a_unit_that_is_looked_at_no_more_wakes_nobody_for_ever(paths: Paths) -> None:
    clock = Clock()
    found = troubles(paths, clock)
    found.keeps_ending(running(0))
    assert found.keeps_ending(running(OFTEN))
    assert found.over_in is not None
    clock.now += found.over_in + 0.1
    assert found.over_in is None


def test_one_restart_is_a_hiccup_and_several_are_not(paths: Paths) -> None:
    clock = Clock()
    found = troubles(paths, clock)
    # What was before the daemon looked is not known to be of late.
    assert not found.keeps_ending(running(17))
    assert not found.keeps_ending(running(18))
    assert found.over_in is None
    clock.now += 5
    assert found.keeps_ending(running(19))
    clock.now += 5
    assert found.keeps_ending(running(19)), "it looks alive between two ends"
    assert found.over_in is not None
    assert WINDOW - 10 <= found.over_in <= WINDOW - 9
    clock.now += found.over_in
    assert not found.keeps_ending(running(19))
    assert found.over_in is None


def test_many_restarts_between_two_looks_count(paths: Paths) -> None:
    found = troubles(paths)
    assert not found.keeps_ending(running(0))
    assert found.keeps_ending(running(OFTEN + 5))
    # Started by hand: systemd counts from nothing again.
    assert found.keeps_ending(running(0))


async def test_the_last_words_are_repeated_and_stay_the_same(paths: Paths, journal: Path) -> None:
    found = troubles(paths)
    found.keeps_ending(between(0))
    journal.write_text("earlier\n12:01:07 6b02352b CRIT: no such option\n\n")
    once = await found.why(OUTPUT, between(0))
    assert once == (
        f'{UNIT} ended (exit-code); its last words: "12:01:07 6b02352b CRIT: no such option"; '
        "systemd starts it again in a moment."
    )
    assert f"_SYSTEMD_UNIT={UNIT} _SYSTEMD_INVOCATION_ID=ab" in (journal.parent / "asked").read_text()
    journal.write_text("12:01:12 6b023530 CRIT: no such option\n")
    found.keeps_ending(between(2))
    often = await found.why(OUTPUT, between(2))
    assert often.startswith(f'{UNIT} keeps ending (exit-code); its last words: "12:01:07 6b02352b CRIT:')
    assert f"journalctl -u {UNIT}" in often
    journal.write_text("another reason\n")
    assert "another reason" in await found.why(OUTPUT, between(2))
    gone = UnitStatus(UNIT, "failed", "failed", "exit-code", 2, "ab")
    assert "systemd has given it up" in await found.why(OUTPUT, gone)
    found.keeps_ending(running(2))
    assert (await found.why(OUTPUT, running(2), "failed")).count("another reason") == 1


@pytest.mark.parametrize(
    ("status", "result", "says", "next_step"),
    [
        (("failed", "failed", "start-limit-hit"), "", "systemd has given it up", "'ltspctl apply' starts it"),
        (("failed", "failed", "oom-kill"), "", "does not run (oom-kill)", "'ltspctl apply' tries"),
        (("failed", "failed", "exit-code"), "failed", "does not run (exit-code)", "journalctl -u"),
        (("activating", "start", "success"), "still not there after 30 s", "(still not there", "journalctl"),
        (("inactive", "dead", "success"), "", "was stopped by somebody", "'systemctl start"),
    ],
)
async def test_each_trouble_has_its_next_step(
    paths: Paths, journal: Path, status: tuple[str, str, str], result: str, says: str, next_step: str
) -> None:
    journal.write_text("words\n")
    told = await troubles(paths).why(OUTPUT, UnitStatus(UNIT, *status, invocation="ab"), result)
    assert says in told
    assert next_step in told
    assert UNIT in told


async def test_without_a_journal_there_are_no_words(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "its last words" not in await troubles(paths).why(OUTPUT, between(0))


async def test_a_journal_that_hangs_is_not_waited_for(
    paths: Paths, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "JOURNAL_SECONDS", 0.2)
    (journal.parent / "bin/journalctl").write_text("#!/bin/sh\nexec sleep 60\n")
    assert shutil.which("journalctl") == str(journal.parent / "bin/journalctl")
    assert "its last words" not in await troubles(paths).why(OUTPUT, between(0))


async def test_a_unit_that_restarts_in_a_loop_is_never_in_sync(paths: Paths, journal: Path) -> None:
    systemd = FakeSystemd()
    applier = fresh(paths, systemd)
    await apply(applier, served())
    systemd.taken()
    states = []
    for restarts in range(4):
        systemd.units[UNIT] = between(restarts)
        states.append((await apply(applier, served())).state)
        systemd.units[UNIT] = running(restarts + 1)
        states.append((await apply(applier, served())).state)
    bad, good = OutputState.FAILED, OutputState.IN_SYNC
    assert states == [bad, good, bad, bad, bad, bad, bad, bad]
    assert systemd.taken() == []
    assert applier.again is not None
    assert applier.again <= WINDOW + 1


async def test_what_systemd_gave_up_is_tried_again_on_request(paths: Paths, journal: Path) -> None:
    systemd = FakeSystemd()
    applier = fresh(paths, systemd)
    await apply(applier, served())
    systemd.units[UNIT] = UnitStatus(UNIT, "failed", "failed", "start-limit-hit", 5)
    systemd.taken()
    status = await apply(applier, served())
    assert "systemd has given it up" in status.message
    assert systemd.taken() == []
    (status,) = await applier.apply([served()], retry=True)
    assert status.state is OutputState.IN_SYNC
    assert systemd.taken() == ["RestartUnit"]
