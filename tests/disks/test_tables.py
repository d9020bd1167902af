"""Partition tables and marks of file systems: what tools wrote is read, and no bytes do harm."""

import os
import struct
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltspd.disk import formats, fstab, volumes
from ltspd.disk.filesystems import recognize
from ltspd.disk.reading import MAX_READ, View, of_bytes
from ltspd.disk.tables import Partition, Table, read_table
from ltspd.errors import BadDisk, LtspError
from tests.lab.laying import ESP, LINUX, MIB, Part, call, disk, fat, swap
from tests.worlds.disks import ext4, system

SECTOR = 512


def entry(start: int, size: int, kind: int = 0x83, status: int = 0) -> bytes:
    return struct.pack("<B3sB3sII", status, b"", kind, b"", start, size)


def mbr(*entries: bytes, size: int = MIB) -> bytes:
    head = bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"
    return head.ljust(size, b"\0")


def put(content: bytes, at: int, piece: bytes) -> bytes:
    return content[:at] + piece + content[at + len(piece) :]


def gpt(tmp_path: Path) -> bytes:
    parts = [Part(fat(), ESP), Part(bytes(MIB), LINUX, "a root"), Part(swap())]
    return disk(tmp_path / "gpt", "gpt", parts).read_bytes()


def places(table: Table) -> list[tuple[int, int, int]]:
    return [(each.number, each.start, each.size) for each in table.partitions]


def test_gpt_as_sfdisk_writes_it(tmp_path: Path) -> None:
    table = read_table(of_bytes(gpt(tmp_path)))
    assert (table.kind, table.damaged) == ("gpt", False)
    assert places(table) == [(1, MIB, MIB), (2, 2 * MIB, MIB), (3, 3 * MIB, MIB)]
    assert table.partitions[0].type == ESP.lower()
    assert table.partitions[1].name == "a root"


def test_gpt_of_a_disk_with_large_sectors() -> None:
    # As UEFI 2.10, 5.3, has it: tools write such a table only to disks that have such sectors.
    rows = b"".join(
        bytes.fromhex("11" * 16 + "22" * 16) + struct.pack("<QQQ72x", first, last, 0)
        for first, last in ((256, 511), (768, 1279))
    ).ljust(128 * 128, b"\0")
    fields = (1, 0, 6, 2000, b"\x33" * 16, 2, 128, 128, crc32(rows))
    header = b"EFI PART" + struct.pack("<IIII", 0x10000, 92, 0, 0) + struct.pack("<QQQQ16sQIII", *fields)
    header = put(header, 16, struct.pack("<I", crc32(header)))
    content = put(put(mbr(entry(1, 0xFFFFFFFF, 0xEE), size=8 * MIB), 4096, header), 8192, rows)
    assert places(read_table(of_bytes(content))) == [(1, MIB, MIB), (2, 3 * MIB, 2 * MIB)]


@pytest.mark.parametrize("at", [SECTOR + 16, SECTOR + 72, SECTOR + 80, 2 * SECTOR, 2 * SECTOR + 40])
def test_a_damaged_gpt_is_read_from_its_spare_copy(tmp_path: Path, at: int) -> None:
    content = gpt(tmp_path)
    damaged = put(content, at, bytes([content[at] ^ 0xFF]))
    table = read_table(of_bytes(damaged))
    assert table.damaged
    assert places(table) == places(read_table(of_bytes(content)))
    spare = put(damaged, len(content) - SECTOR + 16, b"\xff\xff\xff\xff")
    with pytest.raises(BadDisk, match="GPT partition table can't be read"):
        read_table(of_bytes(spare))


