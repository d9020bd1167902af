"""The firmware of Raspberry Pis in sources: where it lies, and what is left alone."""

from pathlib import Path

import pytest

from ltspd.model.facts import PiFiles
from ltspd.model.image import Source, SourceKind
from ltspd.observe import pi


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


def look(root: Path) -> dict[str, PiFiles]:
    return pi.look((Source("pi", SourceKind.DIRECTORY, str(root)), Source("vm", SourceKind.DISK, "/x.img")))


@pytest.mark.parametrize("place", ["boot/firmware", "boot", "usr/lib/raspi-firmware"])
def test_firmware_is_found_where_systems_have_it(tmp_path: Path, place: str) -> None:
    write(
        tmp_path, f"{place}/start4.elf", f"{place}/fixup4cd.dat", f"{place}/kernel8.img", f"{place}/notes.txt"
    )
    write(tmp_path, f"{place}/bcm2711-rpi-4-b.dtb", f"{place}/overlays/vc4-kms-v3d.dtbo", "boot/vmlinuz-6.1")
    found = look(tmp_path)["pi"]
    assert found.firmware == {each: f"{tmp_path}/{place}/{each}" for each in ("fixup4cd.dat", "start4.elf")}
    assert set(found.trees[""]) == {"bcm2711-rpi-4-b.dtb", "overlays/vc4-kms-v3d.dtbo"}


def test_each_kernel_has_its_own_trees(tmp_path: Path) -> None:
    write(tmp_path, "boot/firmware/bootcode.bin")
    for kernel in ("6.1.0-29-arm64", "6.12-rpi-v8"):
        write(tmp_path, f"usr/lib/linux-image-{kernel}/broadcom/bcm2712-rpi-5-b.dtb")
    write(tmp_path, "usr/lib/linux-image-6.12-rpi-v8/overlays/a.dtbo")
    trees = look(tmp_path)["pi"].trees
    assert {kernel: set(found) for kernel, found in trees.items()} == {
        "6.1.0-29-arm64": {"bcm2712-rpi-5-b.dtb"},
        "6.12-rpi-v8": {"bcm2712-rpi-5-b.dtb", "overlays/a.dtbo"},
    }


def test_other_sources_have_none(tmp_path: Path) -> None:
    write(tmp_path, "boot/vmlinuz-6.1", "usr/lib/linux-image-6.1/broadcom/bcm2712-rpi-5-b.dtb")
    assert look(tmp_path) == {}


def test_what_leads_out_of_the_source_is_left_alone(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    write(other, "start4.elf", "bootcode.bin")
    (root / "boot").mkdir(parents=True)
    (root / "boot/firmware").symlink_to(other)
    assert look(root) == {}
    write(root, "boot/bootcode.bin")
    (root / "boot/start4.elf").symlink_to(other / "start4.elf")
    (root / "boot/start.elf").mkdir()
    assert set(look(root)["pi"].firmware) == {"bootcode.bin"}
