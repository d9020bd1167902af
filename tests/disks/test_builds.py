"""Images from disks: every kind gives the very tree that was put on it; what goes wrong leaves nothing."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.config.file import ConfFile
from ltspd.disk.source import readable
from ltspd.errors import BadDisk, Busy, InconsistentSource, InvalidOption, LtspError, NoKernel, ToolFailed
from ltspd.image.build import BuildOptions, Built
from ltspd.image.context import Step, nothing
from ltspd.image.source.find import resolve
from ltspd.jobs.builds import Builds
from ltspd.jobs.engine import Jobs
from ltspd.jobs.trials import Trials
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths
from tests.lab.laying import ESP, MIB, SWAP, Part, call, convert, disk, fat, swap
from tests.worlds.disks import ext4, lvm, system
from tests.worlds.generations import check_nothing_left, check_whole, make, seen
from tests.worlds.image_trees import RELEASE, make_tree, write
from tests.worlds.layers import Seen, difference

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

LVM_TYPE = {"gpt": "E6D6D379-F507-44C2-A23C-238F2A3DF928", "dos": "8e"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a system with a file of each sort that could get lost on the way."""
    root = make_tree(tmp_path_factory.mktemp("tree") / "root")
    random = write(root, "usr/lib/random", os.urandom(3 * MIB + 7))
    (root / "usr/lib/same").hardlink_to(random)
    (root / "usr/lib/link").symlink_to("../nowhere")
    write(root, "usr/bin/su", b"su", 0o4755)
    os.chown(write(root, "opt/own", b"own", 0o600), 12345, 23456)
    write(root, "usr/share/naïve name\n", b"x")
    os.setxattr(write(root, "usr/bin/ping"), "user.note", b"kept")
    with open(root / "usr/share/sparse", "wb") as file:
        file.truncate(MIB)
        file.seek(MIB // 2)
        file.write(b"middle")
    os.utime(root / "usr/bin/su", (10**9, 10**9))
    return root


@pytest.fixture(scope="module")
def wanted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, Seen]:
    """Return what an image of the same tree as a directory shows."""
    import asyncio

    paths = Paths(root=tmp_path_factory.mktemp("reference"))
    built = asyncio.run(make(paths, Source("tree", SourceKind.DIRECTORY, str(tree))))
    return seen(paths, built.generation)


async def make_from(
    paths: Paths, word: str, options: BuildOptions | None = None, step: Step = nothing
) -> Built:
    async with readable(paths, resolve(paths, word)) as opened:
        return await make(paths, opened, options, step=step)


def shown(paths: Paths, built: Built) -> dict[bytes, Seen]:
    found = seen(paths, built.generation)
    # mke2fs makes one in every file system.
    found.pop(b"lost+found", None)
    return found


def lay_out(place: Path, table: str, inside: str, tree: Path) -> Path:
    """Write a disk with a root of 12 MiB, plain or as a logical volume in two pieces."""
    root = ext4(place, tree, 12 * MIB, "-L", "root")
    if inside == "lvm":
        root = lvm(place, "vg", [("swap", swap(2 * MIB)), ("root", root)])
    kind = LVM_TYPE[table] if inside == "lvm" else ""
    small = [Part(fat(), ESP), Part(swap(), SWAP)] if table == "gpt" else [Part(swap(), "82")]
    return disk(place / "disk", table, [*small, Part(root, kind)])


@pytest.mark.parametrize("inside", ["plain", "lvm"])
@pytest.mark.parametrize("table", ["dos", "gpt"])
async def test_every_kind_of_disk_becomes_the_same_image(
    tmp_path: Path, paths: Paths, tree: Path, wanted: dict[bytes, Seen], table: str, inside: str
) -> None:
    raw = lay_out(tmp_path, table, inside, tree)
    paths.base_dir.mkdir(parents=True)
    for kind in ("raw", "qcow2", "vmdk", "vdi"):
        image = convert(raw, paths.base_dir / f"{kind}.img", kind)
        built = await make_from(paths, kind)
        assert difference(wanted, shown(paths, built)) == {}, kind
        assert built.generation.source == str(image)
        assert check_whole(paths, kind) == built.generation


async def test_a_live_medium_becomes_the_same_image(
    tmp_path: Path, paths: Paths, tree: Path, wanted: dict[bytes, Seen]
) -> None:
    live = tmp_path / "medium/live/filesystem.squashfs"
    live.parent.mkdir(parents=True)
    call("mksquashfs", tree, live, "-noappend", "-quiet", "-no-progress")
    image = tmp_path / "debian-live.iso"
    call("xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", image, tmp_path / "medium")
    built = await make_from(paths, str(image))
    assert difference(wanted, shown(paths, built)) == {}
    assert built.generation.image == "debian-live"


