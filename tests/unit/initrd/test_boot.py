"""A cancelled build while a boot initrd is being written."""

import asyncio
import tempfile
import threading
import time
from pathlib import Path

import pytest

from ltspd.initrd import boot


async def test_a_cancel_while_files_are_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    writing, written, write = threading.Event(), list[str](), Path.write_bytes

    def slowly(file: Path, data: bytes) -> int:
        writing.set()
        time.sleep(0.05)
        size = write(file, data)
        written.append(file.name)
        return size

    monkeypatch.setattr(Path, "write_bytes", slowly)
    work = asyncio.ensure_future(boot.compress([b"data"] * 4))
    await asyncio.to_thread(writing.wait)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # A thread that still writes would put files into a directory that is being removed.
    assert written == ["0", "1", "2", "3"]
    assert list(tmp_path.iterdir()) == []
