"""The examples of CONTRIBUTING.md work as they stand: a method of the API and its command, and the pages."""

import sys
from pathlib import Path

from tests.worlds import contributing


def test_the_command_does_what_its_example_says_and_the_pages_have_all_examples(tmp_path: Path) -> None:
    copy = contributing.applied(tmp_path)
    tests = ("tests/bus/test_pages.py", "tests/bus/test_contract.py")
    contributing.passes(copy, *tests, "-k", "test_pages[link or of_the_contract or read_only_list")
    contributing.run(copy, sys.executable, "-m", "ltspd.manual")
    page = (copy / "docs/ltsp.conf.md").read_text()
    assert all(f"`{name}`" in page for name in ("PROMETHEUS", "PROMETHEUS_JOB", "JOURNAL_SIZE"))
    assert "Clients()" in (copy / "docs/dbus.md").read_text()
