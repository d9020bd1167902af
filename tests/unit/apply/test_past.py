"""What no output needs any more: stopped, undone and removed, in an order that suits clients; edits stay."""

import os
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import cast

import pytest

from ltspd.apply import RETRY, Applier
from ltspd.dbus.systemd import Systemd
from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer
from ltspd.model.network import Link, LinkKind
from ltspd.model.output import File, Output, OutputState, Symlink, Unit
from ltspd.outputs import outputs
from ltspd.paths import Paths
from tests.worlds.applying import UNIT, FakeSystemd, apply, disk, fresh, output, served
from tests.worlds.planning import conf, programs, world

OUT = "/var/lib/ltspd/outputs"
EXPORTS = "/etc/exports.d/ltspd.exports"
GENERATION = Generation(
    id="20250101T000000Z-00000001", image="a", created=0.0, source="", architecture="", kernel="6.1",
    layers=(Layer(f"{1:064x}", 1),), source_bytes=0, source_files=0, kernel_bytes=0, initrd_bytes=0,
    packages_digest="",
)  # fmt: skip
GANESHA = Facts(
    links=(Link("eth1", 3, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface("192.168.67.1/24"),)),),
    images=(Image("a", (GENERATION,), GENERATION.id),),
    programs=programs("nbd-server", "ganesha.nfsd", "nbd-client"),
    boot_programs={"undionly.kpxe": "/usr/lib/ipxe/undionly.kpxe"},
)
KERNEL = replace(GANESHA, programs=GANESHA.programs | programs("exportfs"), kernel_nfsd=True)
NFS_UNITS = {"ltspd-nfs.service", "nfs-server.service"}


async def follow(applier: Applier, paths: Paths, facts: Facts) -> dict[str, tuple[OutputState, str]]:
    """Apply what a server with these facts needs, and return how each output is."""
    nbd_add_on = b"nbd" if programs("nbd-client") <= facts.programs else b""
    statuses = await applier.apply(outputs(world(conf(), facts, paths, nbd_add_on)))
    return {each.name: (each.state, each.message) for each in statuses}


def there(paths: Paths, *names: str) -> list[bool]:
    return [os.path.lexists(paths.at(name)) for name in names]


# ---- a server of NFS takes another's place, and back ------------------------------------------------


