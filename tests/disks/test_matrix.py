"""Every format with every table shows the same system; nothing of it is left when it is closed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.disk import loops
from ltspd.disk.opening import DiskRoot, open_disk
from ltspd.errors import ToolFailed, UnsupportedDisk
from ltspd.paths import Paths
from tests import REPOSITORY
from tests.disks.conftest import Look
from tests.lab.laying import ESP, FORMATS, LINUX, MIB, SWAP, TABLES, Part, call, convert, disk, fat, swap
from tests.patience import PATIENCE, processor_seconds
from tests.worlds.disks import ext4, system

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def lay_out(place: Path, table: str) -> Path:
    root = Part(ext4(place, system(place / "root", etc__hostname="a-client\n")))
    esp, rest = Part(fat(), ESP), Part(swap(), SWAP)
    match table:
        case "none":
            return disk(place / "disk", "none", [root])
        case "dos":
            return disk(place / "disk", "dos", [Part(swap(), "82"), root])
        case "gpt":
            return disk(place / "disk", "gpt", [esp, root, rest])
        case "gpt-esp-second":
            return disk(place / "disk", "gpt", [root, esp])
        case _:
            other = Part(bytes(MIB))
            return disk(place / "disk", "dos", [other, other, other, Part(swap(), "82"), root])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", FORMATS)
async def test_every_format_and_table_shows_the_system(
    tmp_path: Path, look: Look, kind: str, table: str
) -> None:
    raw = lay_out(tmp_path, table)
    driver, options = FORMATS[kind]
    image = convert(raw, tmp_path / "client.img", driver, *options)
    before = image.read_bytes()
    found, files = await look(image)
    assert files["etc/hostname"] == "a-client\n"
    assert found.format == driver
    assert found.table == {"none": "none", "dos": "mbr", "gpt": "gpt"}[table.partition("-")[0]]
    assert found.warnings == ()
    assert image.read_bytes() == before


async def test_nothing_can_be_written_or_run_there(tmp_path: Path, paths: Paths) -> None:
    image = disk(tmp_path / "disk", "none", [Part(ext4(tmp_path, system(tmp_path / "root")))])
    async with open_disk(paths, image) as found:
        with pytest.raises(OSError, match="Read-only"):
            (found.path / "new").touch()
        table = Path(f"/proc/{found.pid}/mountinfo").read_text()
        (line,) = [each for each in table.splitlines() if "/dev/loop" in each]
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(line.split()[5].split(","))
        ours = Path("/proc/self/mountinfo").read_text()
        assert str(paths.run) not in ours


@pytest.mark.parametrize("disk_name", ["/dev/vda", "/dev/nvme0n1p", "/dev/disk/by-id/ata-A_DISK-part"])
async def test_parts_are_put_where_fstab_says(tmp_path: Path, look: Look, disk_name: str) -> None:
    ids = [f"12345678-0000-4000-8000-00000000000{number}" for number in range(4)]
    fstab = f"""
