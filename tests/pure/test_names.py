"""Names: one stem, and object paths that any key maps to without loss."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ltspd.names import ROOT_PATH, STEM, action, error, interface, object_path


def test_everything_stems_from_one_name() -> None:
    assert (STEM, ROOT_PATH) == ("org.ltsp.Server1", "/org/ltsp/Server1")
    assert interface("Image") == "org.ltsp.Server1.Image"
    assert action("build-image") == "org.ltsp.Server1.build-image"
    assert error("Busy") == "org.ltsp.Server1.Error.Busy"


def test_an_object_path_as_in_the_contract() -> None:
    assert object_path("image", "x86_64") == "/org/ltsp/Server1/image/x86_5f64"
    assert object_path("client", "52:54:00:00:00:01").endswith("/52_3a54_3a00_3a00_3a00_3a01")
    assert object_path("job", "").endswith("/job/_")


@given(st.text())
def test_every_key_gives_a_legal_path(key: str) -> None:
    # The D-Bus specification, "Valid Object Paths".
    assert re.fullmatch(r"(/[A-Za-z0-9_]+)+", object_path("image", key.encode("utf-8", "replace").decode()))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_path_leads_back_to_its_key(key: str) -> None:
    last = object_path("image", key).rpartition("/")[2]
    back = re.sub(rb"_([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), last.encode())
    assert back.decode() == key


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_keys_give_different_paths(keys: list[str]) -> None:
    one, other = (object_path("image", key.encode("utf-8", "replace").decode()) for key in keys)
    if keys[0].encode("utf-8", "replace") != keys[1].encode("utf-8", "replace"):
        assert one != other


def test_a_name_of_undecodable_bytes_has_a_path_too() -> None:
    assert object_path("image", b"\xff".decode("utf-8", "surrogateescape")).endswith("/_ff")
