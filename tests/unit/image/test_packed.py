"""What was packed is compared with what was meant: a packer that errs publishes nothing."""

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.errors import NotInstalled, ToolFailed
from ltspd.image import build, fold
from ltspd.image.build import BuildOptions
from ltspd.image.look.scan import TICK_NS, scan
from ltspd.image.pack.listing import Listing, read_listing
from ltspd.image.store import store
from ltspd.image.verify import compared, packed
from ltspd.image.verify.meant import Meant, TreeSource
from ltspd.model.image import Source
from ltspd.paths import Paths
from tests.worlds.image_builds import Said, make, order
from tests.worlds.image_trees import pack, write
from tests.worlds.layers import through_layers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

REAL = shutil.which("mksquashfs")
# Runs the real mksquashfs on a copy of what it was told to pack, in which an error is made.
PACKER = """#!{python} -I
import os, shutil, subprocess, sys, tempfile
argv = sys.argv[1:]
if argv == ["-version"]:
    os.execv({real!r}, ["mksquashfs", *argv])
tree = tempfile.mkdtemp(dir={place!r})
changes = "-tar" in argv
if changes:
    subprocess.run(["tar", "-x", "--xattrs", "--xattrs-include=*", "-C", tree], check=True)
    argv.remove("-tar")
else:
    subprocess.run(["cp", "-a", argv[0] + "/.", tree], check=True)
argv[0] = tree
parent = os.path.join(tree, "usr/share")
file, link = os.path.join(parent, "file"), os.path.join(parent, "link")
if os.path.lexists(file) or os.path.lexists(link):
    before = {{each: os.lstat(each) for each in (file, link, parent) if os.path.lexists(each)}}
    exec({error!r})
    for each, status in before.items():
        if os.path.lexists(each):
            os.utime(each, ns=(0, status.st_mtime_ns), follow_symlinks=False)
sys.exit(subprocess.run([{real!r}, *argv]).returncode)
"""
ERRORS = {
    "has other content from byte": "f = open(file, 'r+b'); f.seek(-3, 2); f.write(b'?'); f.close()",
    "'/usr/share/file' is missing": "os.unlink(file)",
    "'/usr/share/more' was not to be in it": "shutil.copy2(link, parent + '/more', follow_symlinks=False)",
    "has the mode 104755 instead of the mode 100644": "os.chmod(file, 0o4755)",
    "has the owner 12 instead of the owner 0": "os.chown(file, 12, 0)",
    "bytes instead of": "open(file, 'ab').write(b'?')",
    "has the mode 40755 instead of the mode 100644": "os.unlink(file); os.mkdir(file, 0o755)",
    "has 1 names instead of 2": "shutil.copy2(file, file + '.'); os.rename(file + '.', file)",
    "has other extended attributes": "os.setxattr(file, 'user.x', b'other')",
    "'/usr/share/link' leads elsewhere": "os.unlink(link); os.symlink('nowhere', link)",
    "(seconds since 1970)": "before.pop(file); os.utime(file, (0, 12345))",
}
# Of them those that another reader of what was meant could miss.
SOME = [each for each in ERRORS if "content" in each or "missing" in each or "names" in each]
MORE = [*SOME, *(each for each in ERRORS if "attributes" in each or "leads" in each or "more" in each)]


@pytest.fixture
def fill(source: Source) -> Callable[[str], None]:
    """Return a function that puts files into the source."""

    def put(content: str) -> None:
        root = Path(source.path)
        file = write(root, "usr/share/file", content)
        os.setxattr(file, "user.x", b"x")
        for name in ("name", "link"):
            (root / "usr/share" / name).unlink(missing_ok=True)
        (root / "usr/share/name").hardlink_to(file)
        (root / "usr/share/link").symlink_to("file")

    return put