# root by a name of the disk, so others may be too
{disk_name}2 / ext4 errors=remount-ro 0 1
{disk_name}3 /boot ext4 defaults 0 2
LABEL=the\\040var /var ext4 defaults 0 2
PARTLABEL=software /opt ext4 nofail 0 2
UUID=none /home ext4 defaults 0 2
UUID=1234-5678 /boot/efi vfat umask=0077 0 1
UUID={ids[1]} none swap sw 0 0
server:/x /data nfs4 defaults 0 0
/opt/shared /var/shared none bind 0 0
"""
    root = system(tmp_path / "root", fstab)
    parts = {}
    for name in ("boot", "var", "opt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in-{name}").write_text(name)
        (tmp_path / name / "shared").mkdir()
        parts[name] = tmp_path / name
    (tmp_path / "opt/shared/bound").write_text("bound")
    image = disk(
        tmp_path / "disk",
        "gpt",
        [
            Part(fat(), ESP),
            Part(ext4(tmp_path, root, 4 * MIB, "-U", ids[0])),
            Part(ext4(tmp_path, parts["boot"], 2 * MIB)),
            Part(ext4(tmp_path, parts["var"], 2 * MIB, "-L", "the var")),
            Part(ext4(tmp_path, parts["opt"], 2 * MIB), LINUX, "software"),
            Part(swap(), SWAP),
        ],
    )
    found, files = await look(image)
    assert {"boot/in-boot", "var/in-var", "opt/in-opt", "etc/os-release"} <= set(files)
    assert files["var/shared/bound"] == "bound"
    assert found.volume.startswith("partition 2 (ext4")
    assert found.warnings == ()


async def test_a_separate_usr_is_part_of_the_system(tmp_path: Path, look: Look) -> None:
    root = system(tmp_path / "root", "LABEL=r / ext4 defaults 0 1\nLABEL=u /usr ext4 defaults 0 1\n")
    usr = tmp_path / "usr"
    (root / "usr").rename(usr)
    (root / "usr").mkdir()
    parts = [
        Part(ext4(tmp_path, usr, 4 * MIB, "-L", "u")),
        Part(ext4(tmp_path, root, 4 * MIB, "-L", "r")),
    ]
    _, files = await look(disk(tmp_path / "disk", "gpt", parts))
    assert "usr/sbin/init" in files


async def test_a_part_on_another_disk_is_named(tmp_path: Path, look: Look) -> None:
    root = system(tmp_path / "root", "/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /var ext4 defaults 0 1\n")
    image = disk(tmp_path / "disk", "gpt", [Part(ext4(tmp_path, root))])
    with pytest.raises(UnsupportedDisk, match=r"its /var is on /dev/sdb1, which is not on this disk"):
        await look(image)
    (root / "data").mkdir()
    (root / "etc/fstab").write_text("/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /data ext4 defaults 0 1\n")
    found, _ = await look(disk(tmp_path / "disk", "gpt", [Part(ext4(tmp_path, root))]))
    assert "/data is on /dev/sdb1" in found.warnings[0]


ROOT = "12345678-0000-4000-8000-000000000000"
SDB = "/dev/sdb1 {} ext4 defaults 0 2\n"


def two_parts(place: Path, fstab: str, *options: str, **files: str) -> Path:
    """Make a disk with a system and another file system, whose options are given."""
    root = system(place / "root", fstab, **{"var__lib__dpkg__status": "all packages", **files})
    (place / "other/in-other").mkdir(parents=True, exist_ok=True)
    for name in ("data", "usr/local"):
        (root / name).mkdir(exist_ok=True)
    parts = [
        Part(ext4(place, root, 4 * MIB, "-U", ROOT)),
        Part(ext4(place, place / "other", 2 * MIB, *(options or ["-L", "other"]))),
    ]
    return disk(place / "disk", "gpt", parts)


@pytest.mark.parametrize(
    "root", [f"UUID={ROOT} / ext4 defaults 0 1\n", "", "/dev/sda2 / ext4 defaults 0 1\n"]
)
@pytest.mark.parametrize(
    "device",
    [
        "/dev/sdb1",
        "/dev/vdb1",
        "/dev/sdb2",
        "/dev/nvme1n1p1",
        "/dev/mmcblk1p2",
        "/dev/disk/by-id/ata-B-part1",
    ],
)
async def test_a_kernels_name_of_a_disk_that_may_be_another_is_not_looked_for_here(
    tmp_path: Path, look: Look, root: str, device: str
) -> None:
    """Not even where this disk has a partition of that number: its root, or another's data."""
    found, files = await look(two_parts(tmp_path, f"{root}{device} /data ext4 defaults 0 2\n"))
    assert not any(name.startswith("data/") for name in files)
    (told,) = found.warnings
    assert told.startswith(f"disk: its /data is on {device}, which may be on any disk")
    assert "name it by UUID=" in told
    for point in ("/opt", "/usr", "/var", "/var/lib", "/boot"):
        with pytest.raises(UnsupportedDisk, match=f"its {point} is on {device}, which may be on any disk"):
            await look(two_parts(tmp_path, f"{root}{device} {point} ext4 defaults 0 2\n"))


