"""Texts of ltsp.conf that reach deep: known parameters with odd values, references, INCLUDEs, sections."""

from hypothesis import strategies as st

from ltspd.config.names import OF_LTSP
from ltspd.config.parameters import table
from ltspd.config.settings import quote

NAMES = [name.replace("*", "X") for name in (*table(), *OF_LTSP)]
OWN = ["T", "U", "V", "SERVER", "HOSTNAME", "MAC_ADDRESS", "IP_ADDRESS"]
SECTIONS = [
    "server", "common", "clients", "server|clients", "52:54:00:12:34:56", "52-54-00-12-34-57", "52:54:00:*",
    "192.168.67.20", "192.168.67.*", "pc01", "pc*", "pc01|pc02|192.168.67.20", "beamer", "image/x", "*",
    "room:a", "room:b", "pc 1", "all", "[", "",
]  # fmt: skip
ODD = [
    "", "0", "1", "-1", "+1", "1_0", "٣", "1.5", " 5", "99999999999", "bogus", "nbd", "nfs", "http", "NFS",
    "x86_64", "trixie", "nowhere", "../x", "/srv/ltsp", "eth0=real", "eth0=off", "eth0=real:1.2.3.4-1.2.3.9",
    "8.8.8.8", "8.8.8.8,9.9.9.9", "ltsp%{IP}", "pc%{MAC}%{MAC}", "%{", "a b", "quiet splash", "8h", "10m",
    "é", "line\nline", "tab\tbed", "\x01", "\x7f", "\u2028", "${srv}", "a || b", "\\", "\"'`$", "x" * 300,
]  # fmt: skip

_literal = st.one_of(st.sampled_from(ODD), st.text(max_size=8)).map(
    lambda text: quote(text.replace("\0", ""))
)
_reference = st.sampled_from([*OWN, *NAMES]).map(lambda name: f'"${{{name}}}"')
_value = st.lists(st.one_of(_literal, _reference), min_size=1, max_size=3).map("".join)
_assignment = st.builds("{}={}".format, st.sampled_from([*OWN, *NAMES]), _value)
_include = st.sampled_from([*SECTIONS, "missing"]).map(lambda name: f"INCLUDE='{name}'")
MEMBERS = [
    "52:54:00:*",
    "52:54:00:12:34:56",
    "192.168.67.*",
    "192.168.67.30",
    "pc*",
    "pc01",
    "*",
    "x,lib-3",
    "é",
]
_members = st.lists(st.sampled_from(MEMBERS), max_size=3).map(lambda each: f"MEMBERS='{' '.join(each)}'")
_line = st.one_of(_assignment, _assignment, _assignment, _include, _members, st.text(max_size=12))
_section = st.tuples(st.sampled_from(SECTIONS), st.lists(_line, max_size=5))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw a whole file."""
    lines = draw(st.lists(_line, max_size=3))
    for name, body in draw(st.lists(_section, max_size=6)):
        lines += [f"[{name}]", *body]
    return "\n".join(lines) + "\n"
