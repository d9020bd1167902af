"""The page about ltsp.conf is the parameter table, word for word."""

from ltspd.config.reference import page
from tests import REPOSITORY

PAGE = REPOSITORY / "docs" / "ltsp.conf.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "run: make docs"
