"""What LTSP's package in a root tree says of ltsp.conf: examples and names. They are kept nowhere."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^\.nf\n(.*?)^\.fi$", re.MULTILINE | re.DOTALL)
# A parameter and an example of its value, in a heading or within a sentence.
_HEADING = re.compile(r"^\\fB([A-Z][\w]*)\\fP=\\fI(.*)\\fP$", re.MULTILINE)
_WITHIN = re.compile(r"\\fB\\fC([A-Z][\w]*=.*?)\\fR")
_NAME = re.compile(r"\\fB([A-Z]\w*)\\fP=")
_READS = re.compile(r"@LTSP\.CONF: (.*)")
_VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")
_FAMILY = re.compile(r'echo_(?:values|vars) "([A-Z][A-Z_]*_)')
_LINE_OF_CONF = re.compile(r"^(?:\[.*\]|[A-Z][A-Z0-9_]*=\S*)$", re.MULTILINE)


def snippets(tree: Path) -> list[str]:
    """Return each example of an ltsp.conf in LTSP's manual pages, and the file that it comes with.

    Where a page shows a single parameter, that is in [clients] and in [server].
    """
    pages = sorted((tree / "usr/share/man").glob("man*/ltsp*.gz"))
    found = [each for page in pages for each in _of_page(gzip.decompress(page.read_bytes()).decode())]
    shipped = (tree / "usr/share/ltsp/common/ltsp/ltsp.conf").read_text()
    return [*found, shipped, re.sub(r"^# (?=[A-Z0-9_]+=)", "", shipped, flags=re.MULTILINE)]


def parameters(tree: Path) -> set[str]:
    """Return the names that the manual page explains, that the code says it reads, and all its variables.

    A family ends in _x, as LTSP writes it.
    """
    page = gzip.decompress((tree / "usr/share/man/man5/ltsp.conf.5.gz").read_bytes()).decode()
    found = set(_NAME.findall(page))
    for file in (tree / "usr/share/ltsp").rglob("*"):
        if file.is_file():
            code = file.read_text(errors="replace")
            found.update(*(line.split() for line in _READS.findall(code)))
            found.update(_VARIABLE.findall(code))
            found.update(f"{name}x" for name in _FAMILY.findall(code))
    return found


def _of_page(text: str) -> Iterator[str]:
    for block in map(_plain, _BLOCK.findall(text)):
        if _LINE_OF_CONF.search(block):
            yield block
    for name, value in _HEADING.findall(text):
        alternatives = _plain(value).split("|") if re.fullmatch(r"[\w|]+", value) else [_plain(value)]
        yield from (f"[clients]\n{name}={each}\n[server]\n{name}={each}\n" for each in alternatives)
    for each in map(_plain, _WITHIN.findall(text)):
        yield f"[clients]\n{each}\n"


def _plain(text: str) -> str:
    """Return a page's text without its marks."""
    text = re.sub(r"\\f[BCIPR]|\\&", "", text)
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\\\", "\\")
