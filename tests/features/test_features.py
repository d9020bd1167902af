"""Client features on small roots, against what must be there afterwards: adding a case is adding files.

A case is a directory with ``settings``, a text of ltsp.conf whose first lines say what runs and what differs
from ``FACTS`` of tests/worlds/features.py::

    # features: 20-hosts 50-fstab
    # facts: trial=1 dns=

``root/`` is the image with ``ltsp/``, which ltsp.img brings; ``expected/`` is all that is there afterwards.
``console``, if there is one, is what the client says. LTSPD_GOLDEN=write in the environment writes both anew,
for a person to review.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.worlds.features import CLIENT, NEEDS_BUSYBOX, read, run

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/settings"))
FEATURES = sorted((CLIENT / "features").glob("*.sh"))
# An empty directory can't be committed without a file in it.
KEPT = ".keep"


def _words(case: Path, key: str) -> list[str]:
    found = re.search(rf"^# {key}: (.*)$", (case / "settings").read_text(), re.MULTILINE)
    return found[1].split() if found else []


@NEEDS_BUSYBOX
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_features(case: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    if (case / "root").is_dir():
        shutil.copytree(case / "root", root, symlinks=True)
    facts = dict(each.split("=", 1) for each in _words(case, "facts"))
    ran = run(root, tuple(_words(case, "features")), (case / "settings").read_text(), facts)
    expected, console = case / "expected", case / "console"
    if os.environ.get("LTSPD_GOLDEN") == "write":
        _write(expected, ran.tree)
        console.unlink(missing_ok=True)
        if ran.said:
            console.write_text(ran.said)
    assert {path: text for path, text in ran.tree.items() if Path(path).name != KEPT} == read(expected)
    assert ran.said == (console.read_text() if console.exists() else "")


def _write(expected: Path, tree: Mapping[str, str]) -> None:
    shutil.rmtree(expected, ignore_errors=True)
    for path, text in tree.items():
        file = expected / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            file.symlink_to(text.removeprefix("-> "))
        elif file.name != KEPT:
            file.write_text(text)


def test_the_report_comes_last_because_it_tells_what_failed() -> None:
    assert FEATURES[-1].stem == "99-report"


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.stem)
def test_a_feature_is_numbered_says_what_it_needs_and_has_a_case(feature: Path) -> None:
    assert re.fullmatch(r"[0-9]{2}-[a-z0-9-]+", feature.stem), "name it NN-name.sh"
    first, *rest = feature.read_text().splitlines()
    # It is read at each boot, a byte at a time, so it stands first.
    assert re.fullmatch(r"# needs: LTSP_API [0-9]+", first), "the first line is '# needs: LTSP_API N'"
    head = rest[: rest.index("")]
    said = any(re.match(r"# (?!parameter:|wants:|ltsp:|live$|shellcheck )", line) for line in head)
    assert said, "no sentence above the code says what it does"
    # They are looked for there alone.
    wants = [line for line in rest if line.startswith("# wants: ")]
    assert rest[: len(wants)] == wants
    # What only a client's console says, a pupil finds.
    assert "# wants: " in feature.read_text() or "image has no" not in feature.read_text()
    tested = any(feature.stem in _words(case, "features") for case in CASES)
    assert tested, f"no tests/features/*/settings has a line '# features: {feature.stem}'"
