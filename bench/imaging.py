"""The program of bench/images: builds, upgrades and folds of two trees, compared with mksquashfs."""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import operation, synthetic, upgrade
from bench.figures import Figure
from bench.operation import Took
from ltspd.image.context import LEVEL
from tests.lab import trees
from tests.lab.cache import cache_dir

# What `ltsp image` runs, with the list of excludes that its package has.
_EXCLUDES = "usr/share/ltsp/server/image/image.excludes"
PACKAGE = "udev"
_MB = 1e6
_CHANGES = (1, 10, 100, 1000, 10_000)


@dataclass(frozen=True, slots=True)
class Bars:
    """The most that a tree's no-op and one-package upgrade may take, in seconds."""

    noop: float
    upgrade: float


def say(text: str) -> None:
    """Tell progress; the answer alone goes to standard output."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def peer(tree: Path, place: Path, *options: str) -> Took:
    """Run mksquashfs with its defaults but for ``options``."""
    target = place / "peer.img"
    began, before = time.monotonic(), os.times()
    command = ["mksquashfs", str(tree), str(target), "-noappend", "-no-progress", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.monotonic() - began, os.times()
    size = target.stat().st_size
    target.unlink()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return Took(wall, sum(after[2:4]) - sum(before[2:4]), peak, [size])


def packed(files: list[Path], place: Path) -> int:
    """Return the bytes of the files in a squashfs of their own, compressed as layers are."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        for number, file in enumerate(files):
            shutil.copyfile(file, Path(directory) / str(number))
        return peer(Path(directory), place, "-comp", "zstd", "-Xcompression-level", str(LEVEL)).size


def measure(name: str, tree: Path, place: Path, bars: Bars, defaults: bool) -> Iterator[Figure]:
    """Measure one tree, which is changed; the store is below ``place``."""
    store = place / f"store-{name}"
    files = ["-wildcards", "-ef", str(tree / _EXCLUDES)]
    theirs = peer(tree, place, *files)
    say(f"{name}: LTSP {theirs.wall:.1f} s, {theirs.size / _MB:.0f} MB")
    ours = operation.run("build", store, tree)
    say(f"{name}: full {ours.wall:.1f} s, {ours.size / _MB:.0f} MB, {ours.phases}")
    note = f"ltspd {ours.wall:.1f} s, LTSP {theirs.wall:.1f} s"
    note += f"; of processors {ours.cpu:.1f} s and {theirs.cpu:.1f} s"
    yield Figure(f"{name}: full build", ours.wall / theirs.wall, 0.06, note=note, digits=3)
    if defaults:
        plain = peer(tree, place)
        sizes = f"mksquashfs without options {plain.wall:.1f} s, {plain.size / _MB:.0f} MB"
        yield Figure(f"{name}: full build and mksquashfs", ours.wall / plain.wall, note=sizes, digits=3)
    noop = operation.run("build", store, tree)
    assert not noop.changed
    yield Figure(f"{name}: nothing changed", noop.wall, bars.noop, " s", f"processors {noop.cpu:.1f} s")
    peaks = [ours.memory, noop.memory]
    package = upgrade.package_files(tree, PACKAGE)
    total = upgrade.replace(package, time.time_ns())
    upgrade.record(tree, PACKAGE, time.time_ns())
    changed = operation.run("build", store, tree)
    peaks.append(changed.memory)
    say(f"{name}: upgrade {changed.wall:.2f} s, {changed.phases}")
    note = f"{PACKAGE}: {len(package)} files, {total / _MB:.1f} MB; processors {changed.cpu:.1f} s"
    yield Figure(f"{name}: one package upgraded", changed.wall, bars.upgrade, " s", note)
    alone = packed([*package, tree / "var/lib/dpkg/status"], place)
    note = f"layer {changed.layers[-1] / _MB:.2f} MB, the changed files packed alone {alone / _MB:.2f} MB"
    yield Figure(f"{name}: layer over what changed", changed.layers[-1] / alone, 2.0, note=note)
    folded = operation.run("fold", store, tree)
    peaks.append(folded.memory)
    say(f"{name}: fold {folded.wall:.1f} s, {folded.size / _MB:.0f} MB")
    note = (
        f"ltspd {folded.size / _MB:.1f} MB in {folded.wall:.0f} s, before folding "
        f"{changed.size / _MB:.1f} MB; LTSP {theirs.size / _MB:.1f} MB"
    )
    yield Figure(f"{name}: size after folding", folded.size / theirs.size, 1.05, note=note, digits=3)
    note = "full, nothing, upgrade, fold: " + ", ".join(f"{peak / _MB:.0f}" for peak in peaks)
    yield Figure(f"{name}: peak memory", max(peaks) / _MB, 400.0, " MB", note, 0)


def cost(name: str, tree: Path, store: Path, counts: tuple[int, ...]) -> list[tuple[str, int, Took]]:
    """Rebuild after changes of that many files of the tree."""
    some = sorted((tree / "opt/many").glob("*/f*")) or upgrade.package_files(tree, PACKAGE)
    seen = []
    for count in counts:
        chosen = random.Random(count).sample(some, min(count, len(some)))
        upgrade.replace(chosen, time.time_ns())
        seen.append((name, len(chosen), operation.run("build", store, tree)))
        say(f"{name}: {len(chosen)} files changed: {seen[-1][2].wall:.2f} s")
    return seen


def plot(rows: list[tuple[str, int, Took]]) -> Iterator[str]:
    """Draw what a rebuild costs by its change and by the image; the look at the source is apart."""
    yield "a rebuild by what changed and by the image (. the look at the source, # all the rest; 0.1 s each)"
    for name, count, took in rows:
        look = took.phases.get("scan", 0.0)
        rest = took.wall - look
        bar = "." * round(look * 10) + "#" * round(rest * 10)
        yield f"  {name:>6} tree, {count:>6} files changed: {look:5.2f} s + {rest:5.2f} s {bar[:120]}"


def _show(figures: Iterator[Figure]) -> bool:
    missed = False
    for figure in figures:
        print(figure.line(), flush=True)
        missed |= figure.missed
    return missed


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/images", description="Build, rebuild and fold images of a real and of a large tree."
    )
    parser.add_argument("--only", choices=("small", "large"), help="leave out the other tree")
    only = parser.parse_args().only
    missed = False
    pristine = trees.tree("ltsp-client")
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="bench-images-") as directory:
        place = Path(directory)
        rows = []
        if only != "large":
            small = place / "small"
            subprocess.run(["cp", "-a", str(pristine), str(small)], check=True)
            missed |= _show(measure("small", small, place, Bars(1.0, 1.5), True))
            rows += cost("small", small, place / "store-small", _CHANGES[:3])
        if only != "small":
            large = synthetic.large(pristine)
            missed |= _show(measure("large", large, place, Bars(6.0, 12.0), False))
            rows += cost("large", large, place / "store-large", _CHANGES)
        for line in plot(rows):
            print(line)
    print(f"load {os.getloadavg()[1]:.1f} on {os.cpu_count()} processors", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
