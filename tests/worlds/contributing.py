"""The examples of CONTRIBUTING.md: applied to a copy of the repository, and run there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import REPOSITORY

# An example is a fenced block with the path of its file behind the language; a diff may touch several files.
_EXAMPLE = re.compile(r"^```(\w+) (\S+/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    """Return language, path and text of each example, in the order of the page."""
    return _EXAMPLE.findall((REPOSITORY / "CONTRIBUTING.md").read_text())


def apply(copy: Path) -> None:
    """Make a copy of the repository with all examples in it."""
    skipped = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "findings", "bench")
    shutil.copytree(REPOSITORY, copy, ignore=skipped, symlinks=True)
    for language, path, text in examples():
        file = copy / path
        if language == "diff":
            run(copy, "git", "apply", "-C1", given=text)
        else:
            assert not file.exists(), f"{path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def run(copy: Path, *command: str, given: str = "") -> str:
    """Run a command in the copy and return its output; it must succeed."""
    ran = subprocess.run(command, cwd=copy, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def pytest(copy: Path, *arguments: str) -> None:
    """Run tests of the copy; they must pass."""
    quiet = ("-q", "-p", "no:cacheprovider", f"--basetemp={copy}-tests")
    run(copy, sys.executable, "-m", "pytest", *quiet, *arguments)
