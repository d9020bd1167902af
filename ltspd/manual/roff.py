"""The Markdown that our pages use → a manual page in the man(7) language. Pure.

Known: headings, paragraphs, ``-`` lists, tables, fenced and indented code, `code`, **bold**, *emphasis*
and links. Other Markdown comes out as plain text.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ltspd import __version__


class Page(NamedTuple):
    """A page of the manual: ``about`` is the part of the NAME line behind the dash."""

    name: str
    section: int
    about: str
    markdown: str


# Replacements for characters that some terminals and troff devices lack.
_ASCII = {"…": "...", "→": "->", "·": "-", "×": "x", "≤": "<=", "▶": ">"}
_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|(?<!\w)\*(?P<slant>[^*\s][^*]*)\*(?!\w)"
    r"|\[(?P<text>[^\]]+)\]\((?P<link>[^)]+)\)"
)


def roff(page: Page) -> str:
    """Return the source of a manual page."""
    title = page.name.upper().replace("-", "\\-")
    lines = [
        '.\\" Made from a page of docs/.',
        f'.TH {title} {page.section} "" "ltspd {__version__}" "ltspd"',
        ".SH NAME",
        f"{_escape(page.name)} \\- {_escape(page.about)}",
        *_blocks(page.markdown.splitlines()),
    ]
    return "\n".join(lines) + "\n"


def _blocks(lines: list[str]) -> Iterator[str]:
    at = 0
    before_heading = True
    while at < len(lines):
        line = lines[at]
        if line.startswith("#"):
            level, _, title = line.partition(" ")
            if len(level) > 1:
                yield f".{'SH' if len(level) == 2 else 'SS'} {_heading(title, len(level))}"
                before_heading = False
            at += 1
        elif not line.strip():
            at += 1
        else:
            if before_heading:
                yield ".SH DESCRIPTION"
                before_heading = False
            at, block = _block(lines, at)
            yield from block


def _heading(title: str, level: int) -> str:
    text = _inline(title.upper() if level == 2 and "`" not in title and "." not in title else title)
    return f'"{text}"'


def _block(lines: list[str], at: int) -> tuple[int, list[str]]:
    """Return the lines of the block that begins at ``at``, and where the next one may begin."""
    line = lines[at]
    if line.startswith("```"):
        end = next(place for place in range(at + 1, len(lines)) if lines[place].startswith("```"))
        return end + 1, _code(lines[at + 1 : end])
    if line.startswith("    "):
        end = _end(lines, at, lambda each: each.startswith("    "))
        return end, _code([each[4:] for each in lines[at:end]])
    if line.startswith("|"):
        end = _end(lines, at, lambda each: each.startswith("|"))
        return end, list(_table([_cells(each) for each in lines[at:end]]))
    if line.startswith(("- ", "* ")):
        end = _end(lines, at, lambda each: each.startswith(("- ", "* ", "  ")))
        return end, list(_list(lines[at:end]))
    end = _end(lines, at, lambda each: bool(each.strip()) and not each.startswith(("#", "|", "```", "- ")))
    return end, [".PP", *_text(" ".join(each.strip() for each in lines[at:end]))]


def _end(lines: list[str], at: int, inside: Callable[[str], bool]) -> int:
    while at < len(lines) and inside(lines[at]):
        at += 1
    return at


def _code(lines: list[str]) -> list[str]:
    return [".PP", ".RS 4", ".EX", *(_guard(_escape(each)) for each in lines), ".EE", ".RE"]


def _list(lines: list[str]) -> Iterator[str]:
    items: list[str] = []
    for line in lines:
        if line.startswith(("- ", "* ")):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    for item in items:
        yield ".IP \\(bu 2"
        yield from _text(item)


def _cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [each.strip().replace("\\|", "|") for each in parts]


def _table(rows: list[list[str]]) -> Iterator[str]:
    """Yield a definition list: the first cell is the term, the last one the text, the others its remarks."""
    head, _, *body = rows
    for first, *middle, last in body:
        yield ".TP"
        yield from _text(first)
        remarks = [f"{name}: {cell}" for name, cell in zip(head[1:-1], middle, strict=True) if cell]
        ending = "" if last.endswith((".", "…", "?")) or not last else "."
        yield from _text(f"{last}{ending} ({'; '.join(remarks)})" if remarks else last or "-")


def _text(text: str) -> list[str]:
    return [_guard(_inline(text))]


def _guard(line: str) -> str:
    """Keep troff from reading a line as a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def _inline(text: str) -> str:
    out, at = "", 0
    for found in _INLINE.finditer(text):
        out += _escape(text[at : found.start()])
        if code := found["code"] or found["bold"]:
            out += f"\\fB{_escape(code)}\\fR"
        elif found["slant"]:
            out += f"\\fI{_escape(found['slant'])}\\fR"
        else:
            out += _inline(found["text"]) + (f" ({_escape(found['link'])})" if ":" in found["link"] else "")
        at = found.end()
    return out + _escape(text[at:])


def _escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "".join(_ASCII.get(each, each) for each in text).replace('"', "\\(dq")
