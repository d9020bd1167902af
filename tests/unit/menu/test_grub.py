"""GRUB's own parser reads what is written for it."""

import subprocess
from pathlib import Path

import pytest

from tests import REPOSITORY

GOLDEN = REPOSITORY / "tests/pure/outputs/golden"
CASES = sorted(GOLDEN.glob("*/expected/srv/tftp/grub/grub.cfg"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: str(file.relative_to(GOLDEN).parts[0]))
def test_the_menu_is_a_script_of_grub(file: Path) -> None:
    done = subprocess.run(["grub-script-check", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_one() -> None:
    assert CASES
