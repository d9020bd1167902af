"""Systems on LVM: read from its own metadata, without device-mapper; and metadata made to do harm."""

import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltspd.disk import lvm as metadata
from ltspd.disk.reading import View, joined, of_bytes
from ltspd.errors import BadDisk, UnsupportedDisk
from tests.disks.conftest import Look
from tests.lab.laying import ESP, MIB, Part, convert, disk, fat
from tests.worlds.disks import ext4, lvm, system
from tests.worlds.examples import drawn

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def server_disk(place: Path) -> Path:
    fstab = "/dev/mapper/a--group-root / ext4 defaults 0 1\n/dev/a-group/var /var ext4 defaults 0 2\n"
    (place / "var").mkdir()
    (place / "var/in-var").write_text("x" * MIB + "the end")
    volumes = [
        ("root", ext4(place, system(place / "root", fstab, etc__hostname="on lvm"))),
        ("var", ext4(place, place / "var")),
    ]
    lvm_part = Part(lvm(place, "a-group", volumes))
    return disk(place / "disk", "gpt", [Part(fat(), ESP), lvm_part])


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
async def test_a_system_on_lvm(tmp_path: Path, look: Look, kind: str) -> None:
    image = convert(server_disk(tmp_path), tmp_path / "x.img", kind)
    found, files = await look(image)
    assert files["etc/hostname"] == "on lvm"
    assert files["var/in-var"] == "x" * MIB + "the end"
    assert found.volume == "LVM volume a-group/root (ext4)"


@pytest.mark.parametrize("name", ["dm-uuid-LVM-{identity}", "dm-name-vg-var"])
async def test_volumes_by_udevs_names(tmp_path: Path, look: Look, name: str) -> None:
    """Ubuntu's installer for servers writes the identities of volumes into fstab."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var/in-var").write_text("var")
    line = f"/dev/disk/by-id/dm-uuid-LVM-{'x' * 64} /var ext4 defaults 0 2\n"
    root = system(tmp_path / "root", line)
    volumes = [("root", ext4(tmp_path, root)), ("var", ext4(tmp_path, tmp_path / "var"))]
    content = lvm(tmp_path, "vg", volumes)
    (tmp_path / "x.img").write_bytes(content)
    with pytest.raises(UnsupportedDisk, match="its /var is on /dev/disk/by-id/dm-uuid-LVM-xxxx"):
        await look(tmp_path / "x.img")
    found = metadata.read_volumes(of_bytes(content), {0: len(content)})
    (identity,) = (each.identity for each in found if each.name == "var")
    assert len(identity) == 64
    new = f"/dev/disk/by-id/{name.format(identity=identity)} /var ext4 defaults 0 2\n"
    (tmp_path / "x.img").write_bytes(
        content.replace(line.encode(), new[:-1].encode().ljust(len(line) - 1) + b"\n")
    )
    _, files = await look(tmp_path / "x.img")
    assert files["var/in-var"] == "var"


async def test_the_root_itself_in_several_pieces(tmp_path: Path, look: Look) -> None:
    empty = bytes(MIB)
    root = ext4(tmp_path, system(tmp_path / "root", etc__hostname="in pieces"))
    (tmp_path / "x.img").write_bytes(lvm(tmp_path, "vg", [("swap", empty), ("root", root)]))
    (tmp_path / "x.img").chmod(0o600)
    found, files = await look(tmp_path / "x.img")
    assert files["etc/hostname"] == "in pieces"
    assert found.table == "none"


async def test_a_volume_of_another_type_is_named(tmp_path: Path, look: Look) -> None:
    content = lvm(tmp_path, "vg", [("root", ext4(tmp_path, system(tmp_path / "root")))])
    (tmp_path / "x.img").write_bytes(changed(content, b'type = "striped"', b'type = "raid1"  '))
    with pytest.raises(UnsupportedDisk, match="LVM volume vg/root is of the LVM type raid1, and only plain"):
        await look(tmp_path / "x.img")


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return a physical volume with other metadata of the same length, with right checksums."""
    header = content[4096 : 4096 + 512]
    start, length = struct.unpack_from("<QQ", header, 40)
    text = content[4096 + start : 4096 + start + length].replace(old, new)
    assert len(text) == length
    return with_text(content, start, text)


