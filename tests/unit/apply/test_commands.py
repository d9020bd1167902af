"""Commands that put files into force: when they run, what is told of failures, and how they are undone."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from ltspd.apply import RETRY, Applier, commands
from ltspd.model.output import Command, File, Output, OutputState, Symlink, Unit
from ltspd.paths import Paths
from tests.worlds.applying import UNIT, FakeSystemd, apply, fresh, served

FORCE = "/etc/force.conf"


class Kernel:
    """What commands change: a file outside of the served system, which tells what was done to it."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "in force"
        self.log = folder / "log"
        self.broken = folder / "broken"

    def _script(self, work: str) -> tuple[str, ...]:
        text = f'test ! -e "$2" || {{ echo "no luck" >&2; exit 3; }}; {work}'
        return ("sh", "-euc", text, "sh", str(self.place), str(self.broken), str(self.log))

    def command(self, undo: str = "undone") -> Command:
        do = (*self._script('cat "$4" >"$1"; echo "did $(cat "$4")" >>"$3"'), "{}")
        return Command(do, self._script(f'rm -f "$1"; echo {undo} >>"$3"'))

    def output(self, text: str = "one", **fields: Any) -> Output:
        return replace(
            Output("rules", (File(FORCE, text.encode()),), activation=self.command()),
            **fields,
        )

    def events(self) -> list[str]:
        """Return what was done since the last time."""
        found = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return found

    @property
    def now(self) -> str:
        return self.place.read_text() if self.place.exists() else ""


@pytest.fixture
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    return Kernel(tmp_path_factory.mktemp("kernel"))


async def test_a_command_runs_with_new_files_and_only_then(
    applier: Applier, paths: Paths, kernel: Kernel
) -> None:
    for text in ("one", "two"):
        status = await apply(applier, kernel.output(text))
        assert (status.state, kernel.now, kernel.events()) == (OutputState.IN_SYNC, text, [f"did {text}"])
        assert (await apply(applier, kernel.output(text))).applied_at == status.applied_at > 0
        assert kernel.events() == []
    assert applier.again is None
    assert paths.at(FORCE).read_text() == "two"


async def test_a_daemon_runs_it_once_for_a_reboot_may_have_ended_what_it_did(
    applier: Applier, paths: Paths, systemd: FakeSystemd, kernel: Kernel
) -> None:
    await apply(applier, kernel.output())
    kernel.place.unlink()
    kernel.events()
    again = fresh(paths, systemd)
    for _ in range(2):
        assert (await apply(again, kernel.output())).state is OutputState.IN_SYNC
    assert (kernel.now, kernel.events()) == ("one", ["did one"])


async def test_a_candidate_that_is_not_accepted_is_neither_written_nor_run(
    applier: Applier, paths: Paths, kernel: Kernel
) -> None:
    check = ("grep", "-q", "one", "{}")
    await apply(applier, kernel.output(check=check))
    kernel.events()
    status = await apply(applier, kernel.output("two", check=check))
    assert (status.state, kernel.now, kernel.events()) == (OutputState.FAILED, "one", [])
    assert "the last good one stays" in status.message
    assert paths.at(FORCE).read_text() == "one"


