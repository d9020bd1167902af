"""The battery of operations: on a disk of this machine they work, and what does not is shown."""

from pathlib import Path

from bench.homing import figures
from tests.lab import battery

# What not every file system has that tests may run on, or not every machine.
_MAY_MISS = {
    "O_DIRECT",
    "fallocate",
    "rename, but not over another (renameat2)",
    "names of 255 bytes, and that are no text",
    "a file without a name (O_TMPFILE)",
    "attributes of a person's (user.*)",
    "access list (POSIX)",
    "time of change, before 1970",
}


def test_everything_works_on_a_disk(tmp_path: Path) -> None:
    found = dict(battery.run(tmp_path, tmp_path))
    assert len(found) >= 40
    assert {name for name, result in found.items() if result != battery.OK} <= _MAY_MISS


def test_what_the_other_does_not_see_is_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one, two):
        place.mkdir()
    (one / "f").touch()
    assert battery.OPERATIONS["create only if it is not there"](one, two) == "both created it"
    assert battery.OPERATIONS["flock, both"](one, one) == battery.OK
    assert battery.OPERATIONS["profile lock of a browser"](one, two) == "both have it"


def test_a_table_shows_what_differs() -> None:
    name, *_ = battery.OPERATIONS
    lines = battery.table({"NFS": {name: "ok"}, "SSHFS": {name: "EPERM"}}).splitlines()
    assert lines[:3] == ["| operation | NFS | SSHFS |", "|---|---|---|", f"| {name} | ok | **EPERM** |"]


def test_figures_are_ratios_of_nfs_over_sshfs() -> None:
    works = ("write", "read", "unpack", "stat", "rows", "first")
    seen = {"nfs": {each: [3.0, 1.0, 2.0] for each in works}, "sshfs": {each: [4.0] for each in works}}
    found = figures(seen)
    assert {each.value for each in found} == {0.5}
    assert not any(each.missed for each in found)
