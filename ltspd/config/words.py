"""One value of an assignment, read by the shell's quoting rules. Nothing is run or expanded here. Pure.

The rules are those of POSIX.1-2017, Shell Command Language, 2.2 Quoting and 2.6 Word Expansions.
"""

import re
from dataclasses import dataclass

from ltspd.config.document import Part, Reference

_PLAIN = re.compile(r"[^\s\\'\"$`;&|<>()]+")
_IN_DOUBLE = re.compile(r"[^\\\"$`]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Longer code than this is not skipped: a file full of open brackets must not take long to read.
_LONGEST_CODE = 2000
# Quotes, escapes and brackets inside $(…) and ${…}. A quote that is never closed is an ordinary character.
_NESTED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[(){}]""", re.DOTALL)
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Word:
    """A value and the offset behind it; ``code``: only a shell can tell the value, and the parts don't."""

    parts: tuple[Part, ...]
    end: int
    code: bool = False


class WordError(Exception):
    """Why a value can't be read, and the offset ``at`` which."""

    def __init__(self, at: int, reason: str, step: str) -> None:
        """Keep the finding's reason and next step."""
        super().__init__(reason)
        self.at = at
        self.reason = reason
        self.step = step


def read_word(text: str, start: int) -> Word:
    """Read the value that begins at an offset, up to unquoted white space or an operator.

    Raises WordError if a quote or bracket is never closed. Code is skipped, and ``code`` says so.
    """
    parts: list[Part] = []
    code: list[int] = []
    at = start
    while at < len(text):
        if plain := _PLAIN.match(text, at):
            parts.append(plain.group())
            at = plain.end()
            continue
        match text[at]:
            case "'":
                close = text.find("'", at + 1)
                if close < 0:
                    raise _unterminated(at, "'")
                parts.append(text[at + 1 : close])
                at = close + 1
            case '"':
                at = _read_double(text, at, parts, code)
            case "\\":
                at = _read_escape(text, at, parts)
            case "$":
                if text[at + 1 : at + 2] == "'":
                    code.append(at)
                    at += 1
                else:
                    at = _read_dollar(text, at, parts, code)
            case "`":
                at = _skip_command(text, at, code)
            case _:
                break
    return Word(_join(parts), at, bool(code))


def _read_double(text: str, start: int, parts: list[Part], code: list[int]) -> int:
    at = start + 1
    parts.append("")
    while at < len(text):
        if plain := _IN_DOUBLE.match(text, at):
            parts.append(plain.group())
            at = plain.end()
            continue
        match text[at]:
            case '"':
                return at + 1
            case "`":
                at = _skip_command(text, at, code)
            case "$":
                at = _read_dollar(text, at, parts, code)
            case _:
                follower = text[at + 1 : at + 2]
                if follower == "\n":
                    pass
                elif follower in ("$", "`", '"', "\\"):
                    parts.append(follower)
                else:
                    # Inside double quotes a backslash before any other character is an ordinary character.
                    parts.append("\\" + follower)
                at += 2
    raise _unterminated(start, '"')


def _read_escape(text: str, at: int, parts: list[Part]) -> int:
    follower = text[at + 1 : at + 2]
    if not follower:
        raise WordError(at, "the file ends in a backslash", "take the backslash away")
    if follower != "\n":
        parts.append(follower)
    return at + 2


def _read_dollar(text: str, at: int, parts: list[Part], code: list[int]) -> int:
    if name := _NAME.match(text, at + 1):
        parts.append(Reference(name.group()))
        return name.end()
    follower = text[at + 1 : at + 2]
    if follower == "{":
        if braced := _BRACED.match(text, at + 1):
            parts.append(Reference(braced.group(1)))
            return braced.end()
        code.append(at)
        return _skip_pairs(text, at + 1)
    if follower == "(":
        return _skip_command(text, at, code)
    if follower and follower in "0123456789@*#?$!-":
        code.append(at)
        return at + 2
    parts.append("$")
    return at + 1


def _skip_command(text: str, at: int, code: list[int]) -> int:
    """Return the offset behind ``$(…)`` or back quotes."""
    code.append(at)
    if text[at] == "$":
        return _skip_pairs(text, at + 1)
    close = re.compile(r"(?:[^`\\]|\\.)*`", re.DOTALL).match(text, at + 1)
    if close is None:
        raise _unterminated(at, "`")
    return close.end()


def _skip_pairs(text: str, start: int) -> int:
    """Return the offset behind the bracket that closes the one at an offset; quotes hide brackets."""
    depth = 0
    for found in _NESTED.finditer(text, start, start + _LONGEST_CODE):
        depth += (found.group() in "({") - (found.group() in ")}")
        if depth == 0:
            return found.end()
    raise _unterminated(start, text[start])


def _unterminated(at: int, quote: str) -> WordError:
    close = {"(": ")", "{": "}"}.get(quote, quote)
    what = f"the quote {quote}" if close == quote else quote
    return WordError(at, f"{what} is never closed", f"add the closing {close} where the value ends")


def _join(parts: list[Part]) -> tuple[Part, ...]:
    """Merge neighbouring texts, so that equal values have equal parts."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)
