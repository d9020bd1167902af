"""The files of ifupdown: what they say of a card, and how they would read with an address for it. Pure."""

import re
from collections.abc import Iterator, Mapping

from ltspd.setup.request import Change

MAIN = "/etc/network/interfaces"
DIRECTORY = "/etc/network/interfaces.d"
# What begins a stanza, or a line of its own (interfaces(5)).
_STANZA = re.compile(
    r"\s*(iface|mapping|auto|allow-\S+|no-auto-down|no-scripts|source(-directory)?|rename)\s"
)
_OFF = "#ltspd# "


def has(files: Mapping[str, str], link: str) -> bool:
    """Return whether a stanza configures a card."""
    return any(_is_of(line, link) for text in files.values() for line in text.splitlines())


def stanza(change: Change) -> str:
    """Return the lines that give a card its address."""
    name, address = change.link.name, change.address
    how = f"static\n    address {address}" if address else "dhcp"
    return f"auto {name}\niface {name} inet {how}\n"


def converted(files: Mapping[str, str], change: Change) -> Mapping[str, str]:
    """Return the files that differ with the change in them: old stanzas of the card are commented out."""
    found = {}
    for path, text in files.items():
        new = "".join(_without(text, change.link.name))
        if new != text:
            found[path] = new
    ours = f'# Written by "ltspctl setup"; "ltspctl setup undo" removes it.\n{stanza(change)}'
    main = files.get(MAIN, "")
    if re.search(rf"^\s*source(-directory)?\s+{re.escape(DIRECTORY)}(/\*)?\s*$", main, re.MULTILINE):
        # "source-directory" reads no file that has a dot in its name.
        found[f"{DIRECTORY}/ltspd-{change.link.name.replace('.', '-')}"] = ours
    else:
        found[MAIN] = f"{found.get(MAIN, main).rstrip()}\n\n{ours}"
    return found


def _is_of(line: str, link: str) -> bool:
    words = line.split()
    return words[:2] == ["iface", link]


def _without(text: str, link: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines(keepends=True):
        if _STANZA.match(line):
            inside = _is_of(line, link)
        yield _OFF + line if inside and line.strip() else line
