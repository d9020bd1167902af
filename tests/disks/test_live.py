"""Live media: the system in an ISO's squashfs, in layers, or in a file system inside; and hostile ISOs."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltspd.disk import iso
from ltspd.disk.reading import View, of_bytes
from ltspd.errors import BadDisk, UnsupportedDisk
from tests.disks.conftest import Look
from tests.lab.laying import MIB, call, convert
from tests.worlds.disks import ext4, system
from tests.worlds.image_trees import write

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def squashfs(root: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    call("mksquashfs", root, target, "-noappend", "-quiet", "-no-progress", "-Xcompression-level", "1")


def medium(place: Path, *options: str) -> Path:
    path = place / "x.img"
    call("xorriso", "-as", "mkisofs", "-quiet", *options, "-o", path, place / "medium")
    return path


@pytest.mark.parametrize(
    "options", [("-R", "-J"), ("-R",), ("-iso-level", "3"), ("-R", "-partition_offset", "16")]
)
@pytest.mark.parametrize(
    "name", ["live/filesystem.squashfs", "casper/filesystem.squashfs", "arch/x86_64/airootfs.sfs"]
)
async def test_the_system_in_a_squashfs(
    tmp_path: Path, look: Look, name: str, options: tuple[str, ...]
) -> None:
    squashfs(system(tmp_path / "root", etc__hostname="live"), tmp_path / "medium" / name)
    write(tmp_path / "medium", "README.txt", "x" * 10000)
    found, files = await look(medium(tmp_path, *options))
    assert files["etc/hostname"] == "live"
    assert found.table == "iso"
    assert found.volume == f"{name} (squashfs)"


async def test_an_iso_in_a_disk_image(tmp_path: Path, look: Look) -> None:
    squashfs(system(tmp_path / "root", etc__hostname="live"), tmp_path / "medium/live/filesystem.squashfs")
    _, files = await look(convert(medium(tmp_path, "-R"), tmp_path / "x.qcow2", "qcow2"))
    assert files["etc/hostname"] == "live"


async def test_a_system_in_layers_and_its_kernel_beside_it(tmp_path: Path, look: Look) -> None:
    casper = tmp_path / "medium/casper"
    root = system(tmp_path / "root", etc__hostname="base", etc__base="base")
    write(root, "usr/lib/modules/6.8.0-1-generic/modules.dep")
    squashfs(root, casper / "minimal.squashfs")
    for name in ("minimal.standard", "minimal.standard.live", "minimal.de"):
        squashfs(write(tmp_path / name, "etc/hostname", name).parents[1], casper / f"{name}.squashfs")
    kernel = os.urandom(MIB).hex().encode() + b"."
    write(tmp_path / "medium", "casper/vmlinuz", kernel)
    found, files = await look(medium(tmp_path, "-R", "-J"))
    assert files["etc/hostname"] == "minimal.standard.live"
    assert files["etc/base"] == "base"
    assert files["boot/vmlinuz-6.8.0-1-generic"].encode("latin-1") == kernel
    assert found.volume.startswith("casper/minimal.standard.live.squashfs")


async def test_a_file_system_in_the_squashfs(tmp_path: Path, look: Look) -> None:
    inner = ext4(tmp_path, system(tmp_path / "root", etc__hostname="inner"))
    write(tmp_path / "outer", "LiveOS/rootfs.img", inner)
    squashfs(tmp_path / "outer", tmp_path / "medium/LiveOS/squashfs.img")
    _, files = await look(medium(tmp_path, "-R"))
    assert files["etc/hostname"] == "inner"


async def test_an_installation_medium_is_named(tmp_path: Path, look: Look) -> None:
    write(tmp_path / "medium", "install.amd/vmlinuz", "kernel")
    with pytest.raises(UnsupportedDisk, match="an ISO without a live system"):
        await look(medium(tmp_path, "-R"))


async def test_a_damaged_squashfs(tmp_path: Path, look: Look) -> None:
    squashfs(system(tmp_path / "root"), tmp_path / "medium/live/filesystem.squashfs")
    image = medium(tmp_path, "-R")
    content = image.read_bytes()
    at = content.index(b"hsqs")
    image.write_bytes(content[: at + 40] + b"\xff" * 16 + content[at + 56 :])
    with pytest.raises((BadDisk, UnsupportedDisk), match=r"larger than its place|no system|can't be mounted"):
        await look(image)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = tmp_path_factory.mktemp("iso")
    for name in ("a/b/c/d/e/f/g", "live/filesystem.squashfs", "a/rather long name.with dots"):
        write(place / "medium", name, name)
    return medium(place, "-R").read_bytes()


def test_names_and_places(small: bytes) -> None:
    found = {each.path: each for each in iso.files(of_bytes(small))}
    assert set(found) == {"live/filesystem.squashfs", "a/rather long name.with dots"}
    for path, file in found.items():
        ((at, size),) = file.extents
        assert small[at : at + size].decode() == path


@settings(max_examples=300, deadline=2000)
@given(
    st.lists(st.tuples(st.integers(32768, 32768 + 24 * 2048), st.binary(min_size=1, max_size=8)), max_size=12)
)
def test_any_bytes_in_an_iso(small: bytes, changes: list[tuple[int, bytes]]) -> None:
    content = small
    for at, piece in changes:
        content = content[:at] + piece + content[at + len(piece) :]
    with suppress(BadDisk):
        for each in iso.files(of_bytes(content)):
            assert all(0 <= at <= at + size <= len(content) for at, size in each.extents)
            assert ".." not in each.path.split("/") or each.path


def test_an_iso_that_never_ends_ends() -> None:
    record = bytearray(34)
    record[0], record[2], record[10:14], record[25], record[32] = 34, 20, b"\xff\xff\x0f\0", 2, 1
    record[33] = 65

    def read(offset: int, length: int) -> bytes:
        if offset == iso.DESCRIPTOR:
            return (b"\1CD001" + bytes(122) + b"\0\x08" + bytes(26) + bytes(record)).ljust(length, b"\0")
        record[2:6] = (offset // 2048 + 7).to_bytes(4, "little")
        return (bytes(record) * (length // 34 + 1))[:length]

    with pytest.raises(BadDisk, match="files"):
        iso.files(View(read, 1 << 50))
