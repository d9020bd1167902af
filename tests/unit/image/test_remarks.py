"""What is told of a generation's content: excludes without effect, and big things that nobody expects."""

import os
from pathlib import Path

import pytest

from ltspd.image.build import BuildOptions
from ltspd.image.look import remarks
from ltspd.image.look.scan import scan
from ltspd.image.store import store
from ltspd.model.image import Generation, Source
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import unpack, write


def tree(root: Path, **sizes: int) -> Path:
    """Make files of the given sizes, which take no room; ``__`` in a name stands for a slash."""
    for name, size in sizes.items():
        os.truncate(write(root, name.replace("__", "/")), size)
    return root


def paths_of(root: Path, threshold: int = 1000) -> list[str]:
    return [line.split(" ")[0] for line in remarks.large(scan(root, ()).table, threshold)]


def test_data_is_named_by_the_directory_that_says_most(tmp_path: Path) -> None:
    tree(
        tmp_path,
        data__school__films__one=900,
        data__school__films__two=900,
        data__school__list=10,
        var__www__site__page=2000,
        opt__a__x=400,
        opt__b__x=500,
        opt__c__x=600,
        var__lib__machine__disk=5000,
        var__lib__machine__small=5,
    )
    assert paths_of(tmp_path) == [
        "/var/lib/machine/disk",
        "/var/www/site/page",
        "/data/school/films",
        "/opt",
    ]


def test_programs_may_be_large_but_no_single_file_of_theirs(tmp_path: Path) -> None:
    tree(
        tmp_path, usr__lib__a__x=800, usr__lib__a__y=800, usr__share__iso__big=1000, usr__local__game__z=1500
    )
    assert paths_of(tmp_path) == ["/usr/local/game/z", "/usr/share/iso/big"]
    assert paths_of(tmp_path, 5000) == []


def test_many_large_things_are_counted_and_the_hint_can_be_copied(tmp_path: Path) -> None:
    for number in range(12):
        tree(tmp_path, **{f"d{number:02}__x": 5000, f"d{number:02}__y": 4000})
    lines = remarks.large(scan(tmp_path, ()).table, 1000)
    assert len(lines) == remarks.MOST + 1
    assert lines[-1] == "2 more are as large."
    assert lines[0].endswith('leave it out if no client needs it: ADD_IMAGE_EXCLUDES="d00/*".')


@pytest.mark.parametrize("name", [b"a\xff\nb", b'say "x"', b"\x1b[31m"])
def test_odd_names_are_shown_without_a_hint_that_would_not_work(tmp_path: Path, name: bytes) -> None:
    directory = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(directory)
    for each in (b"x", b"y"):
        with open(os.path.join(directory, each), "wb") as file:
            file.truncate(5000)
    (line,) = remarks.large(scan(tmp_path, ()).table, 1000)
    assert "ADD_IMAGE" not in line
    line.encode()


async def make(paths: Paths, source: Source, *add: str, omit: tuple[str, ...] = ()) -> Generation:
    made = (await run_build(order(paths, source, BuildOptions(add, omit)))).generation
    assert store.find(paths, source.name).current_generation == made, "also as it is read again"
    return made


async def test_excludes_without_effect_are_told(paths: Paths, source: Source, tmp_path: Path) -> None:
    for name in ("opt/films/a", "opt/films/b", "opt/tool", "home/ann/x"):
        write(Path(source.path), name, "x")
    made = await make(
        paths, source, "/opt/films/*", "./opt/tool", "opt/flims/*", "home/ann/*", omit=("usr/nothing",)
    )
    assert made.notes == (
        "The exclude 'opt/flims/*' leaves out nothing: nothing fits it.",
        "The exclude 'home/ann/*' leaves out nothing: nothing fits it.",
        "OMIT_IMAGE_EXCLUDES has 'usr/nothing', which is not in the list of excludes, and nothing that others"
        " may not read fits it.",
    )
    # A leading slash is how people write paths; the packer would end with an error at it.
    unpacked = unpack(paths.images / "tiny/layers" / made.layers[0].file_name, tmp_path / "unpacked")
    assert sorted(each.name for each in (unpacked / "opt").rglob("*")) == ["films"]


async def test_of_a_list_of_the_administrator_only_its_own_lines_are_told(
    paths: Paths, source: Source
) -> None:
    write(paths.root, "etc/ltsp/image.excludes", "# ours\nvar/swap\nusr/local/*\nproc/*\n")
    assert [each.split("'")[1] for each in (await make(paths, source)).notes] == ["usr/local/*"]


async def test_a_large_file_is_told_until_it_is_gone(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remarks.large, "__defaults__", (1 << 20,))
    tree(Path(source.path), data__film=2 << 20)
    first = await make(paths, source)
    (line,) = first.notes
    assert line.startswith("/data/film makes 0.0 GB of the image; ")
    assert line.endswith(': ADD_IMAGE_EXCLUDES="data/film".')
    (Path(source.path) / "data/film").unlink()
    assert (await make(paths, source)).notes == ()
