"""ltsp.conf's text -> Document. It never raises and never runs anything. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping

from ltspd.config import code
from ltspd.config.document import (
    Assignment,
    Code,
    Document,
    Entry,
    Finding,
    Include,
    Reference,
    Section,
    Severity,
)
from ltspd.config.headers import is_room, read_header, readable
from ltspd.config.names import is_parameter_name, is_reserved
from ltspd.config.parameter import SERVER
from ltspd.config.parameters import find, is_known
from ltspd.config.rooms import MEMBERS, read_members
from ltspd.config.words import WordError, read_word

# A file for a thousand clients is smaller than 100 KB; one above this limit is a mistake or an attack.
SIZE_LIMIT = 1 << 20

_SKIP = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+|[ \t]*(?:#[^\n]*)?\Z")
_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_ASSIGN = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z0-9_]+)[ \t]*(?P<plus>\+?)=(?:[ \t]+(?=[^\s#]))?"
)
_INCLUDE = re.compile(r"[ \t]*INCLUDE[ \t]*=([^#]*)", re.IGNORECASE)
_NEXT_ASSIGN = re.compile(r"(?P<name>[A-Za-z0-9_]+)(?P<plus>\+?)=")
_TAIL_END = re.compile(r"(?:#[^\n]*)?(?:\n|\Z)")
_SURROGATE = re.compile("[\ud800-\udfff]+")
# What code sets, as far as its text shows that, and what a text uses.
_SETS = re.compile(r"(?<![^\s;&|({])([A-Za-z_][A-Za-z0-9_]*)\+?=")
_USES = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Each section is a function by its name; a call alone is an INCLUDE.
_CALL = re.compile(r"section_([a-z0-9_]+)[ \t]*(?:;[ \t]*)?(?:#.*)?\Z")
# A test of the shell begins like a header.
_TEST = re.compile(r"[ \t]*\[\[?[ \t].*\][ \t]*(?:&&|\|\||;)")
_OPERATORS = "|&<>();"
_CURLY = tuple("\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b")


def parse(text: str, file: str = "/etc/ltsp/ltsp.conf") -> Document:
    """Read one file's text (decoded as UTF-8 with surrogateescape); all mistakes are in the Document."""
    return parse_files({file: text})


def parse_files(files: Mapping[str, str]) -> Document:
    """Read several files as if they were one, in their order; no file gives an empty Document."""
    first = next(iter(files), "/etc/ltsp/ltsp.conf")
    readers = [_Reader(text, file) for file, text in files.items()]
    unnamed = Section("", (), first, 1)
    named: dict[str, Section] = {}
    mistakes: list[Finding] = []
    for reader in readers:
        reader.read()
        mistakes += reader.mistakes
        for position, section in enumerate(reader.sections):
            if position == 0:
                entries = unnamed.entries + section.entries
                unnamed = Section("", (), first, 1, entries)
                continue
            # Two headers that can't be read are never the same section.
            key = section.name if section.patterns else f"{section.file}:{section.line}"
            if before := named.get(key):
                mistakes.append(_duplicate(before, section))
            # As in LTSP, the later section replaces the earlier one, in the place of the earlier one.
            named[key] = section
    return Document(first, (unnamed, *named.values()), tuple(mistakes))


def _duplicate(before: Section, section: Section) -> Finding:
    where = f"line {before.line}" if before.file == section.file else f"{before.file}:{before.line}"
    return Finding(
        Severity.WARNING,
        section.file,
        section.line,
        f"{section.label} is already in {where}, and this one replaces it as a whole",
        "put all its lines under one header",
    )


