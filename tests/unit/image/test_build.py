"""Whole builds of small sources with the real mksquashfs, and one of a real Debian tree."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.errors import InconsistentSource, NoKernel
from ltspd.image import build
from ltspd.image.build import Build, BuildOptions
from ltspd.image.context import WORK_PREFIX
from ltspd.image.look.plan import excludes_setting
from ltspd.image.look.scan import scan
from ltspd.image.store import manifest, store
from ltspd.model.image import Generation, Source, SourceKind
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.system.run import run
from tests.lab import trees
from tests.worlds.image_builds import (
    SECRET,
    SECRETS,
    Said,
    layer_of,
    make,
    order,
    run_build,
    untouched,
)
from tests.worlds.image_trees import HASH, RELEASE, names, unpack, write


async def test_a_build_publishes_root_kernel_and_initrd_together(paths: Paths, source: Source) -> None:
    before = names(Path(source.path))
    said = Said()
    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    assert not paths.images.exists()
    built = await build.build(replace(wanted, progress=said), ready)
    generation = built.generation
    assert built.changed
    (image,), problems = store.read_images(paths)
    assert (problems, image.current_generation) == ((), generation)
    home = paths.images / "tiny/generations" / generation.id
    assert (home / "vmlinuz").read_bytes() == b"kernel" * 1000
    initrd = (home / "initrd.img").read_bytes()
    assert initrd.startswith(f"boot part of {RELEASE}".encode())
    assert f"tiny {generation.id}".encode() in initrd
    digest, size = (home / "layers").read_text().split()
    assert f"{digest} {size}".encode() in initrd
    assert hashlib.sha256(layer_of(paths, generation).read_bytes()).hexdigest() == digest
    assert said.phases == ["scan", "squashfs", "digest", "copy", "initrd", "verify", "publish"]
    assert said.shares == pytest.approx(1.0)
    assert generation.summary == f"first build, 2 packages, kernel {RELEASE}"
    assert names(Path(source.path)) == before
    fetched = {each.name for each in home.iterdir() if each.stat().st_mode & 0o777 == 0o644}
    assert fetched == {"vmlinuz", "initrd.img", "layers"}
    assert home.stat().st_mode & 0o777 == 0o755
    assert layer_of(paths, generation).stat().st_mode & 0o777 == 0o644


def readable_by_all(directory: Path) -> set[str]:
    """Return what somebody without any rights could read below a directory that everybody may enter."""
    found = set()
    for each in directory.iterdir():
        mode = each.lstat().st_mode
        if each.is_dir() and not each.is_symlink():
            found |= readable_by_all(each) if mode & 0o001 else set()
        elif each.is_file() and mode & 0o004:
            found.add(str(each))
    return found


@pytest.mark.parametrize("again", [False, True])
async def test_nobody_can_fetch_what_is_being_made(paths: Paths, source: Source, again: bool) -> None:
    """The store is exported, and a layer that was not looked at may hold anything."""
    if again:
        await make(paths, source)
        write(Path(source.path), "usr/new", "x")
    before = readable_by_all(paths.images) if again else set()
    # Publishing begins at the last one of these, after the last look.
    told: dict[str, set[str]] = {}
    files: dict[str, int] = {}

    def step(name: str) -> None:
        if "begin" not in told:
            told[name] = readable_by_all(paths.images)
            work = [each for each in paths.images.rglob("*") if WORK_PREFIX in str(each)]
            files[name] = sum(each.is_file() for each in work)
            assert {each.stat().st_mode & 0o077 for each in work if each.parent.name == "tiny"} == {0}

    old = os.umask(0)
    try:
        await run_build(order(paths, source, step=step))
    finally:
        os.umask(old)
    assert set(told) >= {"scanned", "packed", "copied", "written", "begin"}
    assert files["packed"] >= 1
    assert files["written"] >= 5
    assert {name for name, reach in told.items() if reach - before} == set()


async def test_no_secret_gets_into_an_image(paths: Paths, source: Source, tmp_path: Path) -> None:
    root = Path(source.path)
    for name in SECRETS:
        write(root, name, SECRET, 0o600)
    write(root, "etc/tool/key", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}", 0o600)
    write(root, "usr/share/kept", "kept")
    before = {
        name: (root / name).read_bytes() for name in (*SECRETS, "etc/passwd", "etc/shadow", "etc/fstab")
    }
    generation = await make(paths, source, BuildOptions(omit_excludes=("etc/ssh/ssh_host_*", "root/*")))
    out = unpack(layer_of(paths, generation), tmp_path / "out")
    for found in names(out):
        file = tmp_path / "out" / os.fsdecode(found)
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            for secret in (SECRET.encode(), HASH.encode(), b"/home/ann", b"UUID=1234", b"0123456789abcdef"):
                assert secret not in content, (found, secret)
    assert (out / "etc/machine-id").read_bytes() == b""
    assert (out / "etc/passwd").read_text() == "root:x:0:0::/root:/bin/sh\n"
    assert (out / "etc/shadow").stat().st_mode & 0o777 == 0o640
    assert (out / "usr/share/kept").read_text() == "kept"
    assert (out / "var/log/auth.log").read_bytes() == b""
    assert {each.name for each in (out / "home").iterdir()} == set()
    published = b"".join(each.read_bytes() for each in paths.images.rglob("*") if each.is_file())
    assert SECRET.encode() not in published
    assert {name: (root / name).read_bytes() for name in before} == before


async def test_an_unchanged_source_is_left_as_it_is(paths: Paths, source: Source) -> None:
    first = await make(paths, source)
    before = untouched(paths)
    wanted = order(paths, source)
    ready = await build.preflight(wanted)
    said = Said()
    built = await build.build(replace(wanted, progress=said), ready)
    assert (built.generation, built.changed) == (first, False)
    assert said.phases == ["scan", "unchanged"]
    assert untouched(paths) == before
    second = await make(paths, source, BuildOptions(full=True))
    assert second.id != first.id
    assert second.layers == first.layers
    assert second.summary == "no package changed"


async def test_what_an_older_version_built_is_packed_anew(paths: Paths, source: Source) -> None:
    """Nothing changed in the source, but the layers may have what is left out now."""
    first = await make(paths, source)
    file = paths.images / "tiny/generations" / first.id / "manifest.json"
    text = file.read_text()
    file.write_text(text.replace(f'"rules": {manifest.RULES},', ""))
    assert store.find(paths, "tiny").generations[0].outdated
    second = await make(paths, source)
    assert (second.id != first.id, len(second.layers), second.outdated) == (True, 1, False)


async def test_a_changed_source_gets_a_layer_above_its_base(paths: Paths, source: Source) -> None:
    first = await make(paths, source)
    with open(Path(source.path) / "var/lib/dpkg/status", "a") as file:
        file.write("\nPackage: cups\nStatus: install ok installed\nVersion: 2\n")
    said = Said()
    second = (await run_build(order(paths, source, progress=said))).generation
    assert said.phases == ["scan", "copy", "squashfs", "initrd", "verify", "publish"]
    assert said.shares == pytest.approx(1.0)
    assert second.layers[:-1] == first.layers
    assert second.summary == "1 package added"
    assert second.packages_digest != first.packages_digest
    home = paths.images / "tiny/generations" / second.id
    initrd = (home / "initrd.img").read_bytes()
    assert initrd.startswith(f"boot part of {RELEASE}".encode())
    assert "".join(f"{each.digest} {each.size}\n" for each in second.layers).encode() in initrd
    assert f"tiny {second.id}".encode() in initrd
    assert (home / "vmlinuz").read_bytes() == b"kernel" * 1000
    write(Path(source.path), "usr/new", "x")
    third = await make(paths, source, BuildOptions(keep=2, grace=0))
    (image,), _ = store.read_images(paths)
    assert image.generations == (second, third)
    assert len(list((paths.images / "tiny/layers").iterdir())) == 3


async def test_what_a_client_began_to_use_during_a_build_stays(paths: Paths, source: Source) -> None:
    first = await make(paths, source)
    write(Path(source.path), "usr/share/second", "x")
    await make(paths, source)
    write(Path(source.path), "usr/share/third", "x")
    options = BuildOptions(keep=1, grace=0)
    wanted = order(paths, source, options)
    ready = await build.preflight(wanted)
    used: set[str] = set()

    async def boot(_generation: Generation, _home: Path, _progress: Progress) -> None:
        used.add(first.id)

    built = await build.build(replace(wanted, in_use=lambda: frozenset(used), trial=boot), ready)
    generations = paths.images / "tiny/generations"
    assert {each.name for each in generations.iterdir()} == {first.id, built.generation.id}


async def test_excludes_of_file_and_options_apply(paths: Paths, source: Source, tmp_path: Path) -> None:
    root = Path(source.path)
    for name in ("opt/ltsp-old/x", "srv/site", "usr/games/chess", "usr/local/tool"):
        write(root, name, "x")
    default = await make(paths, source, BuildOptions(("usr/games",), ("opt/ltsp*",)))
    found = names(unpack(layer_of(paths, default), tmp_path / "default"))
    assert b"opt/ltsp-old/x" in found
    assert not {b"usr/games", b"srv/site"} & found
    write(paths.root, "etc/ltsp/image.excludes", "# ours\nusr/local/*\n")
    own = await make(paths, source)
    found = names(unpack(layer_of(paths, own), tmp_path / "own"))
    assert {b"srv/site", b"usr/games/chess", b"usr/local"} <= found
    assert b"usr/local/tool" not in found


def test_a_setting_has_patterns_one_a_line_or_names_a_file(paths: Paths) -> None:
    assert excludes_setting(paths, "") == ()
    assert excludes_setting(paths, " opt/a b/* \n\n... *.o\n") == ("opt/a b/*", "... *.o")
    write(paths.root, "etc/ltsp/more", "x/*\ny/*\n")
    assert excludes_setting(paths, "/etc/ltsp/more") == ("x/*", "y/*")
    assert excludes_setting(paths, "/no/file") == ("/no/file",)


async def test_the_server_itself_never_packs_its_store(paths: Paths, source: Source, tmp_path: Path) -> None:
    root = Path(source.path)
    inside = Paths(root=root, base="/data/ltsp")
    write(inside.images, "old/layers/x.squashfs", "old image")
    own = Source("own", SourceKind.ROOT, str(root))
    generation = await make(inside, own)
    found = names(unpack(layer_of(inside, generation), tmp_path / "out"))
    assert b"data/ltsp/images" in found
    assert not [name for name in found if name.startswith(b"data/ltsp/images/")]


async def test_foreseeable_errors_are_the_preflights_and_leave_nothing(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    wanted = replace(order(paths, source), missing_modules=lambda _root, _release: ("squashfs",))
    with pytest.raises(NoKernel, match="it has no squashfs"):
        await build.preflight(wanted)
    write(root, "var/lib/dpkg/updates/0001", "x")
    with pytest.raises(InconsistentSource):
        await make(paths, source)
    (root / "var/lib/dpkg/updates/0001").unlink()
    (root / f"boot/vmlinuz-{RELEASE}").unlink()
    with pytest.raises(NoKernel):
        await make(paths, source)
    assert untouched(paths) == set()


@pytest.mark.lab
async def test_a_real_debian_is_built_small(paths: Paths) -> None:
    tree = trees.tree("client")
    source = Source("client", SourceKind.DIRECTORY, str(tree))
    wanted = Build(paths, source)
    ready = await build.preflight(wanted)
    generation = (await build.build(wanted, ready)).generation
    # LTSP makes 155 MB of this tree (its defaults, gzip); half of its 428 MB is a layer gone wrong.
    assert 80e6 < generation.layers[0].size < 1.1 * 155e6
    assert generation.source_files == scan(tree, ready.plan.excludes).files
    listing = (await run(["unsquashfs", "-lls", str(layer_of(paths, generation))], whole=16 << 20)).stdout
    assert b"/usr/lib/systemd/systemd\n" in listing
    assert b"/etc/shadow-" not in listing
