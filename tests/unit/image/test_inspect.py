"""Sources and whether they can boot: what is found, what is refused, and that nothing leads outside."""

import asyncio
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from ltspd.errors import (
    Busy,
    InconsistentSource,
    InvalidName,
    InvalidOption,
    NoInit,
    NoSuchSource,
    WrongArchitecture,
)
from ltspd.foreign import inspect
from ltspd.image.look.scan import foreign_mounts, scan
from ltspd.image.source import dpkg, kernels
from ltspd.image.source import find as source
from ltspd.model.image import SourceKind
from ltspd.paths import Paths
from tests.worlds.image_trees import elf, make_tree, write

ARCHITECTURE = source.architecture_name()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    make_tree(tmp_path / "srv/ltsp/lab")
    (tmp_path / "etc").mkdir()
    return Paths(root=tmp_path)


@pytest.fixture
def root(paths: Paths) -> Path:
    return paths.base_dir / "lab"


def test_sources_are_chroots_and_the_server_itself(paths: Paths) -> None:
    for name in ("images", "bad name", "-dash", ".hidden"):
        (paths.base_dir / name / "usr").mkdir(parents=True)
    (paths.base_dir / "empty").mkdir()
    (paths.base_dir / "link").symlink_to("lab")
    found = {each.name: each.kind for each in source.find_sources(paths)}
    assert found == {"lab": SourceKind.DIRECTORY, ARCHITECTURE: SourceKind.ROOT}
    assert source.resolve(paths, "/").path == str(paths.root)
    assert source.resolve(paths, "lab").path == str(paths.base_dir / "lab")


def test_a_chroot_of_the_architectures_name_takes_the_place_of_the_server(paths: Paths) -> None:
    (paths.base_dir / ARCHITECTURE / "usr").mkdir(parents=True)
    assert source.resolve(paths, ARCHITECTURE).kind is SourceKind.DIRECTORY
    with pytest.raises(NoSuchSource, match="has its name"):
        source.resolve(paths, "/")


def test_disk_images_are_sources_by_their_name_or_place(paths: Paths, tmp_path: Path) -> None:
    base, elsewhere = paths.base_dir, write(tmp_path, "vm/client-flat.vmdk")
    for name in ("lab.img", "vm.img", "images.img", "-x.img", ".img", "other.qcow2"):
        write(base, name)
    (base / "linked.img").symlink_to(elsewhere)
    (base / "dead.img").symlink_to("/nonexistent")
    (base / "directory.img").mkdir()
    found = {each.name: (each.kind, each.path) for each in source.find_sources(paths)}
    assert found == {
        "lab": (SourceKind.DIRECTORY, str(base / "lab")),
        "vm": (SourceKind.DISK, str(base / "vm.img")),
        "linked": (SourceKind.DISK, str(base / "linked.img")),
        ARCHITECTURE: (SourceKind.ROOT, str(paths.root)),
    }
    for word, name, shown in (
        ("vm", "vm", f"{base}/vm.img"),
        (f"{base}/vm.img", "vm", f"{base}/vm.img"),
        (f"{base}//./lab/", "lab", f"{base}/lab"),
        (str(elsewhere), "client", str(elsewhere)),
        ("vm,partition=2", "vm", f"{base}/vm.img,partition=2"),
        ("vm,fstype=ext4,ro,,vm,partition=1,subdir=boot", "vm", f"{base}/vm.img"),
        ("/,,/boot/efi,subdir=boot/efi", ARCHITECTURE, str(paths.root)),
    ):
        asked = source.resolve(paths, word)
        assert (asked.name, asked.shown) == (name, shown), word


