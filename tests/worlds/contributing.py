"""The examples of CONTRIBUTING.md: applied to a copy of the repository, and run there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

# An example is a fenced block with the path of its file behind the language; a diff may touch several files.
_EXAMPLE = re.compile(r"^```(\w+) (\S+/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    """Return language, path and text of each example, in the order of the page."""
    return _EXAMPLE.findall((REPOSITORY / "CONTRIBUTING.md").read_text())


def applied(folder: Path) -> Path:
    """Return a copy of the repository, below ``folder``, with all examples in it."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed, which applies the examples")
    copy = folder / "ltspd"
    skipped = shutil.ignore_patterns(".git", ".check", "__pycache__", ".*_cache", "findings", "bench")
    shutil.copytree(REPOSITORY, copy, ignore=skipped, symlinks=True)
    for language, path, text in examples():
        file = copy / path
        if language == "diff":
            run(copy, "git", "apply", "-C1", given=text)
        else:
            assert not file.exists(), f"{path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return copy


def run(copy: Path, *command: str, given: str = "") -> str:
    """Run a command in the copy and return its output; it must succeed."""
    ran = subprocess.run(command, cwd=copy, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def passes(copy: Path, *arguments: str) -> None:
    """Run tests of the copy, which must pass."""
    quiet = ("-q", "-p", "no:cacheprovider", f"--basetemp={copy}-tests")
    run(copy, sys.executable, "-m", "pytest", *quiet, *arguments)
