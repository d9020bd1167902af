"""Debian's order of version numbers (deb-version(7)), used for kernels and packages. Pure."""

import re

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")


def _letters(text: str) -> tuple[int, ...]:
    """Return a sort key: ``~`` before the end, the end before letters, letters before the rest."""
    weights = [-1 if each == "~" else ord(each) + (0 if each.isalpha() else 256) for each in text]
    return (*weights, 0)


def _part(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    pieces = [(_letters(a), int(b or 0)) for a, b in _PIECES.findall(text) if a or b]
    # The end marker sorts as an empty piece, so that "1.0~rc1" < "1.0" < "1.0a".
    return (*pieces, ((0,), 0))


VersionKey = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]


def key(version: str) -> VersionKey:
    """Return a key that sorts version strings, kernel releases too, as dpkg would."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _part(upstream), _part(revision)