def test_a_gpt_of_a_truncated_copy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDisk, match=r"partition 3 ends at byte .* cut short"):
        read_table(of_bytes(gpt(tmp_path)[: 3 * MIB + MIB // 2]))


@pytest.mark.parametrize(
    ("first", "last"), [(0, 100), (34, 1 << 62), (100, 50), ((1 << 64) - 1, 1), (2048, 4096), (1, 1)]
)
def test_gpt_entries_with_right_checksums_and_wrong_places(tmp_path: Path, first: int, last: int) -> None:
    content = gpt(tmp_path)
    content = put(content, 1024 + 128 + 32, struct.pack("<QQ", first, last))
    content = put(content, SECTOR + 88, struct.pack("<I", crc32(content[1024 : 1024 + 128 * 128])))
    header = content[SECTOR : SECTOR + 16] + bytes(4) + content[SECTOR + 20 : SECTOR + 92]
    content = put(content, SECTOR + 16, struct.pack("<I", crc32(header)))
    with pytest.raises(BadDisk, match=r"overlaps|has no size|ends at byte"):
        read_table(of_bytes(content))


def test_mbr_with_logical_partitions_as_sfdisk_writes_it(tmp_path: Path) -> None:
    parts = [Part(bytes(MIB))] * 6
    table = read_table(of_bytes(disk(tmp_path / "disk", "dos", parts).read_bytes()))
    assert [each.number for each in table.partitions] == [1, 2, 3, 5, 6, 7]
    assert [each.start // MIB for each in table.partitions] == [1, 2, 3, 5, 7, 9]
    assert {each.type for each in table.partitions} == {"0x83"}


@pytest.mark.parametrize("content", [b"", bytes(MIB), mbr(), fat(), b"\xeb" * 600])
def test_no_table(content: bytes) -> None:
    assert read_table(of_bytes(content)) == Table("none")


@pytest.mark.parametrize(
    "content",
    [
        mbr(entry(1, 100), entry(50, 100)),
        mbr(entry(0, 100)),
        mbr(entry(1, 0xFFFFFFFF)),
        mbr(entry(0xFFFFFFFF, 0xFFFFFFFF)),
        mbr(entry(1, 10, status=0x31)),
        mbr(entry(0xFFFFFFF0, 0xFFFFFFF0, 0x0F)),
        # A chain whose second link leads to the first, and one that leads to itself.
        put(mbr(entry(10, 100, 5)), 5120 + 446, entry(1, 2) + entry(0, 9, 5) + bytes(32) + b"\x55\xaa"),
        put(mbr(entry(10, 100, 5)), 5120 + 446, entry(1, 200) + bytes(48) + b"\x55\xaa"),
        put(mbr(entry(10, 100, 5)), 5120 + 446, entry(1, 2) + entry(99999, 9, 5) + bytes(32) + b"\x55\xaa"),
        mbr(entry(1, 0xFFFFFFFF, 0xEE)),
    ],
)
def test_tables_that_cant_be_right_are_refused(content: bytes) -> None:
    with pytest.raises(BadDisk):
        read_table(of_bytes(content))


@pytest.mark.parametrize(
    "content",
    [
        # An extended partition in which nothing was ever made, and whatever lay there before.
        mbr(entry(1, 9), entry(10, 100, 0x05)),
        put(mbr(entry(1, 9), entry(10, 100, 0x0F)), 5120, b"\x31" * 512),
        put(mbr(entry(1, 9), entry(10, 100, 5)), 5120 + 510, b"\x55\xaa"),
        # Entries that are none: without a type, or without a size.
        mbr(entry(1, 9), entry(0xFFFFFFFF, 0xFFFFFFFF, 0, status=0x31)),
        mbr(entry(1, 9), entry(3, 0)),
        mbr(entry(1, 9), entry(0, 0, 0x05)),
        mbr(entry(1, 9), entry(0, 0, 0x0C, status=0x17)),
        put(mbr(entry(1, 9), entry(10, 100, 5)), 5120 + 446, entry(1, 0) + bytes(48) + b"\x55\xaa"),
        # One that says it goes on, but there is nothing.
        put(
            mbr(entry(1, 9), entry(10, 100, 5)),
            5120 + 446,
            entry(0, 0, 0) + entry(0, 0, 5) + bytes(32) + b"\x55\xaa",
        ),
    ],
)
def test_what_is_not_used_voids_no_table(content: bytes) -> None:
    table = read_table(of_bytes(content))
    assert [(each.number, each.start, each.size) for each in table.partitions] == [(1, 512, 9 * 512)]


def test_a_gpt_entry_without_a_size_is_not_used(tmp_path: Path) -> None:
    content = bytearray(gpt(tmp_path))
    before = read_table(of_bytes(bytes(content))).partitions
    entries = 1024 + 128
    content[entries + 40 : entries + 48] = struct.pack(
        "<Q", struct.unpack_from("<Q", content, entries + 32)[0] - 1
    )
    content[512 + 88 : 512 + 92] = struct.pack("<I", crc32(content[1024 : 1024 + 128 * 128]))
    content[512 + 16 : 512 + 20] = bytes(4)
    content[512 + 16 : 512 + 20] = struct.pack("<I", crc32(content[512 : 512 + 92]))
    assert read_table(of_bytes(bytes(content))).partitions == tuple(
        each for each in before if each.number != 2
    )


def test_a_chain_of_very_many_logical_partitions_ends() -> None:
    def link(index: int) -> bytes:
        return bytes(446) + entry(1, 1) + entry(2 * (index + 1), 2, 5) + bytes(32) + b"\x55\xaa"

    def read(offset: int, length: int) -> bytes:
        head = mbr(entry(2, 0xFFFFFF00, 5), size=512) if offset < 1024 else link((offset - 1024) // 1024)
        return head[:length].ljust(length, b"\0")

    with pytest.raises(BadDisk, match="in a circle"):
        read_table(View(read, 1 << 41))


# ---- any bytes ------------------------------------------------------------------------------------


def look_at(disk_: View) -> None:
    with suppress(BadDisk):
        for each in volumes.look(disk_).volumes:
            volumes.whole(each, disk_)
            str(each)
            assert all(0 <= at <= at + size <= disk_.size for at, size in each.extents)


@settings(max_examples=300, deadline=1000)
@given(st.binary(max_size=4096), st.integers(0, 1 << 63))
def test_any_bytes_end_in_an_answer_or_the_named_error(content: bytes, size: int) -> None:
    look_at(of_bytes(content))
    look_at(View(lambda at, length: content[at : at + length], size))


@settings(max_examples=300, deadline=1000)
@given(
    st.lists(
        st.builds(
            entry,
            st.one_of(st.integers(0, 3000), st.integers(0, 0xFFFFFFFF)),
            st.one_of(st.integers(0, 3000), st.integers(0, 0xFFFFFFFF)),
            st.sampled_from([0, 5, 0x0F, 0x83, 0x82, 0xEE, 0xEF]),
            st.sampled_from([0, 0x80]),
        ),
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=66)), max_size=4),
)
def test_any_mbr_gives_partitions_that_are_apart_and_inside(
    entries: list[bytes], changes: list[tuple[int, bytes]]
) -> None:
    content = mbr(*entries)
    for at, piece in changes:
        content = put(content, at * SECTOR + 446, (piece[:64] + b"\x55\xaa") if at else piece[:64])
    with suppress(BadDisk):
        found = sorted(read_table(of_bytes(content)).partitions, key=lambda each: each.start)
        ends = [SECTOR, *(each.start + each.size for each in found)]
        assert all(each.start >= end for each, end in zip(found, ends, strict=False))
        assert ends[-1] <= max(len(content), SECTOR)


@settings(max_examples=200, deadline=1000)
@given(data=st.data())
def test_a_gpt_with_any_bytes_changed(data: st.DataObject, valid_gpt: bytes) -> None:
    content = valid_gpt
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 1024 + 512))
        content = put(content, at, data.draw(st.binary(min_size=1, max_size=16)))
    look_at(of_bytes(content))


@pytest.fixture(scope="module")
def valid_gpt(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gpt(tmp_path_factory.mktemp("gpt"))


def test_a_hostile_disk_costs_little_time_and_memory() -> None:
    asked = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return (b"EFI PART" + b"\xff" * 504) * (length // 512 + 1)

    tracemalloc.start()
    begin = time.process_time()
    look_at(View(read, 1 << 63))
    look_at(View(lambda _at, length: b"\xff" * length, 1 << 63))
    assert time.process_time() - begin < 1
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert max(asked) <= MAX_READ


# ---- what is in a part ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_ext_as_mke2fs_makes_it(tmp_path: Path, kind: str) -> None:
    uuid = "12345678-0000-4000-8000-000000000001"
    content = ext4(tmp_path, system(tmp_path / "root"), 4 * MIB, "-U", uuid, "-L", "my root", kind=kind)
    found = recognize(of_bytes(content))
    assert found is not None
    assert (found.kind, found.uuid, found.label, found.unclean) == (kind, uuid, "my root", False)
    dirty = put(content, 1024 + 96, bytes([content[1024 + 96] | 4]))
    assert (found := recognize(of_bytes(dirty))) is not None
    assert found.unclean


@pytest.mark.parametrize(
    ("program", "size", "kind", "uuid_option", "label_option"),
    [
        (("mkfs.xfs", "-q"), 300, "xfs", ("-m", "uuid={}"), ("-L",)),
        (("mkfs.btrfs", "-q"), 128, "btrfs", ("-U", "{}"), ("-L",)),
        (("mkswap", "-q"), 1, "swap", ("-U", "{}"), ()),
    ],
)
def test_others_as_their_programs_make_them(
    tmp_path: Path,
    program: tuple[str, ...],
    size: int,
    kind: str,
    uuid_option: tuple[str, str],
    label_option: tuple[str, ...],
) -> None:
    uuid = "12345678-0000-4000-8000-000000000001"
    path = tmp_path / "part"
    with open(path, "wb") as file:
        file.truncate(size * MIB)
    call(
        *program,
        uuid_option[0],
        uuid_option[1].format(uuid),
        *(each for o in label_option for each in (o, "lab")),
        path,
    )
    with open(path, "rb") as file:
        part = View(lambda at, length: os.pread(file.fileno(), length, at), size * MIB)
        found = recognize(part)
    assert found is not None
    assert (found.kind, found.uuid) == (kind, uuid)
    assert found.label == ("lab" if label_option else "")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"LUKS\xba\xbe\0\2", "luks"),
        (b"\xeb\x58\x90-FVE-FS-", "bitlocker"),
        (bytes(512) + b"LABELONE" + bytes(16) + b"LVM2 001", "lvm"),
        (bytes(4096) + b"\xfc\x4e\x2b\xa9", "raid"),
        (bytes(32768) + b"\1CD001", "iso9660"),
        (bytes((128 << 10) + 4096) + b"\x0c\xb1\xba\0\0\0\0\0", "zfs"),
        (b"\xeb\x52\x90NTFS    ", "ntfs"),
        (fat(4096), "vfat"),
    ],
)
def test_marks(content: bytes, kind: str) -> None:
    found = recognize(of_bytes(content.ljust(300 << 10, b"\0")))
    assert found is not None
    assert found.kind == kind


