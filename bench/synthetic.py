"""A large source tree: a real small one, and around it 300,000 files of 8 GB in all; made once and kept."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.cache import cache_dir, locked

FILES = 300_000
BYTES = 8 << 30
# Half of a real system's bytes compress well and half hardly; the sparse rest is what VM disks and
# databases are like. Part of the cached tree's name, so that another recipe makes another tree.
RECIPE = 1
_IN_DIRECTORY = 300
_SPARSE_FILES = 20
_MEAN = 10_000
_POOL = 32 << 20


def large(small: Path) -> Path:
    """Return the tree, made first if the cache has none; takes a minute and 4 GB."""
    trees = cache_dir() / "trees"
    path = trees / f"large-{RECIPE}-{small.name}"
    with locked(trees / "large.lock"):
        if path.is_dir():
            return path
        print(f"bench: making {path}", file=sys.stderr)
        unfinished = path.with_name(f".{path.name}.new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        subprocess.run(["cp", "-a", str(small), str(unfinished)], check=True)
        _fill(unfinished)
        unfinished.rename(path)
    return path


def _fill(root: Path) -> None:
    chance = random.Random(RECIPE)
    words = [chance.randbytes(chance.randint(2, 9)).hex().encode() for _ in range(5000)]
    text = b" ".join(chance.choices(words, k=_POOL // 8))[: _POOL // 2]
    pool = text + chance.randbytes(_POOL // 2)
    have = sum(len(names) + len(files) for _, names, files in os.walk(root))
    size = subprocess.run(["du", "-s", "-b", str(root)], check=True, capture_output=True, text=True).stdout
    left = FILES - have - _SPARSE_FILES
    left -= left // _IN_DIRECTORY
    for number in range(left):
        place = root / f"opt/many/{number // _IN_DIRECTORY:04}"
        if number % _IN_DIRECTORY == 0:
            place.mkdir(parents=True)
        length = min(int(chance.expovariate(1 / _MEAN)), 40 * _MEAN)
        start = chance.randrange(len(pool) - length)
        descriptor = os.open(place / f"f{number:06}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, pool[start : start + length])
        os.close(descriptor)
    hole = (BYTES - int(size.split()[0]) - left * _MEAN) // _SPARSE_FILES
    for number in range(_SPARSE_FILES):
        with open(root / f"opt/many/sparse{number}", "wb") as file:
            file.seek(number * (1 << 20))
            file.write(pool[: 1 << 20])
            file.truncate(hole)
