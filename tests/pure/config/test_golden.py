"""Golden cases: config/NAME.conf has its findings in NAME.findings and, if wanted, values in NAME.values.

A .values file has blocks: ``@ client|server MAC IP HOSTNAME SERVER`` (``-`` for none), then one line
``NAME "text" LINE`` for each parameter, text in JSON, in the order of names. Adding a case is adding files.
LTSPD_GOLDEN=write in the environment writes the findings anew, for a person to review.
"""

import json
import os
from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.config.document import Host
from ltspd.config.evaluate import effective

CASES = sorted((Path(__file__).parent / "golden").glob("*.conf"))


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_findings(case: Path) -> None:
    config = load({case.name: read(case)})
    found = "".join(f"{finding}\n" for finding in config.findings)
    if os.environ.get("LTSPD_GOLDEN") == "write":
        case.with_suffix(".findings").write_bytes(found.encode("utf-8", "surrogateescape"))
    assert found == read(case.with_suffix(".findings")), "LTSPD_GOLDEN=write writes it anew"
    assert config.ok is not any(": error: " in str(finding) for finding in config.findings)


@pytest.mark.parametrize(
    "case", [each for each in CASES if each.with_suffix(".values").exists()], ids=lambda path: path.stem
)
def test_values(case: Path) -> None:
    document = load({case.name: read(case)}).document
    expected = read(case.with_suffix(".values"))
    shown = []
    for header in (line for line in expected.splitlines() if line.startswith("@")):
        kind, mac, ip, hostname, server = ("" if word == "-" else word for word in header.split()[1:])
        values = effective(document, Host(mac, ip, hostname, kind, server))
        shown.append(header)
        shown += [f"{name} {json.dumps(value.text)} {value.line}" for name, value in sorted(values.items())]
    assert "".join(f"{line}\n" for line in shown) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 8
