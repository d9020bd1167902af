"""Packing with the real mksquashfs: nothing odd in a source gets lost, nothing replaced comes through."""

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.errors import NoSpace, ToolFailed
from ltspd.image.look.replaced import Replacement, like
from ltspd.image.pack import squashfs
from tests.worlds.image_trees import names, unpack, write

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ODD = ("line\nbreak", "quote\"'\\", " lead", "#", os.fsdecode(b"bad\xff"), "n" * 255, "-dash", "a;b$(c)`d`")


async def _pack(root: Path, tmp_path: Path, *replaced: Replacement, name: str = "out") -> Path:
    scratch = tmp_path / f"scratch-{name}"
    scratch.mkdir()
    await squashfs.pack(root, tmp_path / name, scratch, (), replaced, level=1)
    return tmp_path / name


async def test_odd_names_links_and_holes_survive(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for odd in ODD:
        write(root, f"odd/{odd}", odd.encode("utf-8", "surrogateescape"))
    os.link(root / "odd" / ODD[0], root / "linked")
    with open(root / "sparse", "wb") as file:
        file.truncate(64 << 20)
    (root / "dangling").symlink_to("/nowhere/at all")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    layer = await _pack(root, tmp_path)
    assert layer.stat().st_size < 100_000
    out = unpack(layer, tmp_path / "unpacked")
    assert names(out) == names(root)
    for odd in ODD:
        assert (out / "odd" / odd).read_bytes() == odd.encode("utf-8", "surrogateescape")
    assert (out / "linked").stat().st_ino == (out / "odd" / ODD[0]).stat().st_ino
    assert (out / "sparse").stat().st_size == 64 << 20
    assert (out / "sparse").stat().st_blocks == 0
    assert os.readlink(out / "dangling") == "/nowhere/at all"
    assert stat.S_ISFIFO((out / "fifo").lstat().st_mode)


@root_only
async def test_what_clients_read_first_lies_at_the_beginning(tmp_path: Path) -> None:
    root = tmp_path / "root"
    # What zstd can't make smaller is found again in the layer as it is.
    wanted = ("z/last", "odd name", " #", "tab\tand\\")
    contents = {each: os.urandom(3000) for each in wanted}
    for number in range(200):
        write(root, f"a/{number}", os.urandom(3000))
    for each, content in contents.items():
        write(root, each, content)
    layer = await _pack(root, tmp_path)
    places = {}
    for name, first in (("without", ()), ("with", (*wanted, "not there"))):
        (tmp_path / name).mkdir()
        paths, target = [os.fsencode(each) for each in first], tmp_path / f"{name}.squashfs"
        await squashfs.pack_layers([layer], target, tmp_path / name, level=1, first=paths)
        places[name] = [target.read_bytes().index(content) for content in contents.values()]
    assert max(places["with"]) < 5 * 3000
    assert max(places["without"]) > 100 * 3000
    assert names(unpack(tmp_path / "with.squashfs", tmp_path / "unpacked")) == names(root)


@root_only
async def test_devices_owners_and_capabilities_survive(tmp_path: Path) -> None:
    root = tmp_path / "root"
    program = write(root, "ping", b"x", 0o4755)
    os.chown(program, 1234, 77)
    program.chmod(0o4755)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(program, "security.capability", capability)
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    out = unpack(await _pack(root, tmp_path), tmp_path / "unpacked")
    status = (out / "ping").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 77, 0o4755)
    assert os.getxattr(out / "ping", "security.capability") == capability
    assert (out / "null").stat().st_rdev == os.makedev(1, 3)
    assert (out / "whiteout").stat().st_rdev == 0


async def test_replaced_files_have_new_content_and_the_given_attributes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    secret = write(root, "etc/shadow", b"secret" * 100, 0o640)
    write(root, "etc/other", b"other")
    before = secret.stat()
    layer = await _pack(
        root,
        tmp_path,
        like(root, "etc/shadow", b"clean\n"),
        Replacement("etc/machine-id", b"", 0o444),
    )
    out = unpack(layer, tmp_path / "unpacked")
    assert (out / "etc/shadow").read_bytes() == b"clean\n"
    assert (out / "etc/shadow").stat().st_mode == before.st_mode
    assert int((out / "etc/shadow").stat().st_mtime) == int(before.st_mtime)
    assert (out / "etc/machine-id").read_bytes() == b""
    assert (out / "etc/other").read_bytes() == b"other"
    assert secret.read_bytes() == b"secret" * 100


async def test_an_unchanged_source_gives_the_same_bytes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(200):
        write(root, f"{number % 7}/{number}", os.urandom(3000) + b"0" * number * 100)
    new = Replacement("0/new", b"x")
    first = await _pack(root, tmp_path, new, name="first")
    second = await _pack(root, tmp_path, new, name="second")
    assert first.read_bytes() == second.read_bytes()
    # The superblock's own time, which would differ a second later.
    assert first.read_bytes()[8:12] == bytes(4)


async def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    # Seconds of work even for a quick machine: mksquashfs tells four times a second where it is.
    write(root, "big", os.urandom(12 << 20).hex())
    said: list[float] = []
    (tmp_path / "scratch").mkdir()
    await squashfs.pack(root, tmp_path / "out", tmp_path / "scratch", (), level=15, progress=said.append)
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert [each for each in said if 0 < each < 1]


async def test_a_source_that_is_not_there_is_the_tools_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="mksquashfs"):
        await _pack(tmp_path / "missing", tmp_path)


def test_names_that_a_list_could_not_carry_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be replaced"):
        squashfs._pseudo(Replacement("etc/a b", b""), tmp_path, 0)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@root_only
async def test_a_full_disk_is_told_as_such(tmp_path: Path, small: Path) -> None:
    root = tmp_path / "root"
    write(root, "big", os.urandom(8 << 20))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(NoSpace, match="ran full"):
        await squashfs.pack(root, small / "out", tmp_path / "scratch", (), level=1)
