"""What disk tests share: paths below a temporary root, and a look at one disk."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ltspd.disk.opening import DiskRoot, open_disk
from ltspd.paths import Paths

Look = Callable[..., Awaitable[tuple[DiskRoot, dict[str, str]]]]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path / "server")


@pytest.fixture
def look(paths: Paths) -> Look:
    """Return a function that opens a disk and reads its small files, by name."""

    async def open_and_read(
        file: Path, partition: int = 0, directory: str = ""
    ) -> tuple[DiskRoot, dict[str, str]]:
        async with open_disk(paths, file, partition=partition, directory=directory) as found:
            names = [each for each in found.path.rglob("*") if each.is_file() and not each.is_symlink()]
            return found, {
                str(each.relative_to(found.path)): each.read_text("latin-1") for each in sorted(names)
            }

    return open_and_read
