"""The examples of CONTRIBUTING.md work as they stand: a method of the API and its command."""

from pathlib import Path

from tests.worlds import contributing


def test_the_page_of_the_command_is_what_the_example_says(tmp_path: Path) -> None:
    copy = tmp_path / "ltspd"
    contributing.apply(copy)
    contributing.pytest(
        copy, "tests/bus/test_pages.py", "-k", "test_page and link-clients or of_the_contract"
    )
    contributing.pytest(copy, "tests/bus/test_contract.py", "-k", "read_only")
