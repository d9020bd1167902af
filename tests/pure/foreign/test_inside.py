"""Names inside a foreign root: followed as after a chroot, and whatever lies there, nothing leads outside."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ltspd.disk import use
from ltspd.foreign.inside import (
    MAX_LINKS,
    list_inside,
    open_file,
    open_inside,
    path_inside,
    read_inside,
    stat_inside,
)
from ltspd.foreign.read import copy_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a root with a file, beside one of the same name outside of it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real").write_text("outside")
    root = tmp_path / "root"
    (root / "etc/below").mkdir(parents=True)
    (root / "etc/real").write_text("inside")
    return root


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("real", "etc/real"),
        ("/etc/real", "etc/real"),
        ("../../../../etc/real", "etc/real"),
        ("/etc/../../etc/./real", "etc/real"),
        ("below/../real", "etc/real"),
        ("/", "."),
        ("loop", None),
        ("nowhere", None),
        ("real/below", None),
    ],
)
def test_resolution_is_that_of_a_chroot(root: Path, target: str, expected: str | None) -> None:
    (root / "etc/link").symlink_to(target)
    (root / "etc/loop").symlink_to("link")
    wanted = None if expected is None else root / expected
    assert path_inside(root, "/etc/link") == path_inside(root, "etc//link") == wanted
    status = stat_inside(root, "etc/link")
    assert (status and status.st_ino) == (wanted and wanted.stat().st_ino)
    assert read_inside(root, "etc/link") == (b"inside" if expected == "etc/real" else None)


def test_dots_after_a_link_are_those_of_where_it_leads(root: Path) -> None:
    (root / "usr").mkdir()
    (root / "usr/far").symlink_to("/etc/below")
    assert path_inside(root, "usr/far/../real") == root / "etc/real"
    assert list_inside(root, "usr/far/..") == ("below", "real")


def test_as_many_links_as_the_kernel_follows(root: Path) -> None:
    (root / "0").symlink_to("etc/real")
    for number in range(1, MAX_LINKS + 1):
        (root / str(number)).symlink_to(str(number - 1))
    assert path_inside(root, str(MAX_LINKS - 1)) == root / "etc/real"
    assert path_inside(root, str(MAX_LINKS)) is None
    with pytest.raises(OSError, match="symbolic links"):
        open_inside(root, str(MAX_LINKS))


def test_what_is_no_file_blocks_nobody_and_is_not_read(root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert read_inside(root, "fifo") is None
    assert read_inside(root, "etc") is None
    assert list_inside(root, "fifo") == ()


def test_a_link_that_takes_a_directorys_place_meanwhile_leads_nowhere_else(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(*arguments: object, **options: object) -> os.stat_result:
        if (root / "etc").is_dir() and not (root / "etc").is_symlink():
            (root / "etc").rename(root / "was")
            (root / "etc").symlink_to(root.parent / "etc")
        return fstat(*arguments, **options)  # type: ignore[arg-type]

    fstat = os.fstat
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", swapped)
        found = open_inside(root, "etc/real")
    with open(found) as file:
        assert file.read() == "inside"
    assert read_inside(root, "etc/real") is None


def test_a_file_is_copied_up_to_a_size(root: Path, tmp_path: Path) -> None:
    assert copy_inside(root, "etc/real", tmp_path / "copy") == 6
    assert (tmp_path / "copy").read_text() == "inside"
    with pytest.raises(OSError, match="too large"):
        copy_inside(root, "etc/real", tmp_path / "again", limit=5)


@pytest.mark.parametrize(
    "touch",
    [
        lambda root: read_inside(root, "etc/special"),
        lambda root: copy_inside(root, "etc/special", root / "copy"),
        lambda root: open_inside(root, "etc/special", os.O_RDWR),
        lambda root: list_inside(root, "etc/special"),
        lambda root: stat_inside(root, "etc/special"),
        lambda root: open_file(root / "etc/special"),
        lambda root: use.stamp(root / "etc/special"),
    ],
)
def test_what_is_no_file_is_not_even_opened(root: Path, touch: Callable[[Path], object]) -> None:
    """To open a device can be an order to it: a tape is wound back, a watchdog begins to count."""
    inotify_simple = pytest.importorskip("inotify_simple")
    os.mkfifo(root / "etc/special")
    with inotify_simple.INotify() as watch:
        watch.add_watch(root / "etc/special", inotify_simple.flags.OPEN)
        with suppress(OSError):
            touch(root)
        assert watch.read(timeout=0) == []


def test_a_link_is_no_file(root: Path) -> None:
    (root / "link").symlink_to("etc/real")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(root / "link")
    with open(open_file(root / "etc/real")) as file:
        assert file.read() == "inside"
