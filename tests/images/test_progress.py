"""What real builds and folds tell of the bytes that they read, pack, copy and name."""

import os
import subprocess
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from ltspd.image import build
from ltspd.image.build import BuildOptions
from ltspd.image.fold import fold
from ltspd.jobs import engine as jobs
from ltspd.jobs.engine import JobProgress
from ltspd.model.image import Generation, Source, SourceKind
from ltspd.paths import Paths
from tests.worlds.image_builds import boot_part, order, run_build
from tests.worlds.image_trees import make_source, make_tree, write

MIB = 1 << 20


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path)


@pytest.fixture
def source(paths: Paths) -> Source:
    return make_source(paths)


class Told:
    """A job's progress, and all that was ever published of it: phase, bytes done, bytes in all."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, int]] = []
        self.progress = JobProgress(lambda name, _, done, total: self.said.append((name, done, total)))

    def ends(self) -> dict[str, tuple[int, int]]:
        """Check each phase's figures, and return its last ones."""
        found = {}
        for name, group in groupby(self.said, key=lambda each: each[0]):
            figures = [(done, total) for _, done, total in group]
            assert figures[0][0] == 0, name
            assert figures == sorted(figures), name
            assert len({total for _, total in figures}) == 1, name
            assert all(done <= total for done, total in figures), name
            found[name] = figures[-1]
        return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    # All of it, however fast it comes.
    monkeypatch.setattr(jobs, "PROGRESS_SECONDS", 0.0)
    return Told()


async def make(
    paths: Paths, source: Source, told: Told | None = None, options: BuildOptions | None = None
) -> Generation:
    wanted = order(paths, source, options)
    ready = await build.preflight(wanted)
    progress = (told or Told()).progress
    return (await build.build(replace(wanted, progress=progress), ready)).generation


async def test_a_full_build_packs_the_bytes_that_the_look_found(
    paths: Paths, source: Source, told: Told
) -> None:
    write(Path(source.path), "usr/big", os.urandom(20 * MIB))
    generation = await make(paths, source, told)
    assert 20 * MIB <= generation.source_bytes < 21 * MIB
    (layer,) = generation.layers
    none = (0, 0)
    assert told.ends() == {
        "scan": none,
        "squashfs": (generation.source_bytes, generation.source_bytes),
        "digest": (layer.size, layer.size),
        "copy": none,
        "initrd": none,
        "verify": none,
        "publish": none,
    }
    assert len([each for each in told.said if each[0] == "digest"]) > 20


async def test_a_layer_of_changes_is_copied_and_packed_by_its_bytes(
    paths: Paths, source: Source, told: Told
) -> None:
    root = Path(source.path)
    write(root, "usr/big", os.urandom(60 * MIB))
    await make(paths, source)
    write(root, "usr/more", os.urandom(20 * MIB))
    # Other names of a file are copied as names only.
    os.link(root / "usr/more", root / "usr/again")
    for number in range(200):
        write(root, f"usr/small/{number}", b"x" * number)
    generation = await make(paths, source, told)
    assert len(generation.layers) == 2
    size = 20 * MIB + sum(range(200))
    ends = told.ends()
    assert ends["scan"] == (0, 0)
    assert ends["copy"] == ends["squashfs"] == (size, size)
    copied = [done for name, done, _ in told.said if name == "copy"]
    # A large file is not told of at its end only.
    assert len([done for done in copied if 4 * MIB < done < 19 * MIB]) >= 2


async def test_what_came_while_a_source_was_packed_is_told_as_it_is_copied(
    paths: Paths, source: Source, told: Told
) -> None:
    root = Path(source.path)

    async def meanwhile(_root: Path, release: str) -> bytes:
        write(root, "usr/late", os.urandom(MIB))
        return await boot_part(root, release)

    await run_build(order(paths, source, progress=told.progress, make_boot_part=meanwhile))
    assert told.ends()["copy"] == (MIB, MIB)


def packed(directory: Path, size: int) -> bytes:
    """Return a squashfs with one file that can't be compressed."""
    write(directory, "file", os.urandom(size))
    target = directory.with_suffix(".squashfs")
    command = ["mksquashfs", str(directory), str(target), "-quiet", "-no-progress"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target.read_bytes()


async def test_a_medium_is_copied_by_its_bytes(paths: Paths, told: Told) -> None:
    root = make_tree(paths.root / "medium")
    (root / "etc/shadow").unlink()
    base, above = packed(paths.root / "base", 9 * MIB), packed(paths.root / "above", 3 * MIB)
    disk = write(paths.root, "medium.iso", bytes(512) + base + bytes(MIB) + above)
    pieces = ((512, len(base)), (512 + len(base) + MIB, len(above)))
    source = Source("live", SourceKind.DISK, str(root), origin=str(disk), stamp="once", pieces=pieces)
    generation = await make(paths, source, told, BuildOptions(direct=True))
    size = len(base) + len(above)
    assert sum(each.size for each in generation.layers) == size
    assert told.ends()["copy"] == (size, size)
    assert len({done for name, done, _ in told.said if name == "copy"}) >= 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
async def test_a_fold_packs_what_the_source_had(paths: Paths, source: Source, told: Told) -> None:
    root = Path(source.path)
    write(root, "usr/big", bytes(range(256)) * (16 * MIB // 256))
    await make(paths, source)
    write(root, "usr/more", os.urandom(MIB))
    before = await make(paths, source)
    assert len(before.layers) == 2
    folded = await fold(paths, "tiny", told.progress)
    (layer,) = folded.layers
    size = before.source_bytes
    # What is packed, and not what the layers take.
    assert size > 17 * MIB > 2 * layer.size
    assert told.ends() == {"squashfs": (size, size), "digest": (layer.size,) * 2, "publish": (0, 0)}
