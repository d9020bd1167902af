"""The difference of two trees, checked against a model of a client that only listens."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ltspd.api.difference import difference

TREES = st.dictionaries(
    st.sampled_from(["/a", "/b", "/c"]),
    st.dictionaries(
        st.sampled_from(["i.A", "i.B"]),
        st.fixed_dictionaries({"P": st.integers(0, 2), "Q": st.integers(0, 2)}),
        min_size=1,
    ),
)


@given(TREES, TREES)
def test_a_listener_arrives_at_the_new_tree(old: Any, new: Any) -> None:
    change = difference(old, new)
    seen = {path: {name: dict(values) for name, values in each.items()} for path, each in old.items()}
    for path, names in change.removed.items():
        for name in names:
            del seen[path][name]
        if not seen[path]:
            del seen[path]
    for path, interfaces in change.added.items():
        assert not interfaces.keys() & seen.get(path, {}).keys()
        seen.setdefault(path, {}).update({name: dict(values) for name, values in interfaces.items()})
    for path, interfaces in change.changed.items():
        for name, values in interfaces.items():
            assert all(seen[path][name][key] != value for key, value in values.items())
            seen[path][name].update(values)
    assert seen == new


@given(TREES)
def test_the_same_tree_differs_in_nothing(tree: Any) -> None:
    change = difference(tree, tree)
    assert not change.added
    assert not change.removed
    assert not change.changed
