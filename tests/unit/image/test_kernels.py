"""Kernels are found under every distribution's names, with the version of their modules; one is chosen."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.errors import NoKernel
from ltspd.image.source import kernels
from tests.worlds.image_trees import RELEASE, make_tree, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "lab")


@pytest.fixture
def bare(root: Path) -> Path:
    """Return a system without a kernel."""
    (root / f"boot/vmlinuz-{RELEASE}").unlink()
    (root / f"usr/lib/modules/{RELEASE}/modules.dep").unlink()
    (root / f"usr/lib/modules/{RELEASE}").rmdir()
    return root


def x86(release: str) -> bytes:
    """Return the beginning of an x86 kernel: header, and the version's text where the header says."""
    head = bytearray(0x3000)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x20E, 0x2000)
    text = f"{release} (builder@host) #1 SMP\0".encode()
    head[0x2200 : 0x2200 + len(text)] = text
    return bytes(head)


def test_the_newest_kernel_with_modules_is_taken(root: Path) -> None:
    assert kernels.find_kernel(root) == kernels.Kernel(RELEASE, f"boot/vmlinuz-{RELEASE}")
    write(root, "boot/vmlinuz-6.1.0-10-amd64", b"k")
    (root / "usr/lib/modules/6.1.0-10-amd64").mkdir()
    write(root, "boot/vmlinuz-6.12.0-1-amd64", b"no modules")
    assert kernels.find_kernel(root).release == "6.1.0-10-amd64"
    write(root, "usr/lib/modules/6.2.0-fedora/vmlinuz", b"k")
    assert kernels.find_kernel(root).path == "usr/lib/modules/6.2.0-fedora/vmlinuz"


@pytest.mark.parametrize(
    ("files", "modules", "path"),
    [
        (["boot/vmlinuz-6.12.0-1-amd64"], "6.12.0-1-amd64", "boot/vmlinuz-6.12.0-1-amd64"),
        # Fedora since 2023; its /boot may be another file system that is not there.
        (["usr/lib/modules/6.8.5-301.fc40.x86_64/vmlinuz"], "6.8.5-301.fc40.x86_64", None),
        (["boot/vmlinuz-6.8.5-301.fc40.x86_64"], "6.8.5-301.fc40.x86_64", None),
        # Arch: the package's name, and a file that says which modules are of it.
        (["boot/vmlinuz-linux"], "6.9.1-arch1-1", None),
        (["boot/vmlinuz-linux-lts"], "6.6.31-2-lts", None),
        # Alpine
        (["boot/vmlinuz-lts"], "6.6.31-0-lts", None),
        (["boot/vmlinuz-virt"], "6.6.31-0-virt", None),
        # openSUSE, for x86 and Arm
        (["boot/vmlinuz-6.9.1-1-default"], "6.9.1-1-default", None),
        (["boot/Image-6.9.1-1-default"], "6.9.1-1-default", None),
        # Gentoo
        (["boot/kernel-6.6.30-gentoo-x86_64"], "6.6.30-gentoo-x86_64", None),
        (["boot/kernel-genkernel-x86_64-6.6.30-gentoo"], "6.6.30-gentoo", None),
        # Buildroot, Yocto, and what people build themselves
        (["boot/bzImage"], "6.6.30", None),
        (["boot/Image"], "6.6.30", None),
        (["boot/linux"], "6.6.30", None),
        (["boot/vmlinux-6.6.30-powerpc64le"], "6.6.30-powerpc64le", None),
        # a live system that was unpacked
        (["casper/vmlinuz"], "6.8.0-31-generic", None),
        (["live/vmlinuz-6.1.0-21-amd64"], "6.1.0-21-amd64", None),
        (["vmlinuz"], "6.1.0-21-amd64", None),
    ],
)
def test_every_distributions_name_is_known(
    bare: Path, files: list[str], modules: str, path: str | None
) -> None:
    write(bare, f"usr/lib/modules/{modules}/modules.dep")
    if "-linux" in files[0]:
        write(bare, f"usr/lib/modules/{modules}/pkgbase", files[0].partition("vmlinuz-")[2] + "\n")
        write(bare, "usr/lib/modules/5.0.0-other/pkgbase", "linux-other\n")
    for each in files:
        write(bare, each, b"kernel")
    assert kernels.find_kernel(bare) == kernels.Kernel(modules, path or files[0])