# ---- formats and fstab ----------------------------------------------------------------------------


@settings(max_examples=300, deadline=1000)
@given(st.binary(max_size=600))
def test_any_head_of_a_file_is_a_kind_or_a_named_error(head: bytes) -> None:
    with suppress(LtspError):
        assert formats.detect(head, "x.img") in ("raw", "qcow2", "vmdk", "vdi")


@settings(max_examples=200, deadline=1000)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
def test_any_description_is_understood_or_a_named_error(content: bytes) -> None:
    with suppress(LtspError):
        assert all("/" not in each for each in formats.vmdk_parts(content, "x.vmdk"))
    with suppress(LtspError):
        assert formats.read_info(content, "x").size > 0


@pytest.mark.parametrize(
    "name", ["../x", "/etc/shadow", "a/b", "json:{}", "nbd:host:1", "", ".", "..", "-f", "a\nb"]
)
def test_only_files_beside_an_image_are_opened_for_it(name: str) -> None:
    with pytest.raises(LtspError):
        formats.plain_name(name, "x.img")
    with pytest.raises(LtspError):
        formats.plain_name(name, "x.img", ["/vm", "/data/vm"])


@pytest.mark.parametrize(
    "name", ["base.img", "/vm/base.img", "/data/vm/base.img", "/data/vm/../vm//base.img"]
)
def test_a_file_beside_an_image_may_be_named_by_its_path(name: str) -> None:
    assert formats.plain_name(name, "x.img", ["/vm", "/data/vm"]) == "base.img"