async def test_one_nfs_server_serves_whichever_it_is(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    """As after 'apt install nfs-kernel-server', which starts the unit, and after its removal."""
    await follow(applier, paths, GANESHA)
    assert there(paths, f"{OUT}/ganesha.conf", EXPORTS) == [True, False]
    assert systemd.running() & NFS_UNITS == {"ltspd-nfs.service"}
    for _ in range(2):
        systemd.acts.clear()
        systemd.set("failed", result="exit-code", unit="nfs-server.service")  # its port was taken
        assert (await follow(applier, paths, KERNEL))["nfs"] == (OutputState.IN_SYNC, "")
        # The old one first, for both need port 2049.
        assert systemd.acts == [("StopUnit", "ltspd-nfs.service"), ("RestartUnit", "nfs-server.service")]
        assert systemd.running() & NFS_UNITS == {"nfs-server.service"}
        assert there(paths, f"{OUT}/ganesha.conf", EXPORTS) == [False, True]

        systemd.acts.clear()
        systemd.set("inactive", unit="nfs-server.service")
        assert (await follow(applier, paths, GANESHA))["nfs"] == (OutputState.IN_SYNC, "")
        assert systemd.acts == [("RestartUnit", "ltspd-nfs.service")]
        assert systemd.running() & NFS_UNITS == {"ltspd-nfs.service"}
        assert there(paths, f"{OUT}/ganesha.conf", EXPORTS) == [True, False]


async def test_the_distributions_nfs_server_is_told_and_never_stopped(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await follow(applier, paths, KERNEL)
    systemd.acts.clear()
    await follow(applier, paths, replace(KERNEL, links=()))
    assert [act for act in systemd.acts if act[1] in NFS_UNITS] == [("ReloadUnit", "nfs-server.service")]
    assert there(paths, EXPORTS) == [False]
    systemd.acts.clear()
    await follow(applier, paths, replace(KERNEL, links=()))
    assert systemd.acts == []


async def test_a_unit_of_the_distribution_that_never_had_files_of_ours_is_left_alone(
    applier: Applier, systemd: FakeSystemd
) -> None:
    systemd.set("active", unit="nfs-server.service")
    assert (
        await apply(applier, output(activation=Unit("nfs-server.service"), wanted=False))
    ).state is OutputState.DISABLED
    assert systemd.acts == []


async def test_units_of_ours_are_stopped_though_the_record_is_lost(
    paths: Paths, systemd: FakeSystemd
) -> None:
    for unit in ("ltspd-y.service", "nfs-server.service"):
        systemd.set("active", unit=unit)
    applier = Applier(paths, cast(Systemd, systemd), units=("ltspd-y.service", "nfs-server.service"))
    await apply(applier, served())
    assert systemd.running() == {UNIT, "nfs-server.service"}


async def test_exports_never_go_for_a_moment(applier: Applier, paths: Paths, systemd: FakeSystemd) -> None:
    """Unexporting ends what clients have open, so one reload tells of new exports and old ones."""
    await follow(applier, paths, KERNEL)
    systemd.acts.clear()
    second = Link("eth2", 4, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface("10.9.0.1/24"),))
    await follow(applier, paths, replace(KERNEL, links=(*KERNEL.links, second)))
    assert [act for act in systemd.acts if act[1] in NFS_UNITS] == [("ReloadUnit", "nfs-server.service")]
    moved = Output(
        "x", (File("/etc/exports.d/new.exports", b"x"),), activation=Unit("nfs-server.service", reload=True)
    )
    systemd.acts.clear()
    seen = []
    systemd.on_act = lambda: seen.append(there(paths, EXPORTS, "/etc/exports.d/new.exports"))
    await apply(applier, moved)
    assert [act for act in systemd.acts if act[1] in NFS_UNITS] == [("ReloadUnit", "nfs-server.service")]
    assert seen[-1] == [False, True]


async def test_an_output_whose_new_files_are_not_there_keeps_what_it_had(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await follow(applier, paths, GANESHA)
    systemd.acts.clear()
    paths.at("/etc").mkdir(exist_ok=True)
    paths.at("/etc/exports.d").write_text("a file where the directory should be")
    states = await follow(applier, paths, KERNEL)
    assert states["nfs"][0] is OutputState.FAILED
    assert (systemd.acts, there(paths, f"{OUT}/ganesha.conf")) == ([], [True])


async def test_a_successor_whose_file_is_somebodys_does_not_start_beside_the_old_one(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await follow(applier, paths, GANESHA)
    systemd.acts.clear()
    place = paths.at(EXPORTS)
    place.parent.mkdir(parents=True)
    place.write_text("somebody's")
    assert (await follow(applier, paths, KERNEL))["nfs"][0] is OutputState.EDITED
    assert systemd.acts == []
    assert systemd.running() & NFS_UNITS == {"ltspd-nfs.service"}


# ---- programs and links that are gone -----------------------------------------------------------------


async def test_what_a_removed_program_served_is_gone(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await follow(applier, paths, GANESHA)
    assert "ltspd-nbd.socket" in systemd.running()
    without = replace(GANESHA, programs=programs("ganesha.nfsd"), boot_programs={})
    states = await follow(applier, paths, without)
    assert states["nbd"][1].startswith("nbd-server is not installed")
    assert "ltspd-nbd.socket" not in systemd.running()
    gone = (f"{OUT}/nbd-server.conf", "/srv/tftp/ltsp/nbd.img", "/srv/tftp/ltsp/undionly.kpxe")
    assert there(paths, *gone) == [False] * 3
    assert there(paths, "/srv/tftp/ltsp/ltsp.img", "/srv/tftp/ltsp/images") == [True, True]
    before, acts = disk(paths), list(systemd.acts)
    await follow(fresh(paths, systemd), paths, without)
    assert (disk(paths), systemd.acts) == (before, acts)


async def test_without_a_link_nothing_is_served_and_nothing_lies_about(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    for facts in (GANESHA, KERNEL):
        await follow(applier, paths, facts)
        assert systemd.running()
        states = await follow(applier, paths, replace(facts, links=()))
        assert states["http"] == (OutputState.DISABLED, "")
        assert systemd.running() <= {"nfs-server.service"}
        assert not list(paths.outputs.iterdir())
        assert there(paths, EXPORTS) == [False]


async def test_a_failed_unit_that_nobody_needs_is_not_called_failed_for_ever(
    applier: Applier, systemd: FakeSystemd
) -> None:
    systemd.result = "failed"
    await apply(applier, served())
    systemd.taken()
    systemd.result = "done"
    assert (await apply(applier, served(wanted=False))).state is OutputState.DISABLED
    assert systemd.taken() == ["StopUnit"]


# ---- what is not ours any more, and what can't be undone ------------------------------------------------


async def test_what_was_edited_since_is_told_and_left_there(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    paths.at("/etc/x.conf").write_text("by hand\n")
    for _ in range(2):
        await apply(applier, output(wanted=False))
        (problem,) = applier.left
        assert problem.subject == "/etc/x.conf"
        assert "changed by hand" in problem.message
        assert "ltspctl apply --force" in problem.message
        assert paths.at("/etc/x.conf").read_text() == "by hand\n"
    await apply(applier, output(wanted=False), force=True)
    assert (applier.left, there(paths, "/etc/x.conf")) == ((), [False])


async def test_what_somebody_removed_or_renamed_is_forgotten(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    paths.at("/etc/x.conf").rename(paths.at("/etc/mine.conf"))
    await apply(applier, output(wanted=False))
    assert (applier.left, there(paths, "/etc/mine.conf")) == ((), [True])
    paths.at("/etc/x.conf").write_text("somebody's")
    await apply(applier, output(wanted=False))
    assert (applier.left, there(paths, "/etc/x.conf")) == ((), [True])


async def test_links_go_unless_they_are_somebodys_by_now(applier: Applier, paths: Paths) -> None:
    ours, others, file = (Symlink(f"/l/{name}", "/target") for name in ("ours", "others", "file"))
    paths.at("/l").mkdir()
    paths.at(file.path).write_text("somebody's")
    await apply(applier, Output("x", (), (ours, others, file)))
    paths.at(others.path).unlink()
    paths.at(others.path).symlink_to("/elsewhere")
    await apply(applier, Output("x"))
    assert there(paths, ours.path, others.path, file.path) == [False, True, True]
    assert applier.left == ()


async def test_what_cant_be_removed_is_told_and_tried_again(applier: Applier, paths: Paths) -> None:
    await apply(applier, output())
    place = paths.at("/etc/x.conf")
    place.unlink()
    place.mkdir()
    await apply(applier, output(wanted=False))
    (problem,) = applier.left
    assert "can't be removed" in problem.message
    assert applier.again == RETRY
    place.rmdir()
    await apply(applier, output(wanted=False))
    assert applier.left == ()
    assert applier.again is None


async def test_a_unit_that_cant_be_stopped_is_told_until_it_is(
    applier: Applier, paths: Paths, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    for unit in ("", "ltspd-y.service"):
        now = replace(served(), activation=Unit(unit)) if unit else output(wanted=False)
        systemd.stop_result = "timeout"
        await apply(applier, now)
        (problem,) = applier.left
        assert problem.subject == UNIT
        assert f"systemctl stop {UNIT}" in problem.message
        systemd.stop_result = ""
        applier = fresh(paths, systemd)
        await apply(applier, now)
        assert (applier.left, UNIT in systemd.running()) == ((), False)
        await apply(applier, served())


async def test_what_systemd_does_not_tell_of_a_past_unit_is_asked_again(
    applier: Applier, systemd: FakeSystemd
) -> None:
    await apply(applier, served())
    systemd.taken()
    systemd.unanswered = {"status"}
    await apply(applier, output())
    assert (systemd.taken(), applier.left, applier.again) == ([], (), RETRY)
    systemd.unanswered.clear()
    await apply(applier, output())
    assert (systemd.taken(), applier.again) == (["StopUnit"], None)


async def test_preview_tells_what_would_go(applier: Applier) -> None:
    two = Output("x", (File("/etc/1", b"1"), File("/etc/2", b"2")), (Symlink("/l", "/t"),))
    await apply(applier, two)
    assert applier.preview(two) == "Nothing would change.\n"
    fewer = replace(two, files=two.files[:1], links=())
    assert applier.preview(fewer) == "--- /etc/2\n(removed)\n--- /l\n(removed)\n"
    assert applier.preview(replace(fewer, wanted=False)).startswith("--- /etc/1\n(removed)\n--- /etc/2")


@pytest.mark.parametrize("name", ["boot-files", "menu", "nfs", "nbd", "http"])
async def test_every_output_leaves_nothing(
    applier: Applier, paths: Paths, systemd: FakeSystemd, name: str
) -> None:
    (one,) = (each for each in outputs(world(conf(), GANESHA, paths)) if each.name == name)
    await apply(applier, one)
    names = [each.path for each in one.files] + [each.path for each in one.links]
    assert any(there(paths, *names))
    await applier.apply([])
    assert not any(there(paths, *names))
    assert systemd.running() == set()
