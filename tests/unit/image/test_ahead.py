"""Reading ahead asks the kernel for regular files, and for nothing else."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from ltspd.image.look.scan import scan
from ltspd.image.pack import ahead
from ltspd.image.pack.ahead import read_ahead
from tests.patience import PATIENCE

SIZE = 256 << 10


def in_memory(*files: Path) -> int:
    """Return how many bytes of some files are in memory."""
    said = subprocess.run(["fincore", "-nbo", "RES", *files], capture_output=True, text=True, check=True)
    return sum(map(int, said.stdout.split()))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    """Make files that are on the disk alone, beside a pipe and a link that leads nowhere."""
    found = (tmp_path / "a", tmp_path / "sub/b")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for path in found:
        with path.open("wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(*found):
        pytest.skip("files can't be dropped from memory here, as on a tmpfs")
    return found


def test_what_is_not_in_memory_comes_there(files: tuple[Path, ...], tmp_path: Path) -> None:
    read_ahead(tmp_path, scan(tmp_path, ()).table, lambda: False)
    deadline = time.monotonic() + PATIENCE
    while in_memory(*files) < 2 * SIZE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_more_is_asked_for_than_fits(
    files: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = scan(tmp_path, ()).table
    monkeypatch.setattr(ahead, "MOST", SIZE - 1)
    read_ahead(tmp_path, table, lambda: False)
    monkeypatch.setattr(ahead, "MOST", 1 << 30)
    read_ahead(tmp_path, table, lambda: True)
    assert not in_memory(*files)


def test_a_file_that_is_gone_costs_nothing(files: tuple[Path, ...], tmp_path: Path) -> None:
    table = scan(tmp_path, ()).table
    files[0].unlink()
    read_ahead(tmp_path, table, lambda: False)