@pytest.mark.parametrize(
    ("word", "error", "words"),
    [
        ("lab,partition=2", InvalidOption, "no partitions"),
        ("vm,rw", InvalidOption, "never written to"),
        ("{base}/../none", NoSuchSource, "no disk image"),
        ("{base}/empty", NoSuchSource, "is a directory"),
        ("/dev/null", NoSuchSource, "not a file"),
        ("{base}/bad name.img", InvalidName, "Make a link to it"),
        ("{root}/lab.iso", InvalidName, "is the source of"),
        ("vm/../lab", InvalidName, "nor an absolute path"),
    ],
)
def test_what_is_no_disk_image_is_refused(
    paths: Paths, word: str, error: type[Exception], words: str
) -> None:
    (paths.base_dir / "empty").mkdir()
    for name in ("vm.img", "bad name.img"):
        write(paths.base_dir, name)
    write(paths.root, "lab.iso")
    with pytest.raises(error, match=words):
        source.resolve(paths, word.format(base=paths.base_dir, root=paths.root))


def test_a_disk_image_of_the_architectures_name_takes_the_place_of_the_server(paths: Paths) -> None:
    write(paths.base_dir, f"{ARCHITECTURE}.img")
    assert source.resolve(paths, ARCHITECTURE).kind is SourceKind.DISK
    with pytest.raises(NoSuchSource, match=r"\.img has its name"):
        source.resolve(paths, "/")


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "../lab", "images", "a b", "-a", "x" * 65, "a\n", "ä"]
)
def test_names_that_could_leave_the_directory_are_refused(paths: Paths, name: str) -> None:
    with pytest.raises(InvalidName):
        source.resolve(paths, name)


def test_an_unknown_source_is_told_with_what_there_is(paths: Paths) -> None:
    with pytest.raises(NoSuchSource, match=r"srv/ltsp/nope.*lab"):
        source.resolve(paths, "nope")


def test_architecture_names_are_ltsps() -> None:
    names = [source.architecture_name(each) for each in ("x86_64", "i686", "i586", "aarch64")]
    assert names == ["x86_64", "x86_32", "x86_32", "aarch64"]


def test_debian_version_order() -> None:
    ordered = ["1.0~rc1", "1.0~rc1-1", "1.0", "1.0-1", "1.0a", "1.0+b", "1.9", "1.10", "1:0.1"]
    shuffled = ordered[4:] + ordered[:4]
    assert sorted(shuffled, key=kernels.version_key) == ordered
    for older, newer in pairwise(ordered):
        assert subprocess.run(["dpkg", "--compare-versions", older, "lt", newer]).returncode == 0


def test_init_is_found_through_links_of_the_source_only(root: Path, tmp_path: Path) -> None:
    assert inspect.check_init(root) == "x86_64"
    (root / "usr/lib/systemd/systemd").unlink()
    outside = write(tmp_path, "outside", elf(), 0o755)
    (root / "usr/sbin/init").unlink()
    for target in (str(outside), f"../../../../../../../../../..{outside}"):
        (root / "usr/sbin/init").symlink_to(target)
        assert (root / "usr/sbin/init").exists()
        with pytest.raises(NoInit):
            inspect.check_init(root)
        (root / "usr/sbin/init").unlink()


def test_a_system_may_be_for_other_machines_than_the_server(root: Path) -> None:
    for number, machine in ((62, "x86_64"), (3, "i686"), (183, "aarch64")):
        write(root, "usr/lib/systemd/systemd", elf(number), 0o755)
        assert inspect.check_init(root) == machine


def test_a_system_that_no_client_can_run_is_refused(root: Path) -> None:
    write(root, "usr/lib/systemd/systemd", elf(243), 0o755)
    with pytest.raises(
        WrongArchitecture, match="is a riscv64 system, but clients can only be x86_64, i686 or"
    ):
        inspect.check_init(root)


def test_half_installed_packages_are_named(root: Path) -> None:
    packages = dpkg.read_packages(root)
    assert packages.installed == {"base-files": "12.4", "libc6:amd64": "2.36-9"}
    dpkg.check_consistent(root, packages)
    with open(root / dpkg.STATUS, "a") as file:
        file.write("\nPackage: cups\nStatus: install ok half-configured\nVersion: 1\n")
        file.write("\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n")
    with pytest.raises(InconsistentSource, match=r"cups \(half-configured\)\. Run 'dpkg --configure -a'"):
        dpkg.check_consistent(root, dpkg.read_packages(root))