@pytest.fixture
def err(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that gives builds a packer which makes an error."""

    def wrap(error: str) -> None:
        text = PACKER.format(python=sys.executable, place=str(tmp_path), real=REAL, error=error)
        write(tmp_path, "programs/mksquashfs", text, 0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")

    return wrap


@pytest.mark.parametrize("words", ERRORS)
async def test_a_full_build_publishes_only_what_was_meant(
    paths: Paths, source: Source, fill: Callable[[str], None], err: Callable[[str], None], words: str
) -> None:
    fill("good content")
    err("pass")
    before = await make(paths, source)
    err(ERRORS[words])
    with pytest.raises(ToolFailed) as caught:
        await make(paths, source, BuildOptions(full=True))
    assert words in caught.value.message
    assert "is not published" in caught.value.message
    assert store.current_id(paths, "tiny") == before.id


PLAIN = [each for each in ERRORS if "names" not in each and "attributes" not in each and "leads" not in each]


@pytest.mark.parametrize("words", [*PLAIN, "has 2 names instead of 1"])
async def test_a_file_with_one_name_is_compared_by_its_line_in_the_layers_list(
    paths: Paths, source: Source, err: Callable[[str], None], words: str
) -> None:
    for name in ("file", "link", "twin"):
        write(Path(source.path), f"usr/share/{name}", "good content")
    err("pass")
    before = await make(paths, source)
    twins = "os.unlink(parent + '/twin'); os.link(file, parent + '/twin')"
    err(ERRORS.get(words, twins))
    with pytest.raises(ToolFailed) as caught:
        await make(paths, source, BuildOptions(full=True))
    assert words in caught.value.message
    assert store.current_id(paths, "tiny") == before.id


async def test_odd_names_are_no_errors_of_the_packer(paths: Paths, source: Source) -> None:
    root = Path(source.path) / "usr/share"
    line = "-rw-r--r-- 0/0 4 2026-01-01 00:00 squashfs-root"
    for name in ("two\nlines", "\n", "to -> there", "dir\nwith/file", " ", f"x\n{line}", f"{line} -> \xff"):
        write(root, name, "text")
    (root / "link -> to").symlink_to("a -> b\nc")
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", stat.S_IFBLK | 0o640, os.makedev(300, 5000))
    assert await make(paths, source)


async def test_the_kernel_is_asked_only_for_what_the_layers_list_does_not_tell(
    paths: Paths, source: Source, tmp_path: Path
) -> None:
    root = Path(source.path)
    for name in ("usr/lib/one", "usr/share/two", "opt/three"):
        write(root, name, "text")
    await asyncio.sleep(2 * TICK_NS / 1e9)
    tree = scan(root, (), b"")
    packed_tree = pack(root, tmp_path / "layer")
    await read_listing(packed_tree, Listing((), frozenset(), None), tmp_path / "listing")
    lines = (tmp_path / "listing").read_bytes().splitlines(keepends=True)
    inodes = 1 + tree.files

    def asked(lines: list[bytes], inodes: int) -> bool:
        found = compared.Entries(Meant(tree.table, TreeSource(os.fsencode(root), tree.table)))
        found.read_listing(lines, inodes)
        try:
            found.ask_kernel(os.fsencode(tmp_path / "nowhere"), compared.Result())
        except FileNotFoundError:
            return True
        return found.count != tree.files

    assert not asked(lines, inodes)
    assert asked(lines, inodes - 1)
    assert asked(lines[:-1], inodes)
    assert asked([*lines, lines[-1]], inodes)
    for old, new in ((b" 0/0 ", b" 0/7 "), (b"-rw-", b"-rws"), (b" 4 2", b" 5 2"), (b":", b":1")):
        number = next(number for number, line in enumerate(lines) if line.endswith(b"three\n"))
        assert old in lines[number]
        assert asked([*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]], inodes)


@pytest.mark.parametrize("words", MORE)
async def test_a_layer_of_changes_is_published_only_as_it_was_meant(
    paths: Paths, source: Source, fill: Callable[[str], None], err: Callable[[str], None], words: str
) -> None:
    write(Path(source.path), "usr/share/large", os.urandom(1 << 20))
    before = await make(paths, source)
    fill("good content")
    err(ERRORS[words])
    with pytest.raises(ToolFailed) as caught:
        await make(paths, source)
    assert words in caught.value.message
    assert store.current_id(paths, "tiny") == before.id
    err("pass")
    assert len((await make(paths, source)).layers) == 2


@pytest.mark.parametrize("words", SOME)
async def test_a_fold_changes_nothing_that_is_seen(
    paths: Paths, source: Source, fill: Callable[[str], None], err: Callable[[str], None], words: str
) -> None:
    write(Path(source.path), "usr/share/large", os.urandom(1 << 20))
    await make(paths, source)
    fill("good content")
    before = await make(paths, source)
    assert len(before.layers) == 2
    err(ERRORS[words])
    with pytest.raises(ToolFailed) as caught:
        await fold.fold(paths, "tiny", Said())
    assert words in caught.value.message
    assert store.current_id(paths, "tiny") == before.id
    err("pass")
    assert len((await fold.fold(paths, "tiny", Said())).layers) == 1


@pytest.mark.parametrize("name", ["etc/passwd", "etc/machine-id"])
async def test_what_the_image_has_in_another_form_is_so_in_it(
    paths: Paths, source: Source, fill: Callable[[str], None], err: Callable[[str], None], name: str
) -> None:
    fill("good content")
    # Into the lists of files that are not the source's own.
    line = f"sed -i 's|^{name} F .*|{name} F 0 644 0 0 echo root:x:0:0:roof:/root:/bin/sh|' pseudo"
    err(f"subprocess.run({line!r}, shell=True, check=True)")
    with pytest.raises(ToolFailed, match=f"'/{name}' "):
        await make(paths, source)


async def test_what_changes_while_it_is_packed_is_no_error_of_the_packer(
    paths: Paths, source: Source, fill: Callable[[str], None], err: Callable[[str], None]
) -> None:
    """Each is in the layer above as it was at last; the one below is not judged by that."""
    root = Path(source.path)
    fill("good content")
    for name in ("usr/share/old/deep/file", "usr/share/turned/file", "usr/share/kept/file"):
        write(root, name, "before")
    await asyncio.sleep(2 * TICK_NS / 1e9)
    steps = (
        f"root = {str(root)!r} + '/usr/share/'",
        "open(root + 'file', 'r+b').write(b'evil')",
        "os.rename(root + 'name', root + 'other-name')",
        "shutil.rmtree(root + 'old')",
        "shutil.rmtree(root + 'turned'); open(root + 'turned', 'w').close()",
        "os.mkdir(root + 'kept/new'); open(root + 'kept/new/file', 'w').close()",
        "os.chmod(root + 'kept', 0o711)",
        "os.unlink(root + 'link'); os.symlink('elsewhere', root + 'link')",
    )
    err("if not changes:\n" + "\n".join(f"    {each}" for each in steps))
    made = await make(paths, source)
    assert len(made.layers) == 2
    layers = [paths.images / "tiny/layers" / each.file_name for each in made.layers]
    seen = through_layers(*layers)
    assert seen[b"usr/share/file"].links == (b"usr/share/file", b"usr/share/other-name")
    assert b"usr/share/old" not in seen
    assert b"usr/share/kept/new/file" in seen


async def test_who_writes_in_memory_is_no_error_of_the_packer(
    paths: Paths, source: Source, err: Callable[[str], None]
) -> None:
    """A database that is mapped into memory is changed without its times being moved each time."""
    file = write(Path(source.path), "usr/share/file", "good content")
    err("f = open(file, 'r+b'); f.write(b'evil'); f.close()")
    with open(file, "r+b"):
        assert (await make(paths, source)).layers
    with pytest.raises(ToolFailed, match="other content"):
        await make(paths, source, BuildOptions(full=True))


@pytest.mark.parametrize("version", ["4.7", "4.7.1", "4.7.2", "4.7.3", "4.7.4", "4.7.4-1"])
async def test_a_packer_that_is_known_to_err_is_refused_before_anything_is_written(
    paths: Paths, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    text = f"#!/bin/sh\necho 'mksquashfs version {version} (2025/11/04)'\n"
    write(tmp_path, "programs/mksquashfs", text, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    with pytest.raises(NotInstalled, match=rf"{version} may pack files that have holes wrongly.*4\.7\.5"):
        await build.preflight(order(paths, source))
    assert not paths.images.exists()


@pytest.mark.parametrize("version", ["4.5.1", "4.6.1", "4.7.5", "4.8", "4.10.1"])
async def test_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    write(tmp_path, "programs/mksquashfs", f"#!/bin/sh\necho mksquashfs version {version} x\n", 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    assert await packed.check_tool() == version


async def test_no_packer_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match=r"Install squashfs-tools"):
        await packed.check_tool()
