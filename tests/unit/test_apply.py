"""Applying: only what differs, atomically, checked, never over an edit; and units that follow their files."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

from ltspd import apply as module
from ltspd.apply import Applier, write_atomically
from ltspd.desired import File, Output, Symlink
from ltspd.model import OutputState, OutputStatus
from ltspd.paths import Paths
from ltspd.services import Systemd, UnitStatus

UNIT = "ltspd-x.service"


class FakeSystemd:
    """Decides nothing: says what the test put in ``units`` and remembers what was asked of it."""

    def __init__(self) -> None:
        self.present = True
        self.units: dict[str, UnitStatus] = {}
        self.acts: list[tuple[str, str]] = []
        self.result = "done"

    def set(self, active: str, sub: str = "", result: str = "success") -> None:
        self.units[UNIT] = UnitStatus(UNIT, active, sub, result)

    async def watch(self, units: Iterable[str]) -> None:
        pass

    async def status(self, unit: str) -> UnitStatus:
        return self.units.get(unit, UnitStatus(unit, "inactive", "dead", "success"))

    async def act(self, method: str, unit: str) -> str:
        self.acts.append((method, unit))
        done = self.result == "done"
        if method == "StopUnit":
            self.set("inactive")
        elif method != "ReloadUnit" or not done:
            self.set("active" if done else "failed", result="success" if done else "exit-code")
        return self.result

    def taken(self) -> list[str]:
        """Return the methods called since the last time."""
        methods, self.acts = [method for method, _ in self.acts], []
        return methods


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    # Who holds a port is looked up in the real /proc.
    (tmp_path / "proc").symlink_to("/proc")
    return Paths(root=tmp_path)


@pytest.fixture
def applier(paths: Paths, systemd: FakeSystemd) -> Applier:
    return fresh(paths, systemd)


def fresh(paths: Paths, systemd: FakeSystemd) -> Applier:
    return Applier(paths, cast(Systemd, systemd))


def output(text: str = "one\n", **fields: Any) -> Output:
    return Output("x", (File("/etc/x.conf", text.encode()),), **fields)


def served(text: str = "one\n", **fields: Any) -> Output:
    return output(text, unit=UNIT, **fields)


async def apply(applier: Applier, *outputs: Output, force: bool = False) -> OutputStatus:
    return (await applier.apply(outputs, force=force))[0]


def disk(paths: Paths) -> dict[str, tuple[int, int, int]]:
    """Return what no write can leave unchanged: of every file and directory inode and times."""
    return {
        str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        for path in [paths.root, *paths.root.rglob("*")]
        if "/proc" not in str(path)
        for stat in [path.lstat()]
    }


# ---- files -----------------------------------------------------------------------------------------


async def test_files_and_links_appear_as_wanted(applier: Applier, paths: Paths) -> None:
    wanted = Output(
        "x", (File("/etc/x.conf", b"\0data", 0o600),), (Symlink("/srv/tftp/ltsp/images", "/srv/ltsp/images"),)
    )
    status = await apply(applier, wanted)
    assert (status.state, status.message) == (OutputState.IN_SYNC, "")
    assert status.paths == ("/etc/x.conf", "/srv/tftp/ltsp/images")
    assert status.applied_at > 0
    file = paths.at("/etc/x.conf")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"\0data", 0o600)
    assert os.readlink(paths.at("/srv/tftp/ltsp/images")) == "/srv/ltsp/images"


async def test_a_second_pass_writes_nothing_and_reloads_nothing(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    everything = (
        served(check=("true", "{}")),
        Output("y", (File("/srv/tftp/y", b"y"),), (Symlink("/srv/tftp/l", "/nowhere"),)),
    )
    first = await applier.apply(everything)
    assert systemd.taken() == ["RestartUnit"]
    before = disk(paths)
    assert not applier.pending(everything)
    assert await applier.apply(everything) == first
    assert await fresh(paths, systemd).apply(everything) == first
    assert disk(paths) == before
    assert systemd.taken() == []


async def test_only_the_file_that_differs_is_written(applier: Applier, paths: Paths) -> None:
    one, two = File("/etc/one", b"1"), File("/etc/two", b"2")
    await apply(applier, Output("x", (one, two)))
    before = paths.at("/etc/one").stat()
    changed = Output("x", (one, replace(two, data=b"3")))
    assert applier.pending([changed])
    await apply(applier, changed)
    after = paths.at("/etc/one").stat()
    # Not the time of the last read.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert paths.at("/etc/two").read_bytes() == b"3"


async def test_a_file_that_was_removed_comes_back(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    paths.at("/etc/x.conf").unlink()
    assert (await apply(applier, output())).state is OutputState.IN_SYNC
    assert paths.at("/etc/x.conf").exists()


async def test_an_edited_file_is_left_alone_until_forced(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    file = paths.at("/etc/x.conf")
    file.write_text("by hand\n")
    for wanted in (output(), output("two\n")):
        before = disk(paths)
        status = await apply(applier, wanted)
        assert status.state is OutputState.EDITED
        assert "/etc/x.conf was changed by hand" in status.message
        assert "ltspctl apply --force" in status.message
        assert disk(paths) == before
    assert (await apply(applier, output("two\n"), force=True)).state is OutputState.IN_SYNC
    assert file.read_text() == "two\n"
    assert (await apply(applier, output("three\n"))).state is OutputState.IN_SYNC


async def test_an_edit_that_makes_it_as_wanted_is_none(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    paths.at("/etc/x.conf").write_text("two\n")
    assert (await apply(applier, output("two\n"))).state is OutputState.IN_SYNC


async def test_a_file_that_was_there_before_us_is_an_edit(applier: Applier, paths: Paths) -> None:
    file = paths.at("/etc/x.conf")
    file.parent.mkdir()
    file.write_text("somebody's")
    assert (await apply(applier, output())).state is OutputState.EDITED
    assert file.read_text() == "somebody's"


async def test_one_edited_file_of_two_keeps_both(applier: Applier, paths: Paths) -> None:
    two = Output("x", (File("/etc/one", b"1"), File("/etc/two", b"2")))
    await apply(applier, two)
    paths.at("/etc/two").write_text("by hand")
    changed = replace(two, files=(File("/etc/one", b"new"), two.files[1]))
    assert (await apply(applier, changed)).state is OutputState.EDITED
    assert paths.at("/etc/one").read_bytes() == b"1"


async def test_a_damaged_record_loses_nobodys_edit(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, output())
    (paths.state / "outputs.json").write_text("{")
    again = fresh(paths, systemd)
    assert (await apply(again, output())).state is OutputState.IN_SYNC
    assert (await apply(again, output("two\n"))).state is OutputState.IN_SYNC


async def test_links_follow_and_somebodys_own_file_stays(applier: Applier, paths: Paths) -> None:
    await apply(applier, Output("x", (), (Symlink("/a", "/1"), Symlink("/b", "/1"))))
    paths.at("/a").unlink()
    paths.at("/a").write_text("own")
    await apply(applier, Output("x", (), (Symlink("/a", "/2"), Symlink("/b", "/2"))))
    assert paths.at("/a").read_text() == "own"
    assert os.readlink(paths.at("/b")) == "/2"


async def test_a_refused_candidate_keeps_the_last_good_one(applier: Applier, paths: Paths) -> None:
    check = ("sh", "-c", "grep -q good $0 || { echo bad option in line 1 >&2; exit 1; }", "{}")
    await apply(applier, output("good\n", check=check))
    before = paths.at("/etc/x.conf").stat()
    status = await apply(applier, output("evil\n", check=check))
    assert status.state is OutputState.FAILED
    assert "the last good one stays" in status.message
    assert "bad option in line 1" in status.message
    assert paths.at("/etc/x.conf").stat() == before
    assert not [path for path in paths.root.rglob("*candidate*") if "/proc/" not in str(path)]
    assert (await apply(applier, output("good 2\n", check=check))).state is OutputState.IN_SYNC


async def test_no_file_is_written_before_all_are_checked(applier: Applier, paths: Paths) -> None:
    two = Output("x", (File("/etc/1", b"good"), File("/etc/2", b"bad")), check=("grep", "-q", "good", "{}"))
    assert (await apply(applier, two)).state is OutputState.FAILED
    assert not paths.at("/etc/1").exists()


async def test_one_output_that_fails_takes_no_other_along(applier: Applier, paths: Paths) -> None:
    paths.at("/file").write_text("")
    bad = Output("bad", (File("/file/below", b""),))
    statuses = await applier.apply([bad, output()])
    assert [status.state for status in statuses] == [OutputState.FAILED, OutputState.IN_SYNC]
    assert "File exists" in statuses[0].message


async def test_what_cant_be_had_is_said_and_not_written(applier: Applier, paths: Paths) -> None:
    status = await apply(applier, served(missing="radvd is not installed."))
    assert (status.state, status.message) == (OutputState.FAILED, "radvd is not installed.")
    status = await apply(applier, served(missing="radvd is not installed.", wanted=False))
    assert status.state is OutputState.DISABLED
    assert not paths.at("/etc/x.conf").exists()


async def test_preview_shows_what_would_change(applier: Applier) -> None:
    wanted = Output("x", (File("/etc/x.conf", b"text\n"), File("/srv/ltsp.img", b"\0" * 9)))
    assert applier.preview(wanted) == "--- /etc/x.conf\ntext\n--- /srv/ltsp.img\n(9 bytes)\n"
    await apply(applier, wanted)
    assert applier.preview(wanted) == "Nothing would change.\n"


# ---- interrupted at any step -----------------------------------------------------------------------

OLD = (
    Output("a", (File("/etc/1", b"old 1" * 9999), File("/etc/2", b"old 2"))),
    Output("b", (File("/srv/3", b"old 3"),), (Symlink("/srv/l", "/old"),)),
)
NEW = (
    Output("a", (File("/etc/1", b"new 1" * 7777), File("/etc/2", b"new 2"))),
    Output("b", (File("/srv/3", b"new 3"),), (Symlink("/srv/l", "/new"),)),
)


# The functions of apply.py that change anything; a kill elsewhere is a kill before their next line.
CHANGING = {"_write_atomically", "_write", "_save", "_link"}


def _at_each_line(do: Callable[[], object]) -> Callable[[FrameType, str, object], Any]:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != module.__file__ or frame.f_code.co_name not in CHANGING:
            return None
        if event == "line":
            do()
        return trace

    return trace


def _apply_new(paths: Paths, do: Callable[[], object]) -> None:
    """Apply NEW, calling ``do`` before each line of apply.py that may change something."""
    applier = fresh(paths, FakeSystemd())
    before = sys.gettrace()
    sys.settrace(_at_each_line(do))
    try:
        asyncio.run(_all(applier, NEW))
    finally:
        sys.settrace(before)


def _interesting_steps(paths: Paths) -> list[int]:
    """Return the numbers of the lines before which the disk differs from how it was a line before."""
    states: list[dict[str, tuple[int, int, int]]] = []
    _apply_new(paths, lambda: states.append(disk(paths)))
    return [step for step, (one, next_) in enumerate(pairwise(states), 2) if one != next_]


def _kill_at(step: int, paths: Paths) -> None:
    """Apply NEW in a process that SIGKILLs itself before the given line."""
    child = os.fork()
    if child == 0:
        left = step

        def count_down() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            _apply_new(paths, count_down)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


async def _all(applier: Applier, outputs: Iterable[Output]) -> set[OutputState]:
    return {status.state for status in await applier.apply(outputs)}


def test_a_kill_at_any_step_leaves_old_or_new_and_nothing_that_looks_edited(tmp_path: Path) -> None:
    """Kill after each change of the disk; whatever is wanted at the next start, nothing is in its way."""
    third = tuple(
        replace(each, files=tuple(replace(file, data=b"third") for file in each.files)) for each in NEW
    )
    rehearsal = Paths(root=tmp_path / "rehearsal")
    asyncio.run(_all(fresh(rehearsal, FakeSystemd()), OLD))
    steps = _interesting_steps(rehearsal)
    # Three files and a link, each made beside the old one and renamed, and the record around them.
    assert len(steps) > 12
    seen = set()
    for step in steps:
        paths = Paths(root=tmp_path / str(step))
        asyncio.run(_all(fresh(paths, FakeSystemd()), OLD))
        _kill_at(step, paths)
        for old, new in zip(OLD, NEW, strict=True):
            for before, after in zip(old.files, new.files, strict=True):
                found = paths.at(before.path).read_bytes()
                assert found in (before.data, after.data), (step, before.path)
                seen.add(found)
        assert os.readlink(paths.at("/srv/l")) in ("/old", "/new")
        assert asyncio.run(_all(fresh(paths, FakeSystemd()), third)) == {OutputState.IN_SYNC}, step
    assert len(seen) == 6


async def test_a_full_disk_at_the_second_file_is_no_edit_afterwards(
    applier: Applier, paths: Paths, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _all(applier, OLD)

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "2":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", full)
        status = await apply(applier, NEW[0])
        assert status.state is OutputState.FAILED
        assert "no space is left" in status.message
        assert applier.again == module.RETRY, "nothing wakes us when there is room again"
    third = replace(NEW[0], files=tuple(replace(file, data=b"third") for file in NEW[0].files))
    assert (await apply(applier, third)).state is OutputState.IN_SYNC
    assert applier.again is None


async def test_a_state_directory_that_cant_be_written_is_no_end(paths: Paths, systemd: FakeSystemd) -> None:
    paths.state.parent.mkdir(parents=True)
    paths.state.write_text("a file where the directory should be")
    status = await apply(fresh(paths, systemd), output())
    assert status.state is OutputState.FAILED
    assert "File exists" in status.message


def test_an_error_while_writing_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="I/O error"):
        write_atomically(target, b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old"}


# ---- units -----------------------------------------------------------------------------------------


async def test_a_unit_is_started_once(applier: Applier, systemd: FakeSystemd) -> None:
    assert (await apply(applier, served())).state is OutputState.IN_SYNC
    await apply(applier, served())
    assert systemd.acts == [("RestartUnit", UNIT)]


@pytest.mark.parametrize(("reload", "method"), [(True, "ReloadUnit"), (False, "RestartUnit")])
async def test_new_files_reach_a_running_unit(
    applier: Applier, systemd: FakeSystemd, reload: bool, method: str
) -> None:
    await apply(applier, served(reload=reload))
    systemd.taken()
    await apply(applier, served("two\n", reload=reload))
    assert systemd.taken() == [method]


async def test_a_unit_that_reloads_is_started_if_it_does_not_run(
    applier: Applier, systemd: FakeSystemd
) -> None:
    await apply(applier, served(reload=True))
    systemd.set("inactive")
    systemd.taken()
    await apply(applier, served("two\n", reload=True))
    assert systemd.taken() == ["RestartUnit"]


async def test_a_restart_of_the_daemon_touches_no_running_unit(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    systemd.taken()
    assert (await apply(fresh(paths, systemd), served())).state is OutputState.IN_SYNC
    assert systemd.taken() == []


async def test_after_a_reboot_it_is_started(applier: Applier, paths: Paths, systemd: FakeSystemd) -> None:
    await apply(applier, served())
    systemd.set("inactive")
    systemd.taken()
    assert (await apply(fresh(paths, systemd), served())).state is OutputState.IN_SYNC
    assert systemd.taken() == ["RestartUnit"]


async def test_a_unit_is_stopped_when_it_is_no_longer_wanted(applier: Applier, systemd: FakeSystemd) -> None:
    await apply(applier, served())
    systemd.taken()
    for _ in range(2):
        assert (await apply(applier, served(wanted=False))).state is OutputState.DISABLED
    assert systemd.taken() == ["StopUnit"]
    assert (await apply(applier, served())).state is OutputState.IN_SYNC
    assert systemd.taken() == ["RestartUnit"]


async def test_a_unit_that_others_use_is_never_stopped(applier: Applier, systemd: FakeSystemd) -> None:
    systemd.set("active")
    assert (await apply(applier, served(wanted=False, shared=True))).state is OutputState.DISABLED
    assert systemd.taken() == []


async def test_a_unit_that_fails_is_not_hammered(applier: Applier, systemd: FakeSystemd) -> None:
    systemd.result = "failed"
    status = await apply(applier, served())
    assert status.state is OutputState.FAILED
    assert f"journalctl -u {UNIT}" in status.message
    systemd.taken()
    for _ in range(3):
        assert (await apply(applier, served())).state is OutputState.FAILED
    systemd.set("activating", "auto-restart", "exit-code")
    assert (await apply(applier, served())).state is OutputState.FAILED
    assert systemd.taken() == []


async def test_what_may_help_is_tried_again(applier: Applier, systemd: FakeSystemd) -> None:
    systemd.result = "failed"
    await apply(applier, served())
    await apply(applier, served("two\n"))
    await apply(applier, served("two\n"), force=True)
    assert systemd.taken() == ["RestartUnit"] * 3


async def test_a_unit_that_systemd_brought_back_is_in_sync_without_a_restart(
    applier: Applier, systemd: FakeSystemd
) -> None:
    systemd.result = "failed"
    await apply(applier, served())
    systemd.taken()
    systemd.set("active")
    assert (await apply(applier, served())).state is OutputState.IN_SYNC
    assert systemd.taken() == []


async def test_a_reload_that_failed_is_not_taken_for_done(applier: Applier, systemd: FakeSystemd) -> None:
    await apply(applier, served(reload=True))
    systemd.result = "failed"
    assert (await apply(applier, served("two\n", reload=True))).state is OutputState.FAILED
    systemd.set("active")
    systemd.result = "done"
    systemd.taken()
    assert (await apply(applier, served("two\n", reload=True))).state is OutputState.IN_SYNC
    assert systemd.taken() == ["ReloadUnit"]


async def test_a_unit_that_is_still_starting_is_waited_for(applier: Applier, systemd: FakeSystemd) -> None:
    systemd.result = "still not there after 30 s"
    await apply(applier, served())
    systemd.set("activating", "start")
    systemd.taken()
    assert (await apply(applier, served())).state is OutputState.PENDING
    assert systemd.taken() == []


async def test_an_edited_file_still_serves_after_a_reboot(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    paths.at("/etc/x.conf").write_text("by hand\n")
    systemd.set("inactive")
    systemd.taken()
    rebooted = fresh(paths, systemd)
    for _ in range(2):
        assert (await apply(rebooted, served())).state is OutputState.EDITED
    assert systemd.taken() == ["StartUnit"]


async def test_the_last_good_file_still_serves_after_a_reboot(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    systemd.set("inactive")
    systemd.taken()
    rebooted = fresh(paths, systemd)
    for _ in range(2):
        assert (await apply(rebooted, served("evil", check=("false",)))).state is OutputState.FAILED
    assert systemd.taken() == ["StartUnit"]


async def test_an_edit_restarts_nothing_that_runs(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    paths.at("/etc/x.conf").write_text("by hand\n")
    systemd.taken()
    await apply(applier, served())
    assert systemd.taken() == []


async def test_without_systemd_it_says_so(applier: Applier, paths: Paths, systemd: FakeSystemd) -> None:
    systemd.present = False
    status = await apply(applier, served())
    assert status.state is OutputState.FAILED
    assert "systemd is not reachable" in status.message
    assert paths.at("/etc/x.conf").exists()
    assert (await apply(applier, served(wanted=False))).state is OutputState.DISABLED


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield int(sock.getsockname()[1])


async def test_whoever_holds_the_port_is_named(
    applier: Applier, systemd: FakeSystemd, taken_port: int
) -> None:
    systemd.result = "failed"
    status = await apply(applier, served(ports=(("tcp", taken_port),)))
    assert f"port {taken_port}/tcp is held by" in status.message
    assert f"pid {os.getpid()}" in status.message
    assert (await apply(applier, served(ports=(("tcp", taken_port),)))).message == status.message
