"""The examples of CONTRIBUTING.md work as they stand: output, parameter, client feature."""

import re
from pathlib import Path

from tests.worlds import contributing
from tests.worlds.examples import WHOLE


@WHOLE
def test_the_tests_of_the_examples_pass(tmp_path: Path) -> None:
    copy = contributing.applied(tmp_path)
    tests = [path for _, path, _ in contributing.examples() if re.match(r"tests/pure/.*\.py$", path)]
    tests.append("tests/features/test_features.py")
    contributing.passes(copy, *tests, "-k", "journal or metrics_prometheus")