def test_a_name_without_version_is_settled_by_the_kernel_itself(bare: Path) -> None:
    for release in ("6.1.1", "6.6.2"):
        write(bare, f"usr/lib/modules/{release}/modules.dep")
    write(bare, "boot/bzImage", x86("6.1.1"))
    assert kernels.find_kernel(bare) == kernels.Kernel("6.1.1", "boot/bzImage")
    write(bare, "boot/bzImage", x86("6.5.0"))
    with pytest.raises(NoKernel, match=r"boot/bzImage.*6\.1\.1, 6\.6\.2"):
        kernels.find_kernel(bare)
    write(bare, "boot/bzImage", b"of any version")
    with pytest.raises(NoKernel):
        kernels.find_kernel(bare)


@pytest.mark.parametrize("cut", [0, 0x203, 0x20F, 0x2200, 0x2204])
def test_a_header_that_is_cut_short_says_nothing_or_less(cut: int) -> None:
    assert "6.1.1".startswith(kernels.header_release(x86("6.1.1")[:cut]))


def test_debians_own_kernel_says_its_version(root_tree: Callable[[str], Path]) -> None:
    found = sorted(root_tree("client").glob("boot/vmlinuz-*"))
    with open(found[0], "rb") as file:
        assert f"vmlinuz-{kernels.header_release(file.read(65536))}" == found[0].name


@pytest.mark.parametrize(
    "pattern",
    ["6.1.0-9*", "vmlinuz-6.1.0-9-*", "boot/vmlinuz-*-9-amd64", "/boot/vmlinuz-6.1.0-9-amd64", "*-[89]-*"],
)
def test_a_pattern_chooses_among_the_usable(root: Path, pattern: str) -> None:
    write(root, "boot/vmlinuz-6.1.0-10-amd64", b"k")
    (root / "usr/lib/modules/6.1.0-10-amd64").mkdir()
    assert kernels.find_kernel(root).release == "6.1.0-10-amd64"
    assert kernels.find_kernel(root, pattern).release == RELEASE
    assert kernels.find_kernel(root, "6.1.*").release == "6.1.0-10-amd64", "of several the newest"
    with pytest.raises(NoKernel, match=rf"fits '5\.\*'.*6\.1\.0-10-amd64, {RELEASE}.*--kernel"):
        kernels.find_kernel(root, "5.*")


def add(root: Path, release: str) -> None:
    write(root, f"boot/vmlinuz-{release}", b"k")
    (root / "usr/lib/modules" / release).mkdir()


@pytest.mark.parametrize(
    "special",
    [
        "6.1.0-9-cloud-amd64",
        "6.12.0-1-cloud-amd64",
        "6.12.0-1-rt-amd64",
        "6.8.0-31-kvm",
        "6.8.0-1008-azure",
        "6.6.31-0-virt",
        "6.9.1-1-kvmsmall",
        "6.8.5-301.fc40.x86_64+debug",
    ],
)
def test_a_kernel_for_all_machines_comes_before_a_special_one(root: Path, special: str) -> None:
    add(root, special)
    assert kernels.find_kernel(root).release == RELEASE
    assert kernels.find_kernel(root, "*").release == RELEASE
    assert kernels.find_kernel(root, special).release == special
    (root / f"boot/vmlinuz-{RELEASE}").unlink()
    assert kernels.find_kernel(root).release == special


@pytest.mark.parametrize("link", ["vmlinuz", "boot/vmlinuz"])
@pytest.mark.parametrize("release", ["6.1.0-8-amd64", "6.1.0-9-cloud-amd64", "6.12.0-1-amd64", RELEASE])
def test_what_the_system_itself_boots_is_taken(root: Path, link: str, release: str) -> None:
    for each in ("6.1.0-8-amd64", "6.1.0-9-cloud-amd64", "6.12.0-1-amd64"):
        add(root, each)
    (root / link).symlink_to(f"/boot/vmlinuz-{release}")
    assert kernels.find_kernel(root) == kernels.Kernel(release, f"boot/vmlinuz-{release}")
    assert kernels.find_kernel(root, "6.1.*").release == RELEASE, "asked for, it is the newest"
    # What it leads to was removed, or never had modules.
    (root / link).unlink()
    (root / link).symlink_to("vmlinuz-of-old")
    assert kernels.find_kernel(root).release == "6.12.0-1-amd64"


def test_no_kernel_says_what_is_there(root: Path) -> None:
    (root / f"usr/lib/modules/{RELEASE}/modules.dep").unlink()
    (root / f"usr/lib/modules/{RELEASE}").rename(root / "usr/lib/modules/5.0-other")
    with pytest.raises(NoKernel, match=rf"vmlinuz-{RELEASE}.*5\.0-other"):
        kernels.find_kernel(root)
