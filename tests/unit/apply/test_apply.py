"""Applying: only what differs, atomically, checked, never over an edit."""

import os
import shutil
import threading
from dataclasses import replace

import pytest

from ltspd.apply import Applier
from ltspd.model.output import File, Output, OutputState, Symlink
from ltspd.outputs import gateway
from ltspd.paths import Paths
from ltspd.system.run import run
from tests import REPOSITORY
from tests.worlds.applying import FakeSystemd, apply, disk, fresh, output, served


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


async def test_a_file_that_more_people_can_read_than_should_is_closed(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    secret = replace(served(), files=(File("/etc/x.conf", b"hash", 0o640),))
    await apply(applier, secret)
    systemd.taken()
    place = paths.at("/etc/x.conf")
    # As an earlier release wrote it.
    place.chmod(0o644)
    assert applier.pending([secret])
    await apply(applier, secret)
    assert place.stat().st_mode & 0o777 == 0o640
    # Nothing new is in it.
    assert systemd.taken() == []
    # Somebody may close it further.
    place.chmod(0o600)
    assert not applier.pending([secret])


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("systemd-tmpfiles"), reason="needs root and systemd-tmpfiles"
)
async def test_the_gateway_s_group_can_read_what_is_for_nobody_else(applier: Applier, paths: Paths) -> None:
    etc = paths.root / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\nltspd-gateway:x:990:991::/:/bin/false\n")
    (etc / "group").write_text("root:x:0:\nltspd-gateway:x:991:\n")
    lines = str(REPOSITORY / "systemd/ltspd.tmpfiles")
    await run(["systemd-tmpfiles", f"--root={paths.root}", "--create", lines])
    table = File(gateway.PATH, b"hash", gateway.MODE)
    await apply(applier, Output("http", (table,)))
    found = paths.at(gateway.PATH).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 991, 0o640)


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


def written(paths: Paths) -> tuple[int, int]:
    """Return which file it is and when it was written; a check that only reads it changes neither."""
    status = paths.at("/etc/x.conf").stat()
    return status.st_ino, status.st_mtime_ns


async def test_a_refused_candidate_keeps_the_last_good_one(applier: Applier, paths: Paths) -> None:
    check = ("sh", "-c", "grep -q good $0 || { echo bad option in line 1 >&2; exit 1; }", "{}")
    await apply(applier, output("good\n", check=check))
    before = written(paths)
    status = await apply(applier, output("evil\n", check=check))
    assert status.state is OutputState.FAILED
    assert "the last good one stays" in status.message
    assert "bad option in line 1" in status.message
    assert written(paths) == before
    assert not list(paths.root.rglob("*candidate*"))
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


async def test_the_disk_is_waited_for_in_threads(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[threading.Thread] = []
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        waited.append(threading.current_thread())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    applier = fresh(paths, FakeSystemd())
    # The file, the record before and after it, and the directory of each.
    await apply(applier, output(check=("true", "{}")))
    assert len(waited) >= 6
    assert threading.main_thread() not in waited
