"""The lab's limit of inotify instances: raised, given back by the last run, told where it can't be raised."""

from pathlib import Path

import pytest

from tests.lab.inotify import WANTED, give_back, raise_limit


@pytest.fixture
def setting(tmp_path: Path) -> Path:
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    return path


def test_the_last_run_gives_back_what_the_first_one_found(tmp_path: Path, setting: Path) -> None:
    runs = tmp_path / "runs"
    raise_limit(runs, setting)
    raise_limit(runs, setting)
    assert int(setting.read_text()) == WANTED
    give_back(runs, others=True, setting=setting)
    assert int(setting.read_text()) == WANTED
    give_back(runs, others=False, setting=setting)
    assert setting.read_text() == "128\n"
    setting.write_text("4096\n")
    raise_limit(runs, setting)
    give_back(runs, others=False, setting=setting)
    assert setting.read_text() == "4096\n"


def test_a_limit_that_cant_be_raised_is_told(
    tmp_path: Path, setting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(self: Path, text: str) -> int:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "write_text", refused)
    raise_limit(tmp_path / "runs", setting)
    said = capsys.readouterr().err
    assert "is 128 and can't be raised here (Operation not permitted)" in said
    assert f"sysctl fs.inotify.max_user_instances={WANTED}" in said