def medium(place: Path, tree: Path, *names: str) -> Path:
    """Write a live medium with the tree in the first squashfs, and a small one more for each further name."""
    for number, name in enumerate(names):
        live = place / "medium/casper" / name
        live.parent.mkdir(parents=True, exist_ok=True)
        content = tree if number == 0 else write(place / f"more{number}", "etc/more", name).parents[1]
        call("mksquashfs", content, live, "-noappend", "-quiet", "-no-progress")
    image = place / "live.iso"
    call("xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", image, place / "medium")
    return image


AS_IT_IS = BuildOptions(direct=True)


@pytest.fixture
def public(tmp_path: Path, tree: Path) -> Path:
    """Copy the tree without what a published medium never has."""
    copy = tmp_path / "public"
    call("cp", "-a", tree, copy)
    (copy / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    for key in (copy / "etc/ssh").glob("*_key"):
        key.unlink()
    return copy


@pytest.mark.parametrize("names", [("filesystem.squashfs",), ("min.squashfs", "min.live.squashfs")])
async def test_the_squashfs_of_a_live_medium_are_layers_as_they_are(
    tmp_path: Path, paths: Paths, public: Path, names: tuple[str, ...]
) -> None:
    image = medium(tmp_path, public, *names)
    built = await make_from(paths, str(image), AS_IT_IS)
    files = [(tmp_path / "medium/casper" / name).read_bytes() for name in names]
    home = paths.images / "live/layers"
    assert [(home / each.file_name).read_bytes() for each in built.generation.layers] == files
    found = shown(paths, built)
    assert b"usr/lib/random" in found
    assert (b"etc/more" in found) == (len(names) > 1)
    assert built.generation.direct
    assert check_whole(paths, "live") == built.generation
    assert not (await make_from(paths, str(image), AS_IT_IS)).changed
    packed = await make_from(paths, str(image))
    assert packed.changed
    assert not packed.generation.direct


@pytest.mark.parametrize("secret", ["etc/shadow", "etc/ssh/ssh_host_rsa_key"])
async def test_a_live_medium_with_secrets_is_not_given_away(
    tmp_path: Path, paths: Paths, public: Path, secret: str
) -> None:
    (public / secret).unlink(missing_ok=True)
    write(public, secret, b"root:$6$salt$hash:19000:0:99999:7:::\n")
    image = medium(tmp_path, public, "filesystem.squashfs")
    with pytest.raises(InvalidOption, match=f"secrets that everybody could read then: /{secret}"):
        await make_from(paths, str(image), AS_IT_IS)
    assert not paths.images.exists()


async def test_a_virtual_machine_is_not_given_away(paths: Paths, image: Path) -> None:
    with pytest.raises(InvalidOption, match=rf"{image} can't be booted without building"):
        await make_from(paths, "vm", AS_IT_IS)
    assert not paths.images.exists()


@pytest.fixture
def image(tmp_path: Path, paths: Paths, tree: Path) -> Path:
    """Put a disk of one file system into the base directory."""
    paths.base_dir.mkdir(parents=True)
    return disk(paths.base_dir / "vm.img", "none", [Part(ext4(tmp_path, tree, 12 * MIB))])


async def test_a_second_build_packs_only_what_changed_on_the_disk(paths: Paths, image: Path) -> None:
    first = await make_from(paths, "vm")
    again = await make_from(paths, "vm")
    assert (again.changed, again.generation) == (False, first.generation)
    # Touched, but the same: clients need nothing new, and nothing is stale any more either.
    os.utime(image)
    touched = await make_from(paths, "vm")
    assert touched.generation.layers == first.generation.layers
    assert touched.generation.packages_digest != first.generation.packages_digest
    call("debugfs", "-w", "-R", f"write {__file__} usr/share/new", image)
    call("debugfs", "-w", "-R", "rm usr/bin/su", image)
    third = await make_from(paths, "vm")
    assert third.generation.layers[:-1] == first.generation.layers
    assert third.generation.layers[-1].size < 16 << 10
    found = shown(paths, third)
    assert b"usr/share/new" in found
    assert b"usr/bin/su" not in found
    full = await make_from(paths, "vm", BuildOptions(full=True))
    assert len(full.generation.layers) == 1
    assert difference(found, shown(paths, full)) == {}


async def test_a_disk_that_is_written_to_is_not_read(paths: Paths, image: Path) -> None:
    by_us = rf"vm\.img is being written to by .*\(process {os.getpid()}\)"
    with open(image, "r+b"), pytest.raises(Busy, match=by_us):
        await make_from(paths, "vm")
    device = call("losetup", "--find", "--show", image).decode().strip()
    try:
        with pytest.raises(Busy, match=r"vm\.img is being written to by another program"):
            await make_from(paths, "vm")
    finally:
        call("losetup", "--detach", device)
    assert not paths.images.exists()
    with open(image, "rb"):
        await make_from(paths, "vm")


@pytest.mark.parametrize("moment", ["scanned", "packed", "copied", "sealed"])
async def test_a_disk_that_was_written_to_meanwhile_becomes_no_image(
    paths: Paths, image: Path, moment: str
) -> None:
    def write_now(step: str) -> None:
        if step == moment:
            os.utime(image)

    with pytest.raises(InconsistentSource, match=r"vm\.img was changed while it was read"):
        await make_from(paths, "vm", step=write_now)
    check_nothing_left(paths, "vm")
    assert check_whole(paths, "vm") is None


@pytest.mark.parametrize(
    ("kind", "moment"),
    [("raw", "scanned"), ("raw", "packed"), ("raw", "copied"), ("raw", "sealed"), ("qcow2", "scanned")],
)
async def test_a_disk_that_goes_away_becomes_no_image(
    tmp_path: Path, paths: Paths, image: Path, kind: str, moment: str
) -> None:
    convert(image, tmp_path / "converted", kind).rename(image)
    holders: list[int] = []

    def end_it(step: str) -> None:
        if step != moment:
            return
        (holder,) = holders
        # What serves a qcow2 is the holder's only child; without it the holder ends by itself.
        child = Path(f"/proc/{holder}/task/{holder}/children").read_text()
        os.kill(holder if kind == "raw" else int(child), signal.SIGKILL)
        for _ in range(500):
            if not Path(f"/proc/{holder}/root").exists():
                return
            time.sleep(0.01)

    async def build_it() -> None:
        async with readable(paths, resolve(paths, "vm")) as opened:
            holders.append(int(opened.path.split("/")[2]))
            await make(paths, opened, step=end_it)

    with pytest.raises(ToolFailed, match="can't be read any more"):
        await build_it()
    check_nothing_left(paths, "vm")
    assert check_whole(paths, "vm") is None


async def test_errors_name_the_disk_and_not_where_it_was_read(tmp_path: Path, paths: Paths) -> None:
    paths.base_dir.mkdir(parents=True)
    root = make_tree(tmp_path / "root")
    (root / f"boot/vmlinuz-{RELEASE}").unlink()
    image = disk(paths.base_dir / "vm.img", "none", [Part(ext4(tmp_path, root))])
    with pytest.raises(NoKernel, match=rf"^{image} has no kernel") as caught:
        await make_from(paths, "vm")
    assert "/proc/" not in str(caught.value)


async def test_the_partition_is_the_callers_choice(tmp_path: Path, paths: Paths) -> None:
    paths.base_dir.mkdir(parents=True)
    parts = []
    for name in ("one", "two"):
        write(make_tree(tmp_path / name), "etc/hostname", name)
        parts.append(Part(ext4(tmp_path, tmp_path / name)))
    image = disk(paths.base_dir / "vm.img", "gpt", parts)
    with pytest.raises(LtspError, match=r"has 2 systems, .* vm\.img,partition=N"):
        await make_from(paths, "vm")
    built = await make_from(paths, "vm,partition=2")
    assert built.generation.source == f"{image},partition=2"
    again = await make_from(paths, f"{image},partition=2")
    assert not again.changed
    other = await make_from(paths, "vm,partition=1")
    assert len(other.generation.layers) == 1, "another partition is no increment of the first"
    await make_from(paths, "vm,partition=2")
    with pytest.raises(NoKernel, match=r"vm\.img,partition=2 can't boot from a network"):
        # These kernels have no modules; what counts is that the choice holds.
        await a_daemons_build(paths, "vm")
    with pytest.raises(NoKernel, match=r"vm\.img,partition=1 can't"):
        await a_daemons_build(paths, "vm,partition=1")


async def a_daemons_build(paths: Paths, word: str) -> None:
    async def served() -> None:
        pass

    async def act(_method: str, _unit: str) -> str:
        return "no systemd"

    conf, jobs = ConfFile(paths), Jobs(lambda: None, lambda _: None)
    builds = Builds(paths, conf, jobs, served, tuple, Trials(paths, conf, jobs, act))
    await builds.start(word, {}, 0)


async def test_a_bad_disk_is_an_error_of_the_call(tmp_path: Path, paths: Paths) -> None:
    paths.base_dir.mkdir(parents=True)
    whole = disk(tmp_path / "disk", "gpt", [Part(ext4(tmp_path, system(tmp_path / "root")))])
    (paths.base_dir / "short.img").write_bytes(whole.read_bytes()[: 2 * MIB])
    (paths.base_dir / "noise.img").write_bytes(os.urandom(MIB))
    (paths.base_dir / "empty.img").touch()
    for name in ("short", "noise", "empty"):
        with pytest.raises(BadDisk, match=name):
            await a_daemons_build(paths, name)
    gone = replace(resolve(paths, "noise"), path="/nonexistent/x.img")
    with pytest.raises(BadDisk, match=r"/nonexistent/x\.img is not a file"):
        async with readable(paths, gone):
            pass
    assert not paths.images.exists()
