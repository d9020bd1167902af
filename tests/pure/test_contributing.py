"""The examples of CONTRIBUTING.md work as they stand: output, parameter, client feature."""

import re
import sys
from pathlib import Path

import pytest

from tests.worlds import contributing


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with the examples in it."""
    copy = tmp_path_factory.mktemp("examples") / "ltspd"
    contributing.apply(copy)
    return copy


def test_the_tests_of_the_examples_pass(copy: Path) -> None:
    tests = [path for _, path, _ in contributing.examples() if re.match(r"tests/pure/.*\.py$", path)]
    contributing.pytest(
        copy, *tests, "tests/features/test_features.py", "-k", "journal or metrics_prometheus"
    )


def test_the_pages_have_the_parameters_and_the_method_of_the_examples(copy: Path) -> None:
    contributing.run(copy, sys.executable, "-m", "ltspd.manual")
    page = (copy / "docs/ltsp.conf.md").read_text()
    assert all(f"`{name}`" in page for name in ("PROMETHEUS", "PROMETHEUS_JOB", "JOURNAL_SIZE"))
    assert "Clients()" in (copy / "docs/dbus.md").read_text()
