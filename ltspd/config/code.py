"""Where shell code in ltsp.conf ends. Code is never run here; it is skipped as a whole. Pure.

Lines inside ``if`` or inside a function are no settings, so none of them may be read as one.
"""

import re

_KEYWORD = re.compile(
    r"(if|then|else|elif|fi|for|while|until|do|done|case|esac|function|select|export|unset|local|readonly|"
    r"declare|typeset|alias|set|eval|exec|source|test|return|exit|trap|re|rw|\.|\{|\}|!|:)(?=[\s;]|\Z)"
)
_FUNCTION = re.compile(r"[\w.-]+[ \t]*\([ \t]*\)")
_OPENS = frozenset({"if", "case", "for", "while", "until", "select", "{"})
_CLOSES = frozenset({"fi", "esac", "done", "}"})
# A word is a keyword only where a command begins: at the start, or after one of these.
_LEADS = frozenset({"", *";&|(){!", "then", "else", "elif", "do", "if", "while", "until"})
_WORD = re.compile(
    r"""
    (?P<quoted> '[^']*' | "(?:[^"\\]|\\.)*" | \\. )
    | (?P<comment> (?<![^\s;])\#[^\n]* )
    | (?P<here> <<-?[ \t]*(?P<tag>['"]?\w+['"]?) )
    | (?P<sign> [;&|()] )
    | (?P<line> \n )
    | (?P<word> [^\s;&|()'"\\]+ )
    """,
    re.DOTALL | re.VERBOSE,
)


def kind(line: str) -> str:
    """Return what a message calls a line of code (``'if'``, ``a function``); empty if it is none."""
    if found := _KEYWORD.match(line):
        return repr(found[1])
    return "a function" if _FUNCTION.match(line) else ""


def end(text: str, at: int) -> int | None:
    """Return the offset behind the last line of the statement that begins at ``at``.

    None: the statement begins a block that is never closed.
    """
    depth, before, began = 0, "", at
    place = at
    while found := _WORD.search(text, place):
        place = found.end()
        if found["line"] is not None:
            if depth <= 0 and not _awaits_body(text[began:place]):
                return place
            before = ""
        elif found["here"] is not None:
            tag = found["tag"].strip("'\"")
            close = re.compile(rf"^\t*{re.escape(tag)}$", re.MULTILINE).search(text, place)
            line = text.find("\n", place)
            if close is None or line < 0:
                return None
            place = close.end()
        elif found["sign"] is not None:
            before = found["sign"]
        elif found["word"] is not None:
            word = found["word"]
            if before in _LEADS or word in "{}":
                depth += (word in _OPENS) - (word in _CLOSES)
            before = word if word in _LEADS else "x"
        elif found["quoted"] is not None:
            before = "x"
    return len(text) if depth <= 0 else None


def _awaits_body(text: str) -> bool:
    """Whether the text is the head of a function whose ``{`` is on the next line."""
    return bool(re.fullmatch(r"[\w.-]+[ \t]*\([ \t]*\)[ \t]*\n", text))
