"""File systems other than ext4: xfs, and btrfs with a root that is a subvolume."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.disks.conftest import Look
from tests.lab.laying import ESP, MIB, Part, call, disk, fat
from tests.worlds.disks import system

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


@contextmanager
def mounted(image: Path, kind: str) -> Iterator[Path]:
    """Mount a file system to fill it; only this can make subvolumes."""
    if kind not in Path("/proc/filesystems").read_text().split():
        pytest.skip(f"this kernel has no {kind}")
    point = image.parent / "mounted"
    point.mkdir()
    call("mount", "-o", "loop", "-t", kind, image, point)
    try:
        yield point
    finally:
        call("umount", point)


async def test_xfs(tmp_path: Path, look: Look) -> None:
    image = tmp_path / "part"
    with open(image, "wb") as file:
        file.truncate(300 * MIB)
    call("mkfs.xfs", "-q", image)
    with mounted(image, "xfs") as point:
        system(point, etc__hostname="on xfs")
    found, files = await look(disk(tmp_path / "disk", "gpt", [Part(fat(), ESP), Part(image.read_bytes())]))
    assert files["etc/hostname"] == "on xfs"
    assert found.volume == "partition 2 (xfs)"


@pytest.mark.parametrize("default", [True, False])
async def test_btrfs_subvolumes(tmp_path: Path, look: Look, default: bool) -> None:
    image = tmp_path / "part"
    with open(image, "wb") as file:
        file.truncate(128 * MIB)
    call("mkfs.btrfs", "-q", "-L", "pool", image)
    names = {True: "here/it/is", False: "@"}[default]
    fstab = f"LABEL=pool / btrfs subvol={names} 0 0\nLABEL=pool /var btrfs subvol=@var 0 0\n"
    with mounted(image, "btrfs") as point:
        (point / names).parent.mkdir(parents=True, exist_ok=True)
        for name in (names, "@var", "@home"):
            call("btrfs", "subvolume", "create", point / name)
        system(point / names, fstab, etc__hostname="on btrfs")
        # As a tool that makes snapshots leaves them: not another system to choose from.
        call("btrfs", "subvolume", "snapshot", point / names, point / "@home/snapshot")
        (point / "@var/in-var").write_text("var")
        (point / "@home/in-home").write_text("home")
        if default:
            call("btrfs", "subvolume", "set-default", point / names)
    found, files = await look(disk(tmp_path / "disk", "gpt", [Part(image.read_bytes())]))
    assert files["etc/hostname"] == "on btrfs"
    assert files["var/in-var"] == "var"
    assert not any("home" in name for name in files if not name.startswith("etc/"))
    assert found.volume == 'partition 1 (btrfs "pool")'


async def test_btrfs_subvolumes_with_the_root_in_them_stay_out(tmp_path: Path, look: Look) -> None:
    image = tmp_path / "part"
    with open(image, "wb") as file:
        file.truncate(128 * MIB)
    call("mkfs.btrfs", "-q", "-L", "b", image)
    lines = [("@var", "/var"), ("@", "/again"), ("/", "/top"), ("@old", "/old")]
    named = [f"LABEL=b {point} btrfs subvol={name} 0 0\n" for name, point in lines]
    fstab = "LABEL=b / btrfs subvol=@ 0 0\n" + "".join([*named, "LABEL=b /default btrfs defaults 0 0\n"])
    with mounted(image, "btrfs") as point:
        for name in ("@", "@var", "@old"):
            call("btrfs", "subvolume", "create", point / name)
        system(point / "@", fstab)
        system(point / "@old")
        (point / "@var/in-var").write_text("var")
        for name in ("again", "top", "old", "default"):
            (point / "@" / name).mkdir()
    found, files = await look(disk(tmp_path / "disk", "gpt", [Part(image.read_bytes())]))
    assert files["var/in-var"] == "var"
    assert not any(name.startswith(("again/", "top/", "old/", "default/")) for name in files)
    told = "\n".join(found.warnings)
    for name in ("again", "top", "default"):
        assert f"mounts LABEL=b at /{name}, which is a subvolume with its root in it" in told
    assert "at /old, which is a system of its own" in told
