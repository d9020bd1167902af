"""Which modules, firmware and programs a boot initrd takes from a tree, and that it never leaves the tree."""

import gzip
import lzma
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.errors import InconsistentSource, LtspError, NoKernel, ToolFailed, WrongArchitecture
from ltspd.foreign import read
from ltspd.initrd import cards, cpio, elf, kernel, modules
from ltspd.initrd.addon import NBD_CLIENT, make_nbd_initrd, make_settings_initrd
from ltspd.initrd.boot import (
    GUEST_HOOKS,
    build_boot_initrd,
    build_boot_part,
    installed_files,
    read_client,
)
from ltspd.model.image import Layer
from ltspd.paths import client_home
from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
VERSION = "6.99-test"
NIC = "kernel/drivers/net/ethernet/acme/rocket-nic.ko"
HOME = f"usr/lib/modules/{VERSION}"


def module(info: bytes = b"", machine: int = 62) -> bytes:
    """Return a minimal ELF64 object with a .modinfo section."""
    names = b"\0.shstrtab\0.modinfo\0"
    body = names + info
    table = 64 + len(body)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 1, machine, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 1)
    sections = bytes(64)
    for name, offset, size in ((1, 64, len(names)), (11, 64 + len(names), len(info))):
        sections += struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, size, 0, 0, 1, 0)
    return header + body + sections


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a root with a few modules in every compression, and files outside that must stay out."""
    root = tmp_path / "root"
    zstd = subprocess.run(["zstd", "-q", "-c"], input=module(), capture_output=True, check=True).stdout
    files: dict[str, bytes] = {
        "kernel/fs/overlayfs/overlay.ko.xz": lzma.compress(module(b"name=overlay\0")),
        "kernel/fs/squashfs/squashfs.ko.zst": zstd,
        "kernel/lib/zstd/zstd_decompress.ko.gz": gzip.compress(module()),
        "kernel/drivers/block/nbd.ko": module(),
        "kernel/lib/crc/crc-extra.ko": module(),
        "kernel/sound/sound.ko": module(),
        "kernel/drivers/net/ethernet/mellanox/mlxsw/switch.ko": module(),
        NIC: module(
            b"firmware=acme/rocket.bin\0firmware=../../secret\0firmware=acme/none.bin\0license=GPL\0"
        ),
    }
    for path, data in files.items():
        file = root / HOME / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    dep = "".join(f"{path}:\n" for path in files if "squashfs" not in path)
    dep += "kernel/fs/squashfs/squashfs.ko.zst: kernel/lib/zstd/zstd_decompress.ko.gz\n"
    (root / HOME / "modules.dep").write_text(dep)
    (root / HOME / "modules.builtin").write_text("kernel/drivers/block/loop.ko\n")
    (root / HOME / "modules.alias").write_text(
        "alias pci:v0000ACCEd* rocket_nic\nalias crypto-extra crc_extra\nalias snd-* sound\n"
    )
    (root / HOME / "modules.softdep").write_text(
        "softdep overlay pre: crypto-extra\nsoftdep sound pre: nbd\n"
    )
    (root / "usr/lib/firmware/acme").mkdir(parents=True)
    (root / "usr/lib/firmware/acme/rocket.bin").write_bytes(b"FIRMWARE")
    (root / "usr/secret").write_bytes(b"SECRET")
    (tmp_path / "secret").write_bytes(b"SECRET")
    return root


def output(*command: str | Path, data: bytes = b"") -> bytes:
    """Return what a program prints; gzip and zstd end with an error at what follows their own data."""
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    return done.stdout + (b"" if done.stdout else done.stderr)


def unpack(entries: list[cpio.Entry]) -> dict[str, bytes]:
    return {entry.path: entry.data for entry in entries}


def parts_of(initrd: bytes) -> tuple[list[bytes], bytes]:
    """Return the parts of an initrd that its index names, and what follows them."""
    index = cards.read_index(initrd)
    assert index is not None
    return [initrd[at : at + size] for at, size in index.parts], initrd[index.end :]


async def test_closure_takes_what_a_client_needs_and_nothing_else(tree: Path) -> None:
    taken = unpack((await kernel.read_modules(tree, VERSION)).entries)
    home = f"lib/modules/{VERSION}"
    assert {path for path in taken if path.endswith(".ko")} == {
        f"{home}/kernel/fs/overlayfs/overlay.ko",
        f"{home}/kernel/fs/squashfs/squashfs.ko",
        f"{home}/kernel/lib/zstd/zstd_decompress.ko",
        f"{home}/kernel/drivers/block/nbd.ko",
        f"{home}/kernel/lib/crc/crc-extra.ko",
        f"{home}/{NIC}",
    }
    assert all(data.startswith(b"\x7fELF") for path, data in taken.items() if path.endswith(".ko"))
    assert taken["lib/firmware/acme/rocket.bin"] == b"FIRMWARE"
    assert not any(b"SECRET" in data for data in taken.values())
    dep = taken[f"{home}/modules.dep"].decode()
    assert "kernel/fs/squashfs/squashfs.ko: kernel/lib/zstd/zstd_decompress.ko\n" in dep
    assert "sound" not in dep
    assert (
        taken[f"{home}/modules.alias"] == b"alias pci:v0000ACCEd* rocket_nic\nalias crypto-extra crc_extra\n"
    )
    assert taken[f"{home}/modules.softdep"] == b"softdep overlay pre: crypto-extra\n"


def test_preflight_names_what_is_missing(tree: Path) -> None:
    assert kernel.check_modules(tree, VERSION) == ()
    dep = (tree / HOME / "modules.dep").read_text().splitlines()
    kept = [line for line in dep if "overlay" not in line and "rocket" not in line and "nbd" not in line]
    (tree / HOME / "modules.dep").write_text("\n".join(kept))
    lacks = kernel.check_modules(tree, VERSION)
    assert lacks == ("overlay", "nfsv4 or nbd", "a driver of a wired network card")


def test_switch_drivers_are_no_network_cards_worth_their_size(tree: Path) -> None:
    index = kernel.read_index(tree, VERSION)
    assert "kernel/drivers/net/ethernet/mellanox/mlxsw/switch.ko" not in modules.wanted(index)


def test_a_kernel_without_modules_is_named(tree: Path) -> None:
    with pytest.raises(NoKernel, match="6\\.1-none"):
        kernel.check_modules(tree, "6.1-none")


async def test_a_broken_module_is_named(tree: Path) -> None:
    (tree / HOME / "kernel/fs/overlayfs/overlay.ko.xz").write_bytes(b"no xz at all")
    with pytest.raises(InconsistentSource, match="overlay"):
        await kernel.read_modules(tree, VERSION)


@pytest.mark.parametrize("kind", ["", ".xz", ".gz", ".zst", ".xz cut"])
async def test_a_module_that_would_fill_the_memory_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(read, "MOST_BYTES", 1 << 20)
    nic, huge = tree / HOME / NIC, bytes(4 << 20)
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".xz": lzma.compress,
        ".xz cut": lambda data: lzma.compress(data[: 1 << 19])[:-20],
        ".gz": gzip.compress,
        ".zst": lambda data: subprocess.run(["zstd", "-qc"], input=data, capture_output=True).stdout,
    }
    nic.unlink()
    packed = nic.with_name(f"{nic.name}{kind.partition(' ')[0]}")
    packed.write_bytes(pack[kind](huge) if kind else huge)
    index = tree / HOME / "modules.dep"
    index.write_text(index.read_text().replace(f"{NIC}:", f"{packed.relative_to(tree / HOME)}:"))
    with pytest.raises((InconsistentSource, ToolFailed)):
        await kernel.read_modules(tree, VERSION)


async def test_links_stay_below_the_root(tree: Path, tmp_path: Path) -> None:
    """A module that is a link to the host's file is not the host's file; inside the root, links work."""
    nic = tree / HOME / NIC
    nic.unlink()
    nic.symlink_to(tmp_path / "secret")
    with pytest.raises(InconsistentSource, match="rocket"):
        await kernel.read_modules(tree, VERSION)
    nic.unlink()
    nic.symlink_to("/usr/moved.ko")
    (tree / "usr/moved.ko").write_bytes(module())
    taken = (await kernel.read_modules(tree, VERSION)).entries
    assert any(path.endswith("rocket-nic.ko") for path in unpack(taken))


def test_compression_follows_the_kernel_configuration(tree: Path) -> None:
    assert kernel.takes_zstd(tree, VERSION)
    (tree / "boot").mkdir()
    (tree / f"boot/config-{VERSION}").write_text("# CONFIG_RD_ZSTD is not set\nCONFIG_RD_GZIP=y\n")
    assert not kernel.takes_zstd(tree, VERSION)
    (tree / f"boot/config-{VERSION}").write_text("CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n")
    assert kernel.takes_zstd(tree, VERSION)


async def test_old_kernels_get_gzip(tree: Path) -> None:
    (tree / "boot").mkdir()
    (tree / f"boot/config-{VERSION}").write_text("CONFIG_RD_GZIP=y\n")
    part = await build_boot_part(tree, VERSION)
    (first, piece), identity = parts_of(part)
    for each in (first, piece):
        assert b"TRAILER!!!" in output("gzip", "-dc", data=each)
    assert identity == b""


async def test_whole_initrd_is_an_index_compressed_parts_and_a_plain_identity(
    tree: Path, tmp_path: Path
) -> None:
    target = tmp_path / "initrd.img"
    await build_boot_initrd(tree, VERSION, "img", "gen", (Layer("d1", 7),), target)
    data = target.read_bytes()
    (first, piece), identity = parts_of(data)
    assert not any(len(each) % 4 for each in (first, piece, identity))
    names = output("cpio", "-t", "--quiet", data=output("zstd", "-dc", data=first)).split()
    assert {b"init", b"bin/busybox", b"bin/sh", b"sbin/modprobe", b"dev/console"} <= set(names)
    # What runs there is the server's, whichever version that has when the client boots.
    assert not [name for name in names if name.startswith(b"ltsp")]
    assert b"d1 7\n" in identity
    # What one card alone needs is not there, but its index is, by which the client sees what it lacks.
    own = output("cpio", "-t", "--quiet", data=output("zstd", "-dc", data=piece)).split()
    assert {f"lib/modules/{VERSION}/{NIC}".encode(), b"lib/firmware/acme/rocket.bin"} <= set(own)
    assert not {each for each in own if each.endswith((b".ko", b".bin"))} & set(names)
    assert f"lib/modules/{VERSION}/modules.dep".encode() in names


async def test_a_machine_gets_what_its_card_needs(tree: Path) -> None:
    others = {
        # Its first card needs a helper that nobody else does, and both a shared one.
        "kernel/drivers/net/ethernet/acme/second.ko": b"firmware=acme/rocket.bin\0firmware=acme/second.bin\0",
        "kernel/lib/shared.ko": b"",
        "kernel/lib/own.ko": b"",
        "kernel/drivers/net/phy/libphy.ko": b"",
        "kernel/drivers/net/phy/chip.ko": b"",
        "kernel/drivers/net/ethernet/acme/third.ko": b"",
        "kernel/drivers/net/xen-netfront.ko": b"",
    }
    for path, info in others.items():
        (tree / HOME / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / HOME / path).write_bytes(module(info))
    (tree / "usr/lib/firmware/acme/second.bin").write_bytes(b"SECOND")
    dep = (tree / HOME / "modules.dep").read_text().replace(f"{NIC}:", f"{NIC}: kernel/lib/shared.ko")
    dep += (
        "kernel/drivers/net/ethernet/acme/second.ko: kernel/lib/shared.ko kernel/lib/own.ko\n"
        "kernel/lib/shared.ko:\nkernel/lib/own.ko:\nkernel/drivers/net/phy/libphy.ko:\n"
        "kernel/drivers/net/phy/chip.ko: kernel/drivers/net/phy/libphy.ko\n"
        "kernel/drivers/net/ethernet/acme/third.ko: kernel/drivers/net/phy/libphy.ko\n"
        "kernel/drivers/net/xen-netfront.ko:\n"
    )
    (tree / HOME / "modules.dep").write_text(dep)
    found = await kernel.read_modules(tree, VERSION)

    def files(*drivers: str) -> set[str]:
        own = (entry for users, piece in found.pieces.items() if users & {*drivers} for entry in piece)
        return {entry.path.rpartition("/")[2] for entry in own}

    assert files("rocket_nic") == {"rocket-nic.ko", "shared.ko", "rocket.bin"}
    assert files("second") == {"second.ko", "shared.ko", "own.ko", "rocket.bin", "second.bin"}
    # Which chip is behind a card shows only when that runs.
    assert files("third") == {"third.ko", "libphy.ko", "chip.ko"}
    common = {entry.path.rpartition("/")[2] for entry in found.common}
    assert {"overlay.ko", "nbd.ko", "modules.alias", "xen-netfront.ko"} <= common
    assert not common & files("rocket_nic", "second", "third")
    paths = [entry.path for entry in found.entries]
    assert len(paths) == len(set(paths))
    part = await build_boot_part(tree, VERSION)
    index = cards.read_index(part)
    assert index is not None
    assert index.drivers("acce:0001") == ("rocket_nic",)
    got = (part[at : at + size] for at, size in index.ranges(["second"], len(part)))
    plain = b"".join(output("zstd", "-dc", data=each) for each in got)
    assert b"SECOND" in plain
    assert b"acme/second.ko\0" in plain
    assert b"acme/third.ko\0" not in plain


def test_what_runs_on_clients_is_in_the_servers_version_and_makes_no_generation_old() -> None:
    home = client_home()
    files = {str(each.relative_to(home)) for each in home.rglob("*") if each.is_file()}
    files.remove("features/README.md")
    generations = {str(each.relative_to(home)) for each in installed_files() if home in each.parents}
    assert generations == {"boot/init", *(f"guest/{each}" for each in GUEST_HOOKS)}
    assert set(read_client()) == files - generations
    scripts = "".join(each.decode() for each in read_client().values())
    assert set(re.findall(r"/ltsp/client/([a-z/.-]+\.sh)", scripts)) <= set(read_client())


@pytest.mark.parametrize("of", ["now", "api-1"])
def test_every_generation_finds_what_it_starts_in_ltsp_img(of: str, tmp_path: Path) -> None:
    """A generation keeps the files that it was built with: those of api-1 were the first with LTSP_API=1."""
    add_on = make_settings_initrd(b"", b"", b"", read_client())
    output("cpio", "-idm", "--quiet", "-D", tmp_path, data=add_on)
    home = Path(__file__).with_name("generations") / of
    scripts = [home / Path(each).name for each in ("init", *GUEST_HOOKS)]
    if of == "now":
        scripts = [each for each in installed_files() if client_home() in each.parents]
    started = {path for each in scripts for path in re.findall(r"/ltsp/client/[\w/.-]+", each.read_text())}
    assert started == {"/ltsp/client/main.sh", "/ltsp/client/guest/enter.sh"}
    for path in started:
        file = tmp_path / path.lstrip("/")
        assert file.resolve().is_relative_to(tmp_path)
        assert file.is_file()


def test_a_server_without_the_clients_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(LtspError, match=r"boot/main\.sh is missing.*reinstall ltspd"):
        read_client(tmp_path)


def test_what_is_no_file_is_no_part_of_what_runs_on_clients(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/main.sh").write_bytes(b"x")
    (tmp_path / "features/directory.sh").mkdir(parents=True)
    (tmp_path / "features/gone.sh").symlink_to("nowhere")
    (tmp_path / "features/of-nobody.so").write_bytes(b"x")
    (tmp_path / "pam").mkdir()
    (tmp_path / "pam/x86_64.so").write_bytes(b"\x7fELF")
    assert read_client(tmp_path) == {"boot/main.sh": b"x", "pam/x86_64.so": b"\x7fELF"}


async def test_busybox_must_be_static_and_of_the_sources_architecture(tree: Path, tmp_path: Path) -> None:
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(Path("/bin/ls").read_bytes())
    with pytest.raises(WrongArchitecture, match="busybox-static"):
        await build_boot_part(tree, VERSION, busybox=dynamic)
    (tree / "usr/bin").mkdir(parents=True)
    # A tree of AArch64 (183): the server's own busybox is of no use.
    (tree / "usr/bin/dash").write_bytes(module(machine=183))
    with pytest.raises(WrongArchitecture):
        await build_boot_part(tree, VERSION)


def test_elf_facts_agree_with_the_loader() -> None:
    facts = elf.parse(Path("/bin/ls").read_bytes())
    assert facts is not None
    assert facts.interpreter.startswith("/lib")
    said = subprocess.run(["ldd", "/bin/ls"], capture_output=True, text=True, check=True).stdout
    assert facts.interpreter in said


@pytest.mark.parametrize("cut", [0, 4, 20, 63, 64, 100])
def test_damaged_elf_files_are_no_elf_files(cut: int) -> None:
    assert elf.parse(Path("/bin/ls").read_bytes()[:cut]) is None
    assert elf.module_info(module(b"firmware=x\0")[:cut], "firmware") == ()


async def test_the_nbd_initrd_has_our_program_where_every_boot_initrd_looks_for_it(tmp_path: Path) -> None:
    program = tmp_path / "server" / NBD_CLIENT
    program.parent.mkdir(parents=True)
    program.write_bytes(b"our program")
    plain = output("zstd", "-dc", data=await make_nbd_initrd(tmp_path / "server"))
    output("cpio", "-idm", "--quiet", "-D", tmp_path, data=plain)
    # It lies where it can't be in the way of the distribution's initrd.
    found = tmp_path / "ltsp/nbd/bin/nbd-client"
    assert found.read_bytes() == b"our program"
    assert found.stat().st_mode & 0o777 == 0o755
    assert f"/{found.relative_to(tmp_path)}" in (CLIENT / "boot/root.sh").read_text()
    # Generations of earlier versions move what is in nbd/ to their root, and need no other directory there.
    assert [each.name for each in (tmp_path / "ltsp/nbd").iterdir()] == ["bin"]


async def test_an_nbd_initrd_without_program_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LtspError, match=r"usr/lib/ltspd/nbd-client is missing: reinstall ltspd"):
        await make_nbd_initrd(tmp_path)


REAL = [
    ("client", "virtio_net nfsv4 nbd overlay squashfs loop hv_netvsc xen_netfront vmxnet3"),
    ("trixie", "virtio_net nfsv4 nbd overlay squashfs loop hv_netvsc"),
]


@pytest.mark.parametrize(("name", "expected"), REAL)
async def test_real_kernels(root_tree: Callable[[str], Path], name: str, expected: str) -> None:
    root = root_tree(name)
    (home,) = (root / "usr/lib/modules").glob("*")
    version = home.name
    assert kernel.check_modules(root, version) == ()
    found = await kernel.read_modules(root, version)
    taken = found.entries
    names = {modules.name_of(entry.path) for entry in taken if entry.path.endswith(".ko")}
    assert set(expected.split()) <= names
    dep = next(entry.data.decode() for entry in taken if entry.path.endswith("modules.dep"))
    for line in dep.splitlines():
        path, _, needs = line.partition(":")
        assert {modules.name_of(each) for each in (path, *needs.split())} <= names
    assert len(cpio.archive(taken)) < 25_000_000