async def test_a_failure_is_told_and_tried_again_after_a_while(
    applier: Applier, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.broken.touch()
    status = await apply(applier, kernel.output())
    assert (status.state, applier.again) == (OutputState.FAILED, RETRY)
    assert "no luck" in status.message
    kernel.broken.unlink()
    # Not at every event that wakes the daemon …
    assert (await apply(applier, kernel.output())).message == status.message
    assert kernel.events() == []
    # … but as soon as somebody asks for it, or after a while.
    (asked,) = await applier.apply([kernel.output()], retry=True)
    assert (asked.state, applier.again, kernel.now) == (OutputState.IN_SYNC, None, "one")
    kernel.broken.touch()
    assert (await apply(applier, kernel.output("two"))).state is OutputState.FAILED
    kernel.broken.unlink()
    monkeypatch.setattr(commands, "RETRY", 0.0)
    assert (await apply(applier, kernel.output("two"))).state is OutputState.IN_SYNC


async def test_a_command_that_does_not_end_counts_as_failed(
    applier: Applier, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SECONDS", 0.2)
    command = Command(("sleep", "600"), ("true",))
    status = await apply(applier, kernel.output(activation=command))
    assert status.state is OutputState.FAILED
    assert "'sleep 600' did not end" in status.message
    # It would hold up every pass, so it is not run again as soon as others …
    monkeypatch.setattr(commands, "RETRY", 0.0)
    runs = AsyncMock()
    monkeypatch.setattr(commands, "run", runs)
    assert (await apply(applier, kernel.output(activation=command))).message == status.message
    runs.assert_not_called()
    # … unless its files are others.
    assert (await apply(applier, kernel.output("two", activation=command))).state is OutputState.IN_SYNC
    runs.assert_called_once()


async def test_a_check_that_does_not_end_counts_as_failed(
    applier: Applier, paths: Paths, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SECONDS", 0.2)
    status = await apply(applier, kernel.output(check=("sleep", "600")))
    assert status.state is OutputState.FAILED
    assert "the last good one stays: 'sleep 600' did not end" in status.message
    assert not paths.at(FORCE).exists()


async def test_edited_files_are_in_force_after_a_restart(
    applier: Applier, paths: Paths, systemd: FakeSystemd, kernel: Kernel
) -> None:
    """As a unit that does not run is started with them: what serves clients goes on."""
    await apply(applier, kernel.output())
    paths.at(FORCE).write_text("by hand")
    kernel.events()
    again = fresh(paths, systemd)
    for _ in range(2):
        assert (await apply(again, kernel.output("two"))).state is OutputState.EDITED
    assert kernel.events() == ["did by hand"]


async def test_a_command_never_runs_with_a_file_that_was_there_before(
    applier: Applier, paths: Paths, kernel: Kernel
) -> None:
    paths.at("/etc").mkdir()
    paths.at(FORCE).write_text("somebody's")
    assert (await apply(applier, kernel.output())).state is OutputState.EDITED
    assert kernel.events() == []


@pytest.mark.parametrize("gone", [{"wanted": False}, {"missing": "its program is not installed."}])
async def test_an_output_that_is_not_needed_any_more_is_undone_once(
    applier: Applier, paths: Paths, kernel: Kernel, gone: dict[str, Any]
) -> None:
    await apply(applier, kernel.output())
    kernel.events()
    preview = applier.preview(kernel.output(**gone))
    assert f"--- {FORCE}\n(removed)\n" in preview
    assert "echo undone" in preview
    for _ in range(2):
        await apply(applier, kernel.output(**gone))
    assert (kernel.events(), kernel.now, paths.at(FORCE).exists()) == (["undone"], "", False)


async def test_what_a_release_does_not_know_any_more_is_undone_from_the_record(
    applier: Applier, paths: Paths, systemd: FakeSystemd, kernel: Kernel
) -> None:
    link = Symlink("/etc/link", "/target")
    old = replace(served(), name="old", links=(link,))
    await applier.apply([kernel.output(), old])
    kernel.events()
    new = fresh(paths, systemd)
    assert await new.apply([]) == ()
    assert (kernel.events(), kernel.now, systemd.running()) == (["undone"], "", frozenset())
    left = [paths.at(each) for each in (FORCE, "/etc/x.conf", link.path)]
    assert not any(each.exists() or each.is_symlink() for each in left)
    record = json.loads((paths.state / "outputs.json").read_text())
    assert [name for name, entries in record.items() if entries] == []
    await new.apply([])
    assert kernel.events() == []


async def test_a_release_that_does_it_in_another_way_undoes_the_old_one_first(
    applier: Applier, paths: Paths, systemd: FakeSystemd, kernel: Kernel
) -> None:
    await apply(applier, kernel.output())
    kernel.events()
    other = kernel.output(activation=kernel.command(undo="undone otherwise"))
    await apply(fresh(paths, systemd), other)
    assert kernel.events() == ["undone", "did one"]
    by_unit = kernel.output(activation=Unit(UNIT))
    await apply(fresh(paths, systemd), by_unit)
    assert (kernel.events(), systemd.running()) == (["undone otherwise"], frozenset({UNIT}))
    await apply(fresh(paths, systemd), other)
    assert (kernel.events(), systemd.running()) == (["did one"], frozenset())


async def test_two_outputs_may_be_undone_by_the_same_command(applier: Applier, kernel: Kernel) -> None:
    """As connections of NetworkManager, which reads all of its files again."""
    one, two = (
        replace(kernel.output(name), name=name, files=(File(f"/etc/{name}", name.encode()),))
        for name in ("one", "two")
    )
    for _ in range(2):
        await applier.apply([one, two])
    assert kernel.events() == ["did one", "did two"]
    await applier.apply([two])
    assert kernel.events() == ["undone"]


async def test_what_cant_be_undone_is_told_until_it_is_or_is_given_up(
    applier: Applier, paths: Paths, systemd: FakeSystemd, kernel: Kernel
) -> None:
    await apply(applier, kernel.output())
    kernel.broken.touch()
    await applier.apply([])
    (problem,) = applier.left
    assert problem.subject.startswith("rules: sh")
    assert "no luck" in problem.message
    assert "ltspctl apply --force" in problem.message
    assert applier.again == RETRY
    # A present output tells of it itself.
    status = await apply(fresh(paths, systemd), kernel.output(wanted=False))
    assert (status.state, "no luck" in status.message) == (OutputState.FAILED, True)
    kernel.broken.unlink()
    again = fresh(paths, systemd)
    await again.apply([])
    assert (again.left, kernel.now) == ((), "")
    await apply(again, kernel.output())
    kernel.broken.touch()
    await again.apply([], force=True)
    assert (again.left, again.again) == ((), None)
    kernel.broken.unlink()
    kernel.events()
    await again.apply([])
    assert kernel.events() == []


async def test_an_undo_is_recorded_before_the_command_runs(
    paths: Paths, systemd: FakeSystemd, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is killed meanwhile leaves nothing that nobody knows how to undo."""

    async def killed(*_: object) -> str:
        raise KeyboardInterrupt

    applier = fresh(paths, systemd)
    monkeypatch.setattr(commands.Commands, "follow", killed)
    with pytest.raises(KeyboardInterrupt):
        await apply(applier, kernel.output())
    await fresh(paths, systemd).apply([])
    assert kernel.events() == ["undone"]


async def test_the_packages_removal_undoes_them_without_a_daemon(
    applier: Applier, paths: Paths, kernel: Kernel
) -> None:
    failing = Output("failing", activation=Command(("true",), ("false",)))
    edited, other = File("/etc/edited", b"ours"), File("/etc/other", b"no command's")
    files = (*kernel.output().files, edited)
    await applier.apply([kernel.output(files=files), failing, Output("other", (other,))])
    kernel.events()
    paths.at(edited.path).write_text("by hand")
    argv = [sys.executable, "-m", "ltspd", "--root", str(paths.root), "--give-back"]
    for _ in range(2):
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
        assert done.stdout == ""
    assert (kernel.events(), kernel.now) == (["undone"], "")
    # As when the daemon undoes it, so that what reads all of its files again does not find ours.
    assert [paths.at(each).exists() for each in (FORCE, edited.path, other.path)] == [False, True, True]


@pytest.mark.parametrize("key", ["", "rules", "rules: ", "rules: 'open"])
async def test_a_damaged_undo_is_forgotten(
    paths: Paths, systemd: FakeSystemd, kernel: Kernel, key: str
) -> None:
    await apply(fresh(paths, systemd), kernel.output())
    place = paths.state / "outputs.json"
    record = json.loads(place.read_text())
    place.write_text(json.dumps(record | {"commands": {key: "do"}}))
    again = fresh(paths, systemd)
    await again.apply([])
    assert again.left == ()
    assert json.loads(place.read_text())["commands"] == {}
