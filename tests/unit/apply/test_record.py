"""The record of what was applied: of every version, damaged in parts, and of an interrupted pass."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ltspd.apply import Applier
from ltspd.model.output import File, Output, OutputState, Symlink, Unit
from ltspd.paths import Paths
from tests.worlds.applying import FakeSystemd, apply, fresh, output

# What each version wrote after it had applied the outputs of ``server``, named by the version.
RECORDS = sorted((Path(__file__).parent / "records").glob("*.json"))
OUT = "/var/lib/ltspd/outputs"
GANESHA = f"{OUT}/ganesha.conf"


def server(version: str) -> tuple[Output, ...]:
    """Return a server's outputs; ``version`` changes what is in each file."""
    images = Symlink("/srv/tftp/ltsp/images", "/srv/ltsp/images")
    return (
        Output("boot-files", (File("/srv/tftp/ltsp/ltsp.img", f"add-on{version}\n".encode()),), (images,)),
        Output("nfs", (File(GANESHA, f"ganesha{version}\n".encode()),), activation=Unit("ltspd-nfs.service")),
        Output(
            "dhcp",
            (File(f"{OUT}/dnsmasq.conf", f"dhcp{version}\n".encode()),),
            activation=Unit("ltspd-dnsmasq.service"),
        ),
    )


@pytest.fixture
def place(paths: Paths) -> Path:
    """Return where the record lies."""
    paths.state.mkdir(parents=True)
    return paths.state / "outputs.json"


def lay_out(paths: Paths, systemd: FakeSystemd) -> None:
    """Put there what an earlier version had applied, but for its record."""
    for each in server(""):
        for file in each.files:
            paths.at(file.path).parent.mkdir(parents=True, exist_ok=True)
            paths.at(file.path).write_bytes(file.data)
        for link in each.links:
            paths.at(link.path).symlink_to(link.target)
        if each.unit:
            systemd.set("active", unit=each.unit)


def test_the_records_of_all_versions_are_here() -> None:
    assert {path.stem for path in RECORDS} >= {"before-writing", "0.1.0"}


@pytest.mark.parametrize("record", RECORDS, ids=[path.stem for path in RECORDS])
async def test_an_upgrade_goes_on_with_what_the_version_before_applied(
    paths: Paths, systemd: FakeSystemd, place: Path, record: Path
) -> None:
    lay_out(paths, systemd)
    shutil.copy(record, place)
    applier = fresh(paths, systemd)
    statuses = await applier.apply(server(""))
    assert {each.state for each in statuses} == {OutputState.IN_SYNC}
    assert systemd.acts == [], "an upgrade restarts nothing whose files are the same"
    assert all(each.applied_at > 0 for each in statuses)

    shutil.copy(record, place)
    applier = fresh(paths, systemd)
    assert {each.state for each in await applier.apply(server(" new"))} == {OutputState.IN_SYNC}
    assert [unit for _, unit in systemd.acts] == ["ltspd-nfs.service", "ltspd-dnsmasq.service"]


@pytest.mark.parametrize("record", RECORDS, ids=[path.stem for path in RECORDS])
async def test_an_upgrade_undoes_what_the_new_version_does_not_need(
    paths: Paths, systemd: FakeSystemd, place: Path, record: Path
) -> None:
    lay_out(paths, systemd)
    shutil.copy(record, place)
    await fresh(paths, systemd).apply(server("")[:1])
    assert sorted(systemd.acts) == [("StopUnit", "ltspd-dnsmasq.service"), ("StopUnit", "ltspd-nfs.service")]
    assert not list(paths.outputs.iterdir())


async def test_the_version_before_reads_the_record_of_this_one(
    applier: Applier, paths: Paths, place: Path
) -> None:
    """It dropped a record in which one of these was missing."""
    await apply(applier, output())
    assert json.loads(place.read_bytes()).keys() >= {"files", "writing", "units", "applied"}


KEPT = {"ltsp.img.kept~": "add-on\n", "ganesha.conf.kept~": "ganesha\n", "dnsmasq.conf.kept~": "dhcp\n"}
BAD: tuple[object, ...] = (None, 5, "text", [], {"/x": 5}, {"/x": None, "/y": ["z"]})


@pytest.mark.parametrize("slot", ["files", "writing", "links", "units", "commands", "owners", "applied"])
@pytest.mark.parametrize("bad", BAD)
async def test_one_bad_part_takes_no_other_along(
    paths: Paths, systemd: FakeSystemd, place: Path, caplog: pytest.LogCaptureFixture, slot: str, bad: object
) -> None:
    await fresh(paths, systemd).apply(server(""))
    whole = json.loads(place.read_bytes())
    good = whole[slot]
    whole[slot] = good | bad if isinstance(bad, dict) and good else bad
    place.write_text(json.dumps(whole))
    states = {each.state for each in await fresh(paths, systemd).apply(server(" new"))}
    assert states == {OutputState.IN_SYNC}
    # Without its digest a file may hold somebody's change, so nothing of it is lost.
    lost = slot == "files" and not isinstance(bad, dict)
    copies = {each.name: each.read_text() for each in paths.root.rglob("*.kept~")}
    assert copies == (KEPT if lost else {})
    if not (slot == "applied" and bad == {"/x": 5}):
        assert f"{place} is damaged" in caplog.text


async def test_a_damaged_entry_freezes_nothing_and_loses_nothing(
    paths: Paths, systemd: FakeSystemd, place: Path
) -> None:
    await fresh(paths, systemd).apply(server(""))
    whole = json.loads(place.read_bytes())
    whole["files"][GANESHA] = 5
    place.write_text(json.dumps(whole))
    paths.at(GANESHA).write_text("by hand\n")
    applier = fresh(paths, systemd)
    assert {each.state for each in await applier.apply(server(" new"))} == {OutputState.IN_SYNC}
    assert paths.at(GANESHA).read_text() == "ganesha new\n"
    assert paths.at(f"{GANESHA}.kept~").read_text() == "by hand\n"
    paths.at(GANESHA).write_text("by hand again\n")
    states = {each.name: each.state for each in await applier.apply(server(" newer"))}
    assert states["nfs"] is OutputState.EDITED


async def test_a_pass_that_ends_in_the_middle_is_undone_by_the_next(
    paths: Paths, systemd: FakeSystemd, place: Path
) -> None:
    """The new file is there, and its unit was started, when the daemon is killed; then neither is needed."""

    def killed() -> None:
        raise KeyboardInterrupt

    systemd.on_act = killed
    one = Output(
        "x", (File("/etc/x.conf", b"x"),), (Symlink("/l", "/t"),), activation=Unit("ltspd-x.service")
    )
    with pytest.raises(KeyboardInterrupt):
        await fresh(paths, systemd).apply([one])
    systemd.on_act = lambda: None
    systemd.set("active")
    await fresh(paths, systemd).apply([])
    assert [os.path.lexists(paths.at(each)) for each in ("/etc/x.conf", "/l")] == [False, False]
    assert systemd.running() == set()
