"""The table of entries: what counts as a change, what a layer needs for it, and what damaged bytes are."""

import os
import stat
import subprocess
import tarfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.image.look import entries
from ltspd.image.look.entries import RECORD, Changes, Table, compare, from_bytes, listing, to_bytes
from ltspd.image.look.scan import scan
from ltspd.image.pack import spool, tarstream
from ltspd.image.pack.tarstream import Entry
from tests.worlds.image_trees import write


def directory(time: int = 1) -> bytes:
    return RECORD.pack(stat.S_IFDIR | 0o755, 0, 0, 0, 0, time, time)


def file(time: int = 1, mode: int = 0o644, size: int = 5) -> bytes:
    return RECORD.pack(stat.S_IFREG | mode, 0, 0, 0, size, time, time)


def table(**directories: dict[str, bytes]) -> Table:
    """Make a table of directories by path; ``top`` is the root, ``__`` a slash."""
    paths = {
        b"" if path == "top" else path.replace("__", "/").encode(): each for path, each in directories.items()
    }
    return Table(
        directory(),
        {path: listing((os.fsencode(name), r) for name, r in each.items()) for path, each in paths.items()},
    )


OLD = table(
    top={"etc": directory(), "usr": directory(), "link": file(3)},
    etc={"a": file(), "b": file(), "sub": directory()},
    etc__sub={"x": file()},
    usr={"deep": directory()},
    usr__deep={"one": file(), "two": file()},
)


def changed(**directories: dict[str, bytes]) -> Table:
    new = table(**directories)
    return Table(OLD.root, {**OLD.directories, **new.directories})


def without(tree: Table, *paths: bytes) -> Table:
    return Table(tree.root, {path: each for path, each in tree.directories.items() if path not in paths})


def test_a_table_differs_from_itself_in_nothing() -> None:
    assert not compare(OLD, OLD)
    assert compare(OLD, from_bytes(to_bytes(OLD))) == Changes()


def test_new_changed_and_missing_entries_are_told() -> None:
    new = changed(etc={"a": file(2), "c": file(), "sub": directory()})
    assert compare(OLD, new) == Changes((b"etc/a", b"etc/c"), (b"etc/b",))


def test_of_a_missing_directory_only_the_top_is_hidden() -> None:
    new = without(changed(etc={"a": file(), "b": file()}), b"etc/sub")
    assert compare(OLD, new) == Changes((), (b"etc/sub",))


def test_a_directory_in_place_of_a_file_hides_it_and_the_other_way_round() -> None:
    new = changed(
        top={"etc": directory(), "usr": file(9), "link": directory(9)},
        link={"new": file()},
    )
    new = without(new, b"usr", b"usr/deep")
    assert compare(OLD, new) == Changes((b"link", b"link/new", b"usr"), (), frozenset([b"link"]))


def test_a_directory_of_which_nothing_stays_is_opaque() -> None:
    new = changed(usr__deep={"two": file(7), "three": file()})
    expected = Changes((b"usr/deep", b"usr/deep/three", b"usr/deep/two"), (), frozenset([b"usr/deep"]))
    assert compare(OLD, new) == expected
    stays = changed(usr__deep={"two": file(), "three": file()})
    assert compare(OLD, stays) == Changes((b"usr/deep/three",), (b"usr/deep/one",))


def test_the_root_itself_may_change() -> None:
    assert compare(OLD, Table(directory(2), OLD.directories)).put == (b"",)


def test_a_layer_holds_parents_and_all_names_of_a_file() -> None:
    changes = Changes((b"usr/deep/one",), (b"etc/sub/x",))
    assert spool.members(changes, ((b"link", b"usr/deep/one"), (b"other", b"another"))) == frozenset(
        [b"usr", b"usr/deep", b"usr/deep/one", b"link", b"etc", b"etc/sub"]
    )


def test_records_can_be_replaced_and_removed() -> None:
    new = entries.with_records(OLD, {b"etc/a": file(8), b"usr/deep": None, b"top": file()})
    assert entries.record_of(new, b"etc/a") == file(8)
    assert entries.record_of(new, b"top") == file()
    assert entries.record_of(new, b"usr/deep") is entries.record_of(new, b"usr/deep/one") is None
    assert entries.record_of(new, b"") == OLD.root
    assert b"usr/deep" not in new.directories
    assert entries.size_of(OLD, [b"etc/a", b"etc/sub", b"etc/none", b"link"]) == 10


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name)), st.just(file())
    )
)
def test_any_name_survives(names: dict[bytes, bytes]) -> None:
    tree = Table(directory(), {b"": listing(names.items())})
    back = from_bytes(to_bytes(tree))
    assert back == tree
    assert entries.records(back.directories[b""]) == names


