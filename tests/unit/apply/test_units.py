"""Units that follow their files: started, reloaded and stopped when there is reason to, and only then."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ltspd.apply import RETRY, Applier
from ltspd.model.output import OutputState
from ltspd.observe.ports import holders
from ltspd.paths import Paths
from tests.worlds.applying import UNIT, FakeSystemd, apply, fresh, served


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


async def test_a_start_or_a_reload_by_somebody_else_is_not_interrupted(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served(reload=True))
    systemd.set("reloading", "reload")
    systemd.taken()
    again = fresh(paths, systemd)
    assert (await apply(again, served(reload=True))).state is OutputState.IN_SYNC
    systemd.set("activating", "start-post")
    again = fresh(paths, systemd)
    for text in ("one\n", "two\n"):
        assert (await apply(again, served(text, reload=True))).state is OutputState.PENDING
    assert systemd.taken() == []
    # What it has not read yet, it is told when it is up, and while it reads something else.
    systemd.set("reloading", "reload")
    assert (await apply(again, served("two\n", reload=True))).state is OutputState.IN_SYNC
    assert systemd.taken() == ["ReloadUnit"]


async def test_a_unit_is_stopped_when_it_is_no_longer_wanted(applier: Applier, systemd: FakeSystemd) -> None:
    await apply(applier, served())
    systemd.taken()
    for _ in range(2):
        assert (await apply(applier, served(wanted=False))).state is OutputState.DISABLED
    assert systemd.taken() == ["StopUnit"]
    assert (await apply(applier, served())).state is OutputState.IN_SYNC
    assert systemd.taken() == ["RestartUnit"]


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


async def test_what_systemd_does_not_tell_changes_nothing(applier: Applier, systemd: FakeSystemd) -> None:
    await apply(applier, served())
    systemd.taken()
    systemd.unanswered = {"status"}
    for wanted in (served(), served(wanted=False)):
        status = await apply(applier, wanted)
        assert (status.state, systemd.taken()) == (OutputState.PENDING, [])
        assert "does not say" in status.message
        assert applier.again == RETRY, "nothing wakes us when it answers again"
    systemd.unanswered.clear()
    assert (await apply(applier, served())).state is OutputState.IN_SYNC
    assert (systemd.taken(), applier.again) == ([], None)


@pytest.mark.parametrize(("reload", "method"), [(True, "ReloadUnit"), (False, "RestartUnit")])
async def test_new_files_reach_a_unit_though_the_first_answer_was_lost(
    applier: Applier, systemd: FakeSystemd, reload: bool, method: str
) -> None:
    await apply(applier, served(reload=reload))
    systemd.taken()
    systemd.unanswered = {method}
    assert (await apply(applier, served("two\n", reload=reload))).state is OutputState.PENDING
    systemd.unanswered.clear()
    assert (await apply(applier, served("two\n", reload=reload))).state is OutputState.IN_SYNC
    assert systemd.taken() == [method, method]


async def test_an_edited_output_is_started_once_systemd_answers(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    paths.at("/etc/x.conf").write_text("by hand\n")
    systemd.set("inactive")
    systemd.taken()
    rebooted = fresh(paths, systemd)
    systemd.unanswered = {"status"}
    assert (await apply(rebooted, served())).state is OutputState.EDITED
    assert (systemd.taken(), rebooted.again) == ([], RETRY)
    systemd.unanswered.clear()
    assert (await apply(rebooted, served())).state is OutputState.EDITED
    assert systemd.taken() == ["StartUnit"]


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
    applier: Applier, paths: Paths, systemd: FakeSystemd, taken_port: int
) -> None:
    paths.at("/proc").symlink_to("/proc")
    systemd.result = "failed"
    status = await apply(applier, served(ports=(("tcp", taken_port),)))
    assert f"port {taken_port}/tcp is held by" in status.message
    assert f"pid {os.getpid()}" in status.message
    assert "HTTP_PORT" not in status.message
    assert (await apply(applier, served(ports=(("tcp", taken_port),)))).message == status.message
    movable = served(ports=(("tcp", taken_port),), port_setting="HTTP_PORT")
    assert "or set HTTP_PORT= in [server]" in (await apply(applier, movable)).message


async def test_a_unit_of_ours_that_shares_the_port_is_not_blamed(
    applier: Applier,
    paths: Paths,
    systemd: FakeSystemd,
    taken_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths.at("/proc").symlink_to("/proc")
    systemd.result = "failed"
    found = [replace(each, unit="ltspd-proxy-dhcp.service") for each in holders(paths, [("tcp", taken_port)])]
    monkeypatch.setattr("ltspd.apply.trouble.holders", lambda *_: found)
    assert found
    assert "is held by" not in (await apply(applier, served(ports=(("tcp", taken_port),)))).message
