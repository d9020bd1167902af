"""A run of the lab keeps its own logs, however many others end beside it."""

from pathlib import Path

import pytest

from tests.lab import session
from tests.lab.session import KEPT_LOGS, sweep


def test_logs_of_a_run_that_lives_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTSPD_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(session, "_remove_container", lambda name: None)
    logs = [tmp_path / "logs" / f"20260101-{number:06}-7" for number in range(KEPT_LOGS + 4)]
    for each in logs:
        each.mkdir(parents=True)
    lives, died = (tmp_path / "runs" / f"{session.PREFIX}-none-{number}" for number in (1, 2))
    for run, used in ((lives, logs[0]), (died, logs[1])):
        run.mkdir(parents=True)
        (run / "logs").symlink_to(used)
    lock = session.hold(lives)
    sweep()
    lock.close()
    assert [lives.exists(), died.exists()] == [True, False]
    assert sorted((tmp_path / "logs").iterdir()) == [logs[0], *logs[-KEPT_LOGS:]]
