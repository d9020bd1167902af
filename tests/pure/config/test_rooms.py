"""Rooms: which globs have a text in common, and which rooms a client is in."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.config.document import Host
from ltspd.config.evaluate import rooms
from ltspd.config.headers import fits
from ltspd.config.parse import parse
from ltspd.config.rooms import overlap

TEXTS = ["".join(each) for length in range(6) for each in product("ab", repeat=length)]
_globs = st.text("ab*?", max_size=3)


@given(_globs, _globs)
def test_globs_overlap_if_a_text_fits_both(one: str, other: str) -> None:
    # Two globs of three signs that have a text in common have one of at most four.
    assert overlap(one, other) == any(fits(one, each) and fits(other, each) for each in TEXTS)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (Host("52:54:00:00:00:01"), ["a"]),
        (Host(ip="10.0.3.7"), ["a", "b"]),
        (Host(hostname="PC12"), ["b"]),
        (Host("b8:27:eb:00:00:01"), []),
        # Another section gives this machine its name, the room itself does not.
        (Host("aa:00:00:00:00:01"), ["b"]),
        (Host("aa:00:00:00:00:02"), ["c"]),
        (Host(), []),
        (Host("52:54:00:00:00:01", kind="server"), []),
    ],
)
def test_who_is_in_which_room(host: Host, expected: list[str]) -> None:
    text = "[room:a]\nMEMBERS='52:54:00:* 10.0.3.?'\n[room:b]\nMEMBERS='pc1* b* 10.0.3.*'\n"
    text += "[room:c]\nMEMBERS=aa:00:00:00:00:02\nHOSTNAME=pc10\n[aa:00:00:00:00:01]\nHOSTNAME=pc11\n"
    assert [each.room for each in rooms(parse(text), host)] == expected