@pytest.mark.parametrize(
    "spec", [f"UUID={ROOT}", f"/dev/disk/by-uuid/{ROOT}", "/dev/sda1", "PARTLABEL=system", "LABEL=copy"]
)
async def test_the_root_is_never_mounted_below_itself(tmp_path: Path, look: Look, spec: str) -> None:
    line = f"{spec} {{}} ext4 defaults 0 2\n"
    image = two_parts(tmp_path, "/dev/sda1 / ext4 defaults 0 1\n" + line.format("/data"))
    call("sfdisk", "-q", "--part-label", image, "1", "system")
    if spec.startswith("LABEL"):
        # A partition with a copy of a system, as an upgrade keeps one to go back to.
        system(tmp_path / "other")
        image = two_parts(tmp_path, line.format("/data"), "-L", "copy")
        with pytest.raises(UnsupportedDisk, match="has 2 systems"):
            await look(image)
    found, files = await look(image, 1)
    assert not any(name.startswith("data/") for name in files)
    what = "a system of its own" if spec.startswith("LABEL") else "the file system of its root once more"
    assert f"mounts {spec} at /data, which is {what}" in found.warnings[0]
    # There it would hide what packages are installed.
    with pytest.raises(UnsupportedDisk, match=f"mounts {spec} at /var, which is {what}"):
        await look(changed(image, line.format("/data"), line.format("/var")), 1)


def changed(image: Path, old: str, new: str) -> Path:
    """Change a line of a file in an image that is not compressed, which must be longer than the new one."""
    content = image.read_bytes()
    assert content.count(old.encode()) == 1
    image.write_bytes(content.replace(old.encode(), new.rstrip("\n").encode().ljust(len(old) - 1) + b"\n"))
    return image


async def test_where_a_copy_has_the_roots_names_the_root_is_meant(tmp_path: Path, look: Look) -> None:
    line = f"UUID={ROOT} /opt ext4 defaults 0 2\n"
    with pytest.raises(UnsupportedDisk, match="file system of its root once more"):
        await look(two_parts(tmp_path, line, "-U", ROOT))


@pytest.mark.parametrize("source", ["/", "/etc", "/home", "/var", "/opt/..", "/link", "/data"])
async def test_no_directory_is_shown_where_less_of_it_would_be_left_out(
    tmp_path: Path, look: Look, source: str
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to("etc")
    found, files = await look(
        two_parts(tmp_path, f"{source} /data/x none bind 0 0\n", etc__shadow="hash", data__x__own="")
    )
    assert {name for name in files if name.startswith("data/")} == {"data/x/own"}
    assert f"shows {source} " in found.warnings[0]


async def test_of_several_systems_one_must_be_chosen(tmp_path: Path, look: Look) -> None:
    parts = []
    for name in ("one", "two"):
        parts.append(Part(ext4(tmp_path, system(tmp_path / name, etc__hostname=name))))
    image = disk(tmp_path / "disk", "dos", parts)
    with pytest.raises(UnsupportedDisk, match=r"has 2 systems, on partition 1 .*partition=N"):
        await look(image)
    _, files = await look(image, 2)
    assert files["etc/hostname"] == "two"
    with pytest.raises(UnsupportedDisk, match=r"has no partition 7. It has: partition 1"):
        await look(image, 7)


@pytest.mark.parametrize("kind", ["ext2", "ext3"])
async def test_older_file_systems(tmp_path: Path, look: Look, kind: str) -> None:
    image = disk(tmp_path / "disk", "dos", [Part(ext4(tmp_path, system(tmp_path / "root"), kind=kind))])
    found, files = await look(image)
    assert "etc/os-release" in files
    assert found.volume == f"partition 1 ({kind})"


async def test_a_difference_is_read_with_what_it_differs_from(tmp_path: Path, look: Look) -> None:
    raw = lay_out(tmp_path, "gpt")
    convert(raw, tmp_path / "base.qcow2", "qcow2")
    image = tmp_path / "client.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", image)
    _, files = await look(image)
    assert files["etc/hostname"] == "a-client\n"