@pytest.mark.parametrize(
    "name", ["/vm/../base.img", "/vm/below/base.img", "/vm2/base.img", "/vm/.base", "/vm"]
)
def test_a_path_elsewhere_is_none_beside_it(name: str) -> None:
    with pytest.raises(LtspError, match="not a file in the same directory"):
        formats.plain_name(name, "x.img", ["/vm", "/data/vm"])


@settings(max_examples=300, deadline=1000)
@given(
    st.one_of(st.binary(max_size=2000), st.text(alphabet="/.a \t\n\\040=UID#", max_size=500).map(str.encode))
)
def test_any_fstab_gives_normal_mounts(content: bytes) -> None:
    for each in fstab.of_the_system(fstab.read_fstab(content)):
        assert each.point.startswith("/")
        assert not each.point.startswith("//")
        assert ".." not in each.point.split("/")
        volumes.find((), each, "")


def test_fstab_names() -> None:
    assert fstab.device_partition("/dev/nvme0n1p12") == ("nvme0n1", 12)
    assert fstab.device_partition("/dev/sdaa3") == ("sdaa", 3)
    assert fstab.device_partition("/dev/sda") is None
    assert fstab.device_partition("/dev/disk/by-id/ata-A_DISK-0_1-part3") == ("by-id/ata-A_DISK-0_1", 3)
    assert fstab.device_partition("ID=ata-A_DISK-part3") == ("by-id/ata-A_DISK", 3)
    assert fstab.device_partition("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1") is not None
    assert fstab.device_partition("/dev/disk/by-id/dm-name-vg-part1") is None
    assert fstab.logical_volume("/dev/disk/by-id/dm-name-my--group-part1") == ("my-group", "part1")
    assert fstab.tag("/dev/disk/by-id/dm-uuid-LVM-" + "aZ09" * 16) == ("LVM", "aZ09" * 16)
    assert fstab.tag('UUID="AB-1"') == ("UUID", "AB-1")
    assert fstab.tag("/dev/disk/by-label/my\\x20root") == ("LABEL", "my root")
    assert fstab.logical_volume("/dev/mapper/my--group-the--root") == ("my-group", "the-root")
    assert fstab.logical_volume("/dev/vg/root") == ("vg", "root")
    assert fstab.read_fstab(b"UUID=1 //usr/../var/ ext4 nofail\n")[0].point == "/var"


def test_a_part_never_reaches_out_of_its_disk() -> None:
    found = Partition(1, 0, 0, "")
    assert found.size == 0
    part = of_bytes(b"0123456789").part(4, 100)
    assert part.size == 6
    assert part.at(4, 4) == b"89\0\0"
    assert part.at(1 << 70, 4) == bytes(4)
    assert part.at(-1, 4) == bytes(4)
