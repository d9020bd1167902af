"""The client's own wire format against the D-Bus library's, in both directions."""

from typing import Any

import pytest
from dbus_next import Message, MessageType, Variant
from hypothesis import given
from hypothesis import strategies as st

from ltspd.dbus import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "s": TEXT,
    "b": st.booleans(),
    "y": st.integers(0, 255),
    "n": st.integers(-(2**15), 2**15 - 1),
    "u": st.integers(0, 2**32 - 1),
    "t": st.integers(0, 2**64 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "d": st.floats(allow_nan=False),
    "as": st.lists(TEXT),
    "at": st.lists(st.integers(0, 9)),
    "a{su}": st.dictionaries(TEXT, st.integers(0, 9)),
    "(sys)": st.tuples(TEXT, st.integers(0, 255), TEXT).map(list),
    "a(yt)": st.lists(st.tuples(st.integers(0, 255), st.integers(0, 9)).map(list)),
    "aas": st.lists(st.lists(TEXT)),
}
BODY = st.lists(st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))


def plain(value: Any) -> Any:
    """Make lists of all sequences, for comparing."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


@given(BODY)
def test_reads_what_the_library_writes(body: list[tuple[str, Any]]) -> None:
    signature = "".join(kind for kind, _ in body)
    values = [value for _, value in body]
    message = Message(
        path="/a", interface="a.b", member="C", message_type=MessageType.SIGNAL, signature=signature + "v",
        body=[*values, Variant("(sv)", ["x", Variant("u", 7)])], serial=5,
    )  # fmt: skip
    data = bytes(message._marshall())
    assert wire.size(data[: wire.PREFIX]) == len(data)
    read = wire.parse(data)
    assert (read.kind, read.path, read.interface, read.member, read.serial) == (4, "/a", "a.b", "C", 5)
    assert plain(read.body) == [*values, ["x", 7]]


@given(BODY, st.dictionaries(TEXT, TEXT))
def test_writes_what_the_library_writes(body: list[tuple[str, Any]], options: dict[str, str]) -> None:
    signature = "".join(kind for kind, _ in body) + "a{sv}"
    values = [value for _, value in body]
    ours = wire.call(
        9, "d.e", "/a", "a.b", "C", signature, [*values, {k: ("s", v) for k, v in options.items()}], flags=4
    )
    theirs = Message(
        destination="d.e", path="/a", interface="a.b", member="C", signature=signature, serial=9,
        body=[*values, {k: Variant("s", v) for k, v in options.items()}],
    )  # fmt: skip
    again = wire.parse(bytes(theirs._marshall()))
    assert wire.parse(ours) == again
    assert ours[2] == 4
    assert wire.size(ours[: wire.PREFIX]) == len(ours)


@pytest.mark.parametrize("signature", ["", "s", "a{sv}", "sa{sv}as", "(s(ii))u", "aa{sv}", "a(ss)ay"])
def test_split_keeps_everything(signature: str) -> None:
    from dbus_next import SignatureTree

    assert list(wire.split(signature)) == [each.signature for each in SignatureTree(signature).types]


def test_the_other_byte_order() -> None:
    header = b"B\x02\x00\x01" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big")
    fields = b"\x05\x01u\0" + (77).to_bytes(4, "big") + b"\x08\x01g\0\x01t\0"
    data = header + len(fields).to_bytes(4, "big") + fields
    data += bytes(-len(data) % 8) + (2**40).to_bytes(8, "big")
    assert wire.size(data[:16]) == len(data)
    read = wire.parse(data)
    assert (read.kind, read.reply_to, read.body) == (2, 77, (2**40,))