def with_text(content: bytes, start: int, text: bytes) -> bytes:
    header = bytearray(content[4096 : 4096 + 512])
    struct.pack_into("<QQI", header, 40, start, len(text), metadata.checksum(text))
    struct.pack_into("<I", header, 0, metadata.checksum(bytes(header[4:])))
    found = bytearray(content)
    found[4096 : 4096 + 512] = header
    found[4096 + start : 4096 + start + len(text)] = text
    return bytes(found)


@pytest.fixture(scope="module")
def physical(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return lvm(tmp_path_factory.mktemp("lvm"), "vg", [("one", bytes(MIB)), ("two", bytes(2 * MIB))])[
        : 8 * MIB
    ]


def test_what_lvm_wrote(physical: bytes) -> None:
    found = metadata.read_volumes(of_bytes(physical), {0: len(physical)})
    assert [(each.name, each.extents) for each in found] == [
        ("one", ((MIB, MIB),)),
        ("two", ((2 * MIB, MIB), (4 * MIB, MIB))),
        ("between-1", ((3 * MIB, MIB),)),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"extent_count = 1", b"extent_count = 9999999999"),
        (b"extent_count = 1", b"extent_count = 0"),
        (b"start_extent = 1", b"start_extent = 0"),
        (b"extent_size = 2048", b"extent_size = 0"),
        (b"pe_start = 2048", b"pe_start = 99999999999999"),
        (b"stripe_count = 1", b"stripe_count = 3"),
        (b'"pv0", 3', b'"pv1", 3'),
        (b'"pv0", 3', b'"pv0", "x"'),
        (b"stripes = [", b'stripes = [["a"'),
        (b"logical_volumes {", b"logical_volumes { x {} y = 3 z { status = 5 }"),
    ],
)
def test_metadata_that_lies_gives_no_bytes_outside(physical: bytes, old: bytes, new: bytes) -> None:
    start, length = struct.unpack_from("<QQ", physical, 4096 + 40)
    text = physical[4096 + start : 4096 + start + length]
    assert old in text
    lying = with_text(physical, start, text.replace(old, new))
    with suppress(BadDisk):
        for each in metadata.read_volumes(of_bytes(lying), {0: len(physical)}):
            assert all(0 <= at <= at + size <= len(physical) for at, size in each.extents)
            assert bool(each.extents) != bool(each.refusal)


@settings(max_examples=300, deadline=2000)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 30), st.binary(max_size=30)), max_size=5),
    tail=st.sampled_from([b"", b"{" * 2000, b"a {" * 2000, b"[" * 2000, b'"' * 99, b"a = 9" + b"9" * 3000]),
)
def test_any_metadata_ends_in_an_answer_or_the_named_error(
    physical: bytes, cuts: list[tuple[int, int, bytes]], tail: bytes
) -> None:
    start, length = struct.unpack_from("<QQ", physical, 4096 + 40)
    text = physical[4096 + start : 4096 + start + length]
    for at, size, piece in cuts:
        text = text[:at] + piece + text[at + size :]
    hostile = with_text(physical, start, text + tail)
    with suppress(BadDisk):
        for each in metadata.read_volumes(of_bytes(hostile), {0: len(physical)}):
            assert all(0 <= at <= at + size <= len(physical) for at, size in each.extents)


@drawn(300)
@given(st.binary(max_size=600), st.integers(0, 600), st.integers(0, 1 << 62))
def test_any_bytes_behind_a_label(content: bytes, at: int, size: int) -> None:
    part = bytes(512) + b"LABELONE" + bytes(12) + b"\x20\0\0\0LVM2 001" + content
    with suppress(BadDisk):
        metadata.read_volumes(View(lambda place, length: part[place : place + length], size), {at: size})


@drawn(300)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 10)), min_size=1, max_size=5), st.data())
def test_pieces_read_like_one(extents: list[tuple[int, int]], data: st.DataObject) -> None:
    content = bytes(range(100))
    view = joined(of_bytes(content), tuple(extents))
    expected = b"".join(content[at : at + size] for at, size in extents)
    assert view.size == len(expected)
    at = data.draw(st.integers(0, len(expected)))
    length = data.draw(st.integers(1, 60))
    assert view.at(at, length) == expected[at : at + length].ljust(length, b"\0")