class _Reader:
    """The state of reading one text: an offset, the open section, what was found."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.mistakes: list[Finding] = []
        self.sections: list[Section] = []
        self._name, self._patterns, self._line = "", tuple[str, ...](), 1
        self._entries: list[Entry] = []
        self._members: dict[str, None] = {}
        self._no_line_until = -1
        self._newlines: list[int] = []
        self.text = self._clean(text)
        self._functions = code.functions(self.text)
        self._used = frozenset(_USES.findall(self.text))

    def _clean(self, text: str) -> str:
        if len(text) > SIZE_LIMIT:
            self._note(
                1,
                f"the file is larger than {SIZE_LIMIT >> 20} MiB and was not read",
                "is this the right file?",
            )
            text = ""
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        if "\r\n" in text:
            self._note(
                1,
                "the lines end as on Windows (CR LF)",
                "save the file with Unix line ends",
                Severity.WARNING,
            )
            text = text.replace("\r\n", "\n")
            self._newlines = [found.start() for found in re.finditer("\n", text)]
        if (nul := text.find("\0")) >= 0:
            self._note(self._line_at(nul), "a NUL byte can't be in a value", "is this a text file?")
            text = text.replace("\0", "\ufffd")
        if bad := _SURROGATE.search(text):
            # Such bytes in a comment change no value, so they are only a warning.
            lines = {self._line_at(found.start()) for found in _SURROGATE.finditer(text)}
            shown = text.split("\n")
            told = [line for line in sorted(lines) if not shown[line - 1].lstrip(" \t").startswith("#")]
            severity = Severity.ERROR if told else Severity.WARNING
            line = told[0] if told else self._line_at(bad.start())
            self._note(line, "the text is not UTF-8", "save the file in the encoding UTF-8", severity)
            text = _SURROGATE.sub(lambda found: "\ufffd" * len(found.group()), text)
        if text.startswith("\ufeff"):
            # The author does not see a byte order mark. A space in its place keeps the columns right.
            text = " " + text[1:]
        return text

    def read(self) -> None:
        at = 0
        while at < len(self.text):
            if skip := _SKIP.match(self.text, at):
                at = skip.end()
            elif (line := self._line_text(at)).lstrip(" \t").startswith("[") and not _TEST.match(line):
                at = self._read_header(at)
            elif found := _INCLUDE.match(line):
                at = self._read_include(at, found[1])
            elif found := _ASSIGN.match(self.text, at):
                at = self._read_assignments(at, found)
            else:
                at = self._read_code(at)
        self._close()

    def _read_header(self, at: int) -> int:
        self._close()
        line = self._line_at(at)
        header = read_header(self._line_text(at))
        self._name, self._patterns, self._line = header.name, header.patterns, line
        severity = Severity.ERROR if header.unreadable else Severity.WARNING
        for reason, step in header.mistakes:
            below = "" if header.patterns else " (the lines below it are left out)"
            self._note(line, reason, f"{step}{below}", severity)
        return self._line_end(at)

    def _read_include(self, at: int, text: str) -> int:
        """Read what an INCLUDE names. As in LTSP, it is the line's, whatever quotes say."""
        line, target = self._line_at(at), readable(text)
        if len(text.split()) != 1 or "$" in text or not target:
            read = f"this is read as {target}; " if target else ""
            step = f"{read}write one INCLUDE=name per section"
            self._note(line, "INCLUDE needs the name of one section", step, Severity.WARNING)
        if target:
            self._entries.append(Include(target, self.file, line))
        return self._line_end(at)

    def _read_assignments(self, start: int, found: re.Match[str]) -> int:
        """Read ``A=1 B=2 # comment``; a line with a mistake assigns nothing, as in the shell."""
        entries: list[Entry] = []
        wrong: list[tuple[int, str, str]] = []
        names: list[str] = []
        coded = False
        while True:
            name_at, name = found.start("name"), found["name"]
            names.append(name)
            try:
                word = read_word(self.text, found.end())
            except WordError as error:
                return self._fail(
                    start, error.at, error.reason + self._origin(start, error.at, name), error.step
                )
            if found["plus"]:
                wrong.append((name_at, "+= is not known", f'write {name}="${name} more"'))
            elif word.code or self._is_variable(name):
                coded = True
            elif self.text.startswith(_CURLY, found.end()):
                reason = f"the quotes around the value of {name} are typographic, and no quotes to the shell"
                wrong.append((found.end(), reason, f'write {name}="…" with straight ones'))
            elif entry := self._entry(name, word.parts, name_at):
                entries.append(entry)
            blanks = _BLANKS.match(self.text, word.end)
            at = blanks.end() if blanks else word.end
            spaced = at > word.end
            separated = self.text.startswith(";", at) and not self.text.startswith(";;", at)
            if separated and (blanks := _BLANKS.match(self.text, at + 1)):
                at = blanks.end()
            if (
                at >= len(self.text)
                or self.text[at] == "\n"
                or ((spaced or separated) and self.text[at] == "#")
            ):
                end = _TAIL_END.match(self.text, at)
                behind = end.end() if end else at
                break
            following = _NEXT_ASSIGN.match(self.text, at)
            if following is None:
                closed = True
                if separated or self.text.startswith(("&&", "||"), at):
                    coded = True
                    behind, closed = self._behind_code(at)
                elif self.text[at] in _OPERATORS:
                    behind, _ = self._behind_code(at)
                    wrong = wrong or [self._tail(start, at, name)]
                else:
                    behind = self._line_end(start)
                    wrong = wrong or [self._tail(start, at, name)]
                if not closed:
                    return behind
                break
            found = following
        if wrong:
            self._leave_out(*wrong[0], names)
        elif coded:
            self._keep_code(start, behind)
        else:
            self._entries += entries
        return behind

    def _is_variable(self, name: str) -> bool:
        """Whether this is no parameter, but a variable of the author's for other lines."""
        return not is_parameter_name(name) and name in self._used and bool(_VARIABLE.match(name))

    def _entry(self, name: str, parts: tuple[str | Reference, ...], at: int) -> Entry | None:
        line = self._line_at(at)
        if name == MEMBERS.name and any(map(is_room, self._patterns)):
            members, mistakes = read_members(parts)
            self._members.update(dict.fromkeys(members))
            for reason, step in mistakes:
                self._note(line, reason, step, Severity.WARNING)
            return None
        if not is_parameter_name(name):
            self._note(
                line,
                f"{name} is not a parameter name, and nothing reads it",
                "names are upper-case letters, digits and _, and begin with a letter",
                Severity.WARNING,
            )
            return None
        if is_reserved(name):
            self._note(
                line,
                f"{name} is not given to clients, because their own programs obey it",
                "choose another name, or set it inside the image",
                Severity.WARNING,
            )
            return None
        return Assignment(name, parts, self.file, line)

    def _tail(self, start: int, at: int, name: str) -> tuple[int, str, str]:
        """Return place, reason and next step for text behind a value that does not belong there."""
        origin = self._origin(start, at, name)
        if self.text[at] in _OPERATORS:
            reason = f"{self.text[at]!r} ends the value of {name}, and nothing of use can follow it{origin}"
            return at, reason, f"put the value of {name} in quotes if the character belongs to it"
        reason = f"there are more words after the value of {name}{origin}"
        return at, reason, f'put the whole value in quotes: {name}="…"'

    def _behind_code(self, at: int) -> tuple[int, bool]:
        """Return the offset behind the statement at ``at``, and whether it ends; that it doesn't is told."""
        end = code.end(self.text, at)
        if end is not None:
            return end, True
        reason = "the code that begins here is never closed, so nothing below it can be read"
        self._fail(at, at, reason, "take it out, or close it")
        return len(self.text), False

    def _keep_code(self, start: int, end: int) -> None:
        text = self.text[start:end].rstrip("\n")
        names = tuple(dict.fromkeys(_SETS.findall(text)))
        self._entries.append(Code(text, names, self.file, self._line_at(start)))

    def _leave_out(self, at: int, reason: str, step: str, names: Iterable[str]) -> None:
        """Note a line that is left out: a warning, or an error if it would set a parameter of the server."""
        guess = any(row.sides is SERVER for name in names if (row := find(name)))
        severity = Severity.ERROR if guess else Severity.WARNING
        line, column = self._place(at)
        self.mistakes.append(Finding(severity, self.file, line, reason, step, column))

    def _origin(self, start: int, at: int, name: str) -> str:
        """Say where a value of several lines begins, because that is where a quote is missing."""
        line = self._line_at(start)
        return "" if line == self._line_at(at) else f" (the value of {name} begins in line {line})"

    def _read_code(self, at: int) -> int:
        """Keep a statement that is no assignment; neighbouring lines that are none at all are one mistake."""
        line = self._line_text(at)
        bare = line.lstrip(" \t")
        column_at = at + len(line) - len(bare)
        if call := _CALL.match(bare):
            self._entries.append(Include(call[1], self.file, self._line_at(at), called=True))
            return self._line_end(at)
        if bare.startswith("[") or code.kind(bare, self._functions):
            end, closed = self._behind_code(column_at)
            if closed:
                self._keep_code(at, end)
            return end
        end = self._line_end(at)
        names = _SETS.findall(self.text, at, end)
        if self._no_line_until != at or any(map(is_known, names)):
            step = "write an assignment, # before a comment, or 'command' before a command of your own"
            self._leave_out(column_at, "this line is neither NAME=value nor code", step, names)
        self._no_line_until = end
        return end

    def _fail(self, start: int, at: int, reason: str, step: str) -> int:
        """Note an error and go on with the line after the one that the statement began in."""
        line, column = self._place(at)
        self.mistakes.append(Finding(Severity.ERROR, self.file, line, reason, step, column))
        return self._line_end(start)

    def _place(self, at: int) -> tuple[int, int]:
        line = self._line_at(at)
        return line, at - (self._newlines[line - 2] if line > 1 else -1)

    def _note(self, line: int, reason: str, step: str, severity: Severity = Severity.ERROR) -> None:
        self.mistakes.append(Finding(severity, self.file, line, reason, step))

    def _close(self) -> None:
        entries, members = tuple(self._entries), tuple(self._members)
        self.sections.append(Section(self._name, self._patterns, self.file, self._line, entries, members))
        self._entries, self._members = [], {}

    def _line_at(self, at: int) -> int:
        return bisect_right(self._newlines, at - 1) + 1

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end + 1

    def _line_text(self, at: int) -> str:
        end = self.text.find("\n", at)
        return self.text[at:] if end < 0 else self.text[at:end]
