"""A large source tree: a real small one, filled up to 300,000 files of 8 GB. It is kept in the cache."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.cache import cache_dir, locked

FILES = 300_000
BYTES = 8 << 30
# Part of the cached tree's name, so that another recipe makes another tree.
RECIPE = 2
_IN_DIRECTORY = 300
# Like VM disks and databases: a tenth of all bytes is in holes.
_SPARSE_FILES = 20
_SPARSE_SHARE = 0.1
# Media and archives: every tenth file is random, the others are cut out of the real tree's own files.
_RANDOM_EVERY = 10
_POOL = 256 << 20


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


def _fill(root: Path, files: int = FILES, size: int = BYTES) -> None:
    chance = random.Random(RECIPE)
    pool = _real(root)
    noise = chance.randbytes(_POOL // 8)
    have = sum(len(names) + len(others) for _, names, others in os.walk(root))
    du = subprocess.run(["du", "-s", "-b", str(root)], check=True, capture_output=True, text=True).stdout
    count = files - have - _SPARSE_FILES
    count -= count // _IN_DIRECTORY
    holes = int(size * _SPARSE_SHARE)
    mean = (size - holes - int(du.split()[0])) // count
    for number in range(count):
        place = root / f"opt/many/{number // _IN_DIRECTORY:04}"
        if number % _IN_DIRECTORY == 0:
            place.mkdir(parents=True)
        source = pool if number % _RANDOM_EVERY else noise
        length = min(int(chance.expovariate(1 / mean)), len(source) // 2)
        start = chance.randrange(len(source) - length)
        descriptor = os.open(place / f"f{number:06}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, source[start : start + length])
        os.close(descriptor)
    for number in range(_SPARSE_FILES):
        with open(root / f"opt/many/sparse{number}", "wb") as file:
            file.seek(number * (1 << 20))
            file.write(noise[: 1 << 20])
            file.truncate(holes // _SPARSE_FILES)


def _real(root: Path) -> memoryview:
    """Return the real tree's own bytes, so that the large one compresses as well."""
    pool = bytearray()
    for directory, names, files in os.walk(root / "usr"):
        names.sort()
        for name in sorted(files):
            file = Path(directory, name)
            if file.is_file() and not file.is_symlink():
                pool += file.read_bytes()
        if len(pool) > _POOL:
            break
    return memoryview(pool)