@given(
    st.binary(max_size=60)
    | st.builds(lambda cut: to_bytes(OLD)[:cut], st.integers(0, len(to_bytes(OLD)) - 1))
)
def test_damaged_tables_are_told_as_such(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is "):
        from_bytes(data)


@given(st.binary(max_size=200))
def test_rubbish_in_a_table_is_told_as_such(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is "):
        from_bytes(to_bytes(OLD)[:16] + zlib.compress(data))


def test_only_what_changes_after_a_look_is_found_by_the_next(tmp_path: Path) -> None:
    old = write(tmp_path, "dir/file", "before")
    os.utime(old, ns=(0, 10**18))
    first = scan(tmp_path, (), b"").table
    # Written in the tick of the look or just before it: what the next look finds is another thing.
    assert compare(first, scan(tmp_path, (), b"").table)
    old.write_text("after!")
    os.utime(old, ns=(0, 10**18))
    assert b"dir/file" in compare(first, scan(tmp_path, (), b"").table).put


def test_headers_are_what_other_programs_read(tmp_path: Path) -> None:
    stream = BytesIO()
    long, target = b"d/" + b"n" * 255, b"../" * 50
    stream.write(
        tarstream.header(Entry(b"d", stat.S_IFDIR | 0o2755, 3_000_000, 4, mtime=7), tarstream.OPAQUE)
    )
    stream.write(tarstream.header(Entry(long, stat.S_IFREG | 0o644, size=3, mtime=-5)) + b"abc" + bytes(509))
    stream.write(tarstream.header(Entry(b"s", stat.S_IFLNK | 0o777, target=target)))
    stream.write(tarstream.link(b"hard", long))
    stream.write(tarstream.whiteout(b"gone"))
    stream.write(tarstream.header(Entry(b"disk", stat.S_IFBLK | 0o660, major=8, minor=1)))
    stream.write(tarstream.header(Entry(b"pipe", stat.S_IFIFO | 0o600)) + tarstream.END)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        found = {member.name: member for member in tar}
    assert (found["d"].uid, found["d"].mode, found["d"].mtime) == (3_000_000, 0o2755, 7)
    assert found["d"].pax_headers == {"SCHILY.xattr.trusted.overlay.opaque": "y"}
    assert found["s"].linkname == target.decode()
    assert found["hard"].linkname == long.decode()
    assert found["gone"].ischr()
    assert (found["gone"].devmajor, found["gone"].devminor) == (0, 0)
    assert (found["disk"].devmajor, found["disk"].devminor) == (8, 1)
    assert found["pipe"].isfifo()
    assert (found[long.decode()].size, found[long.decode()].mtime) == (3, 0)
    with pytest.raises(ValueError, match="no file type"):
        tarstream.header(Entry(b"x", 0o644))


def test_attributes_that_an_image_can_hold() -> None:
    assert tarstream.keeps("security.capability")
    assert tarstream.keeps("user.note")
    for name in ("system.posix_acl_access", "trusted.overlay.opaque", "user.overlay.origin", "user.a=b"):
        assert not tarstream.keeps(name)


def test_a_file_that_changes_while_it_is_copied_is_looked_at_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    small = write(root, "small", "small")
    write(root, "gone", "gone")
    write(root, "kept", "kept")
    for each in root.iterdir():
        os.utime(each, ns=(0, 10**18))
    subprocess.run(["sleep", "0.03"], check=True)
    old = Table(b"\0" * entries.WIDTH, {b"": (b"", b"")})
    found = scan(root, (), b"")
    small.write_text("larger than it was")
    (root / "gone").unlink()
    changes = compare(old, found.table)
    spooled = spool.spool(root, old, found.table, found.links, changes, {}, tmp_path / "tar")
    assert set(spooled.corrections) == {b"small", b"gone"}
    assert spooled.corrections[b"gone"] is None
    corrected = entries.with_records(found.table, spooled.corrections)
    assert b"small" in compare(corrected, scan(root, (), b"").table).put
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.getnames() == ["kept", "small"]
        opened = tar.extractfile("small")
        assert opened is not None
        assert opened.read() == b"larger than it was"


def test_a_file_that_becomes_private_while_it_is_copied_is_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    file = root / "file"
    file.parent.mkdir()
    file.write_text("public")
    file.chmod(0o644)
    before = scan(root, (), b"").table
    file.write_text("secret")
    file.chmod(0o600)
    empty = Table(before.root, {b"": (b"", b"")})
    changes = compare(empty, before)
    met = spool.spool(root, empty, before, (), changes, {}, tmp_path / "tar")
    assert met.corrections == {b"file": None}
    assert b"secret" not in (tmp_path / "tar").read_bytes()
