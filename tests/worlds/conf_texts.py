"""Lines of an ltsp.conf as hypothesis draws them: any text, in every way of quoting it."""

from collections.abc import Sequence

from hypothesis import strategies as st

from ltspd.config.settings import quote

text = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)
spiteful = st.text("'\"\\$`\n \t*?[]|&;<>(){}~#=!%abA0é", max_size=12)
anything = st.one_of(text, spiteful, st.sampled_from(["pc01", "PC02", "x-y", "%{IP}", "*", "-n", "a'b"]))


def in_double(value: str) -> str:
    return '"' + "".join("\\" + char if char in '\\"$`' else char for char in value) + '"'


def in_backslashes(value: str) -> str:
    return "".join("'\n'" if char == "\n" else "\\" + char for char in value)


literal = st.one_of(*(anything.map(style) for style in (quote, in_double, in_backslashes)))


def references(names: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw a use of one of these variables, as a part of a value."""
    return st.sampled_from(names).flatmap(
        lambda name: st.sampled_from([f"${{{name}}}", f'"${name}"', f'"${{{name}}} "'])
    )


def values(names: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw a value that may be made from these variables."""
    return st.lists(st.one_of(literal, literal, references(names)), max_size=4).map("".join)
