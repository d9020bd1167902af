"""The check that no test leaves anything behind sees what there is to see."""

import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from tests.lab import leaks


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE", 0.0)


def test_nothing_is_left_by_nothing() -> None:
    assert leaks.left_behind(leaks.holdings()) == []


def test_a_child_process_is_seen() -> None:
    before = leaks.holdings()
    with subprocess.Popen(["sleep", "60"]) as child:
        left = leaks.left_behind(before)
        child.kill()
    assert [thing.split(" (")[0] for thing in left] == [f"child process {child.pid}"]


def test_a_descriptor_is_seen() -> None:
    before = leaks.holdings()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    left = leaks.left_behind(before)
    os.close(descriptor)
    assert left == [f"descriptor {descriptor} (/dev/null)"]


def test_a_temporary_file_is_seen() -> None:
    before = leaks.holdings()
    with tempfile.NamedTemporaryFile() as file:
        assert f"temporary file {file.name}" in leaks.left_behind(before)
        assert str(Path(file.name).parent) == tempfile.gettempdir()


def test_a_thread_is_seen() -> None:
    before = leaks.holdings()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-over")
    thread.start()
    left = leaks.left_behind(before)
    stop.set()
    thread.join()
    assert left == ["thread left-over"]