def test_an_interrupted_dpkg_is_seen(root: Path) -> None:
    write(root, "var/lib/dpkg/updates/0001", b"Package: x\n")
    with pytest.raises(InconsistentSource, match="interrupted"):
        dpkg.check_consistent(root, dpkg.read_packages(root))


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", dpkg.LOCKS)
async def test_the_package_lock_waits_for_apt_and_names_it(root: Path, name: str) -> None:
    arguments = [sys.executable, "-c", HOLD, str(root / name)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        assert f"process {process.pid}" in dpkg.lock_holder(root)
        with pytest.raises(Busy, match=rf"process {process.pid}\), which holds {name}"):
            async with dpkg.package_lock(root, 0.1):
                pass

        async def locked() -> bool:
            async with dpkg.package_lock(root, 5):
                return True

        waiting = asyncio.create_task(locked())
        await asyncio.sleep(0.05)
        process.stdin.close()
        assert await waiting
    finally:
        process.stdin.close()
        await process.wait()


async def test_dpkg_itself_finds_our_lock(root: Path) -> None:
    probe = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"

    async def status(name: str) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", probe, str(root / name), stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    async with dpkg.package_lock(root, 0):
        # Opening and closing it ourselves must not drop the lock, as it would a POSIX one.
        (root / dpkg.LOCKS[0]).read_bytes()
        assert [await status(name) for name in dpkg.LOCKS] == [1, 1]
    assert [await status(name) for name in dpkg.LOCKS] == [0, 0]


def test_only_whole_local_disks_belong_to_the_system() -> None:
    lines = b"""\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 8:2 / /boot rw - ext4 /dev/sda2 rw
22 20 8:3 / /boot/efi rw - vfat /dev/sda3 rw
23 20 0:5 / /proc rw - proc proc rw
24 20 0:40 / /data/nfs\\040share rw - nfs4 srv:/x rw
25 20 8:1 /home/x /opt/bind rw - ext4 /dev/sda1 rw
26 20 0:41 /@var /var rw - btrfs /dev/sdb rw
27 20 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
28 20 0:50 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw
"""
    found = foreign_mounts(Path("/"), lines)
    assert found == {
        b"proc",
        b"data/nfs share",
        b"opt/bind",
        b"snap/core/1",
        b"var/lib/docker/overlay2/a/merged",
    }


def test_a_walk_that_is_stopped_says_so(root: Path) -> None:
    whole = scan(root, (), b"")
    asked = iter([False, False, True])
    part = scan(root, (), b"", lambda: next(asked))
    assert whole.complete
    assert not part.complete
    assert 0 < part.files < whole.files


def test_scan_counts_links_once_and_finds_private_keys(root: Path) -> None:
    write(root, "etc/tool/deploy.pem", "x\n-----BEGIN RSA PRIVATE KEY-----\nabc\n")
    write(root, "usr/share/doc/example.pem", "-----BEGIN RSA PRIVATE KEY-----\n")
    write(root, "var/log/syslog", "history")
    before = scan(root, (), b"")
    big = write(root, "big", b"x" * 100_000)
    os.link(big, root / "again")
    after = scan(root, (), b"")
    assert after.files == before.files + 2
    assert after.size - before.size == big.stat().st_blocks * 512
    assert [each.path for each in after.private] == [b"etc/tool/deploy.pem", b"usr/share/doc/example.pem"]
    assert after.logs == (b"var/log/syslog",)
    mounts = f"1 0 0:1 / {root}/home rw - nfs srv:/h rw\n".encode()
    write(root, "home/ann/file")
    assert scan(root, (), mounts).emptied == (b"home",)
    assert scan(root, (), mounts).files == after.files
