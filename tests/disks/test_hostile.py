"""Disks that are damaged, not disks, or made to do harm: a named error, and nothing outside is touched."""

import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ltspd.disk.opening import open_disk
from ltspd.errors import BadDisk, LtspError, NoSuchSource, UnsupportedDisk
from ltspd.paths import Paths
from tests.disks.conftest import Look
from tests.lab.laying import ESP, MIB, Part, call, convert, disk, fat, swap
from tests.patience import processor_seconds
from tests.worlds.disks import ext4, system

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

SECRET = "a file of the server"


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Fail a test that a disk keeps busy."""
    begin = processor_seconds()
    yield
    assert processor_seconds() - begin < 5


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return disk(tmp_path / "good", "gpt", [Part(ext4(tmp_path, system(tmp_path / "root")))])


async def refused(look: Look, image: Path, kind: type[LtspError] = LtspError) -> str:
    with pytest.raises(kind) as caught:
        await look(image)
    assert type(caught.value) in (BadDisk, UnsupportedDisk, NoSuchSource), repr(caught.value)
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\0" * MIB, "has no system on it"),
        (b"\x1f\x8b\x08" + bytes(MIB), r"is compressed \(gzip\)"),
        (b"vhdxfile" + bytes(MIB), "VHDX"),
        (b"LUKS\xba\xbe" + bytes(MIB), "is encrypted"),
        (swap(), "has no system on it"),
        (fat(), r"the whole disk \(vfat"),
        (b"QFI\xfb\0\0\0\3", "is not a disk that QEMU can read"),
        (b"QFI\xfb\0\0\0\x09", "unknown version"),
        (b"KDMV" + b"\xff" * 4096, "is not a disk that QEMU can read"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + b"\xff" * 4096, "is not a disk that QEMU can read"),
        (b"# Disk DescriptorFile\n", "names 0 parts"),
    ],
)
async def test_what_is_no_disk_with_a_system(tmp_path: Path, look: Look, content: bytes, words: str) -> None:
    image = tmp_path / "x.img"
    image.write_bytes(content)
    with pytest.raises(LtspError, match=words):
        await look(image)


async def test_what_is_no_file(tmp_path: Path, look: Look) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "is not a file" in await refused(look, tmp_path / "fifo")
    assert "is not a file" in await refused(look, Path("/dev/zero"))
    assert "is not a file" in await refused(look, tmp_path)
    assert "No such file" in await refused(look, tmp_path / "none.img")


async def test_an_encrypted_partition_is_named(tmp_path: Path, look: Look) -> None:
    luks = b"LUKS\xba\xbe\0\2" + bytes(MIB - 8)
    image = disk(tmp_path / "disk", "gpt", [Part(fat(), ESP), Part(luks)])
    assert "Partition 2 is encrypted (LUKS)" in await refused(look, image, UnsupportedDisk)


async def test_a_copy_that_was_cut_short(good: Path, look: Look) -> None:
    with open(good, "r+b") as file:
        file.truncate(3 * MIB)
    assert "cut short" in await refused(look, good, BadDisk)


async def test_a_file_system_larger_than_its_partition(tmp_path: Path, look: Look) -> None:
    content = ext4(tmp_path, system(tmp_path / "root"), 8 * MIB)
    image = disk(tmp_path / "disk", "dos", [Part(content[: 4 * MIB])])
    assert "larger than its place" in await refused(look, image)


@pytest.mark.parametrize("at", [1024 + 0, 1024 + 24, 1024 + 40, 1024 + 88, 1024 + 96, 4096, 8192, 65536])
async def test_a_damaged_file_system(tmp_path: Path, look: Look, at: int) -> None:
    content = bytearray(ext4(tmp_path, system(tmp_path / "root"), 4 * MIB, "-b", "1024"))
    content[at : at + 4096] = b"\xff" * 4096
    (tmp_path / "x.img").write_bytes(content)
    # What of it can be read is read, the rest is one of these; never anything else.
    with suppress(BadDisk, UnsupportedDisk, OSError):
        await look(tmp_path / "x.img")


# ---- files beside the image, and elsewhere ----------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Make a disk that an image must not reach."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "secret.img"
    root = system(tmp_path / "other", etc__hostname=SECRET)
    return disk(path, "none", [Part(ext4(tmp_path, root))])


@pytest.mark.parametrize("prefix", ["", "json:", "nbd://localhost/", "file:", "../elsewhere/"])
async def test_a_difference_to_a_file_elsewhere(
    tmp_path: Path, look: Look, secret: Path, prefix: str
) -> None:
    image = tmp_path / "x.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", image, "4M")
    name = f"{prefix}{secret.name if prefix.startswith('.') else secret}"
    if prefix == "json:":
        name = f'json:{{"driver":"raw","file":{{"driver":"file","filename":"{secret}"}}}}'
    _set_backing(image, name)
    assert "not a file in the same directory" in await refused(look, image, UnsupportedDisk)


def _set_backing(image: Path, name: str) -> None:
    """Write a backing file's name into a QCOW2's header (docs/interop/qcow2.txt): offset and length."""
    content = bytearray(image.read_bytes())
    content[4096 : 4096 + len(name)] = name.encode()
    content[8:20] = struct.pack(">QI", 4096, len(name))
    image.write_bytes(content)


async def test_a_difference_to_a_link_or_to_itself(tmp_path: Path, look: Look, secret: Path) -> None:
    image = tmp_path / "x.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", image, "4M")
    (tmp_path / "link").symlink_to(secret)
    _set_backing(image, "link")
    assert "is not a file there but a link" in await refused(look, image)
    _set_backing(image, "x.img")
    assert "difference" in await refused(look, image, BadDisk)
    _set_backing(image, "gone")
    assert "needs the file gone" in await refused(look, image, BadDisk)


async def test_data_in_another_file(tmp_path: Path, look: Look, secret: Path) -> None:
    image = tmp_path / "x.img"
    data = tmp_path / "elsewhere/data"
    call("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", image, "4M")
    shutil.copy(secret, data)
    await refused(look, image)


@pytest.mark.parametrize("name", ["../elsewhere/secret.img", "{secret}", "link"])
async def test_a_vmdk_with_a_part_elsewhere(tmp_path: Path, look: Look, secret: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(secret)
    convert(secret, tmp_path / "x.img", "vmdk", "-o", "subformat=monolithicFlat")
    description = (tmp_path / "x.img").read_text()
    (tmp_path / "x.img").write_text(description.replace("x-flat.img", name.format(secret=secret)))
    assert "not a file" in await refused(look, tmp_path / "x.img", UnsupportedDisk)


async def test_an_absurd_size(tmp_path: Path, look: Look) -> None:
    image = tmp_path / "x.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", image, "4M")
    content = bytearray(image.read_bytes())
    for size in (1 << 60, (1 << 64) - 1, 0):
        content[24:32] = struct.pack(">Q", size)
        image.write_bytes(content)
        await refused(look, image)


# ---- links inside that lead outside -----------------------------------------------------------------


async def test_the_servers_own_directories_are_no_system_of_a_disk(tmp_path: Path, look: Look) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("etc", "usr", "sbin", "bin"):
        (root / name).symlink_to(f"/{name}")
    image = disk(tmp_path / "disk", "none", [Part(ext4(tmp_path, root))])
    assert "has no system on it" in await refused(look, image)


def linked(tmp_path: Path, target: str) -> Path:
    """Make a disk whose fstab mounts on links."""
    root = system(tmp_path / "root", "LABEL=v /var ext4 defaults 0 2\n/usr/bin /opt none bind 0 0\n")
    for name in ("var", "opt"):
        (root / name).rmdir()
        (root / name).symlink_to(target)
    (root / "tmp").mkdir()
    (tmp_path / "v").mkdir()
    parts = [Part(ext4(tmp_path, root)), Part(ext4(tmp_path, tmp_path / "v", MIB, "-L", "v"))]
    return disk(tmp_path / "disk", "gpt", parts)


@pytest.mark.parametrize("target", ["/tmp", "../../../../../tmp"])
async def test_what_is_mounted_on_links_stays_inside(tmp_path: Path, paths: Paths, target: str) -> None:
    async with open_disk(paths, linked(tmp_path, target)) as found:
        table = Path(f"/proc/{found.pid}/mountinfo").read_text()
        points = [line.split()[4] for line in table.splitlines() if "/dev/loop" in line]
        inside = "/" + str(found.path).split("/root/", 1)[1]
        assert sorted(points) == [inside, f"{inside}/tmp", f"{inside}/tmp"]
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("target", ["/proc/1/root/tmp", "/proc/self/cwd", "/", "var", "../../.."])
async def test_links_that_lead_nowhere_are_refused(tmp_path: Path, look: Look, target: str) -> None:
    assert "there is no such directory" in await refused(look, linked(tmp_path, target), BadDisk)


@pytest.mark.parametrize("directory", ["../../../../etc", "/etc/../..", "out", "none"])
async def test_a_directory_inside_stays_inside(tmp_path: Path, look: Look, directory: str) -> None:
    root = system(tmp_path / "root", etc__inside="yes")
    (root / "out").symlink_to("/")
    image = disk(tmp_path / "disk", "none", [Part(ext4(tmp_path, root))])
    try:
        _, files = await look(image, 0, directory)
    except BadDisk:
        return
    assert any(name.endswith("inside") for name in files)
    assert "passwd" not in {Path(name).name for name in files}


async def test_a_directory_of_a_system_can_be_the_source(tmp_path: Path, look: Look) -> None:
    outer = system(tmp_path / "root")
    system(outer / "opt/client", etc__hostname="inner")
    image = disk(tmp_path / "disk", "none", [Part(ext4(tmp_path, outer))])
    _, files = await look(image, 0, "opt/client")
    assert files["etc/hostname"] == "inner"