async def test_what_it_differs_from_may_be_named_by_its_whole_path(tmp_path: Path, look: Look) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "vm").symlink_to("data")
    convert(lay_out(tmp_path, "gpt"), tmp_path / "data/base.qcow2", "qcow2")
    for name in ("vm", "data"):
        image = tmp_path / f"vm/client-{name}.img"
        base = tmp_path / name / "base.qcow2"
        call("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, image)
        _, files = await look(image)
        assert files["etc/hostname"] == "a-client\n"


async def test_a_file_that_only_its_owner_may_read(tmp_path: Path, look: Look) -> None:
    image = convert(lay_out(tmp_path, "gpt"), tmp_path / "client.img", "qcow2")
    image.chmod(0o600)
    _, files = await look(image)
    assert files["etc/hostname"] == "a-client\n"
    link = tmp_path / "link.img"
    link.symlink_to(image)
    _, files = await look(link)
    assert files["etc/hostname"] == "a-client\n"


# ---- life: cancel, kill, and what is left ---------------------------------------------------------


def children_of(pid: int) -> set[int]:
    found = set[int]()
    for name in Path("/proc").iterdir():
        if name.name.isdigit():
            try:
                status = (name / "stat").read_text()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == pid:
                found |= {int(name.name)} | children_of(int(name.name))
    return found


def loops_of(place: Path) -> list[int]:
    return [number for number in range(64) if str(place) in loops.backing(number)]


def wait_until(what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    return convert(lay_out(tmp_path, "gpt"), tmp_path / "client.img", "qcow2")


async def test_while_a_disk_is_open_it_has_processes_and_a_loop_device_and_after_that_none(
    opened: Path, paths: Paths
) -> None:
    others = children_of(os.getpid())  # of fixtures that last longer
    async with open_disk(paths, opened) as found:
        assert len(children_of(os.getpid()) - others) >= 3
        table = Path(f"/proc/{found.pid}/mountinfo").read_text()
        assert "/dev/loop" in table
    assert children_of(os.getpid()) <= others
    assert not Path(f"/proc/{found.pid}").exists()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.2, 0.3, 0.4])
async def test_cancelled_at_any_time_it_leaves_nothing(opened: Path, paths: Paths, delay: float) -> None:
    async def use() -> None:
        async with open_disk(paths, opened):
            await asyncio.sleep(60)

    others = children_of(os.getpid())
    task = asyncio.create_task(use())
    await asyncio.sleep(delay)
    task.cancel()
    begin = processor_seconds()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processor_seconds() - begin < 2
    wait_until("processes are left", lambda: children_of(os.getpid()) <= others)
    wait_until("loop devices are left", lambda: not loops_of(opened.parent))


async def lose(image: Path, paths: Paths, find: Callable[[int], int]) -> None:
    async with open_disk(paths, image) as found:
        os.kill(find(found.pid), signal.SIGKILL)
        await asyncio.sleep(10)


def qemu_of(holder: int) -> int:
    names = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in children_of(holder)}
    (server,) = [pid for pid, name in names.items() if name.startswith("qemu-storage")]
    status = Path(f"/proc/{server}/status").read_text()
    assert {"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} <= set(status.splitlines())
    assert "NoNewPrivs:\t1" in status
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert os.listdir(f"/proc/{server}/root/disk") == ["client.img"]
    assert set(os.listdir(f"/proc/{server}/root/dev")) == {"fd", "null"}
    return server


async def test_when_the_disk_is_lost_its_use_is_cancelled_and_fails(opened: Path, paths: Paths) -> None:
    with pytest.raises(ToolFailed, match="can't be read any more"):
        await lose(opened, paths, lambda holder: holder)


async def test_qemu_has_no_rights_and_when_it_ends_the_use_of_the_disk_fails(
    opened: Path, paths: Paths
) -> None:
    with pytest.raises(ToolFailed, match="can't be read any more"):
        await lose(opened, paths, qemu_of)


_USER = """
import asyncio, sys
from pathlib import Path
from ltspd.disk.opening import open_disk
from ltspd.paths import Paths

async def main():
    async with open_disk(Paths(root=Path(sys.argv[2])), Path(sys.argv[1])) as found:
        print(found.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_when_the_daemon_is_killed_nothing_of_the_disk_stays(opened: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _USER, str(opened), str(tmp_path / "server")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=REPOSITORY) as daemon:
        assert daemon.stdout is not None
        holder = int(daemon.stdout.readline())
        ours = children_of(daemon.pid)
        assert holder in ours
        daemon.kill()
    wait_until("processes stay", lambda: not any(Path(f"/proc/{pid}").exists() for pid in ours))
    wait_until("loop devices stay", lambda: not loops_of(tmp_path))


async def test_two_can_read_the_same_disk(opened: Path, paths: Paths) -> None:
    async with open_disk(paths, opened) as one, open_disk(paths, opened) as two:
        assert one.pid != two.pid
        for each in (one, two):
            assert isinstance(each, DiskRoot)
            assert (each.path / "etc/hostname").read_text() == "a-client\n"
