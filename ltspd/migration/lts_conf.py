"""LTSP 5's lts.conf → an ltsp.conf, and what became of each of its settings. Pure.

Nothing is lost silently: what has no counterpart is a comment in the result, and each setting has its row.
Passwords are in neither.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import count
from typing import NamedTuple

from ltspd.config.check import DEEPEST_INCLUDE
from ltspd.config.headers import SPECIAL, is_room, read_header, with_colons
from ltspd.config.parameters import find, is_secret, is_unread, suggestion
from ltspd.config.parse import SIZE_LIMIT, parse
from ltspd.config.secrecy import withheld
from ltspd.config.settings import quote
from ltspd.migration import lts_keys
from ltspd.migration.lts_keys import Key, truth

# No school's lts.conf comes near; what is larger is something else.
LARGEST = 256 << 10
# The section that is [default] in lts.conf.
CLIENTS = "clients"

_HEADER = re.compile(r"[ \t]*\[([^\]]*)\][ \t]*(?:[#;].*)?")
_SETTING = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_REMARK = re.compile(r"(?:\A|[ \t])#")
_ASSIGNED = re.compile(r"[#; \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
# A line of ours must stay one line, and one that any program shows.
_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CODE = re.compile(r"[$`]")
# Several names of a section that make one parameter.
_PARTS = (
    frozenset({"HOSTNAME_BASE", "HOSTNAME_EXTRA"}),
    frozenset({"LDM_AUTOLOGIN", "LDM_USERNAME"}),
    frozenset(f"X_MODE_{digit}" for digit in range(10)),
)


class Fate(StrEnum):
    """What became of a setting."""

    DONE = "done"
    RENAMED = "renamed"
    LATER = "later"
    GONE = "gone"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Row(NamedTuple):
    """One setting, or odd line: what it ``became`` (nothing: a comment), and why."""

    line: int
    section: str
    key: str
    fate: Fate
    became: str
    message: str


class Translation(NamedTuple):
    """The text of an ltsp.conf, and the rows in the order of their lines."""

    text: str
    rows: tuple[Row, ...]


class Unreadable(Exception):
    """The text can't be an lts.conf; the message is a sentence."""


class _Line(NamedTuple):
    """One line; without a key it is no setting, without a value it is one that can't be read."""

    number: int
    raw: str
    key: str = ""
    value: str | None = None


def translate(text: str, file: str = "lts.conf") -> Translation:
    """Return the ltsp.conf that says what a lts.conf says; raises Unreadable."""
    if len(text) > LARGEST:
        raise Unreadable(f"{file} is larger than {LARGEST >> 10} KiB: is this the right file?")
    translator = _Translator(text)
    lines = [
        f"# Made from {_UNSEEN.sub('?', file)} by 'ltspctl config import'.",
        "# What stands behind '#-' was a setting there, and is none here.",
        *translator.lines(),
    ]
    result = "\n".join(lines) + "\n"
    if len(result) > SIZE_LIMIT:
        raise Unreadable(
            f"{file} makes a file of more than {SIZE_LIMIT >> 20} MiB, which nothing would read."
        )
    hidden = withheld(parse(result))
    secret = "it holds a password or a hash, so clients do not get it"
    rows = [
        each._replace(message=_joined(each.message, secret)) if each.became in hidden else each
        for each in translator.rows
    ]
    return Translation(result, tuple(sorted(rows)))


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _read_line(number: int, line: str) -> _Line:
    found = _SETTING.fullmatch(line)
    if found is None:
        return _Line(number, line)
    return _Line(number, line, found[1].upper(), _read_value(found[2]))


def _read_value(text: str) -> str | None:
    """Return the value behind an equals sign, or None: quotes are missing, or there is more behind them."""
    if text.startswith(("'", '"')):
        value, closed, rest = text[1:].partition(text[0])
        return value if closed and (not rest.strip() or rest.lstrip().startswith("#")) else None
    remark = _REMARK.search(text)
    value = text[: remark.start()] if remark else text
    return None if re.search("[\"']", value) else value.strip()


class _Translator:
    """One file: its sections by their names here, and the rows of the report."""

    def __init__(self, text: str) -> None:
        self.rows: list[Row] = []
        # Sections' names here, by their names there in lower case.
        self._names: dict[str, str] = {"default": CLIENTS}
        self._taken = {CLIENTS}
        # Lines above the first section are for everybody, too.
        self._sections: dict[str, list[_Line]] = {CLIENTS: []}
        here = self._sections[CLIENTS]
        for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            line = _UNSEEN.sub("\ufffd", raw.removesuffix("\r"))
            if line != raw.removesuffix("\r"):
                self._tell(
                    number, "", "", Fate.REFUSED, "it has characters that no text has: they are \ufffd now"
                )
            if header := _HEADER.fullmatch(line):
                here = self._sections.setdefault(self._name(number, header[1].strip()), [])
            else:
                here.append(_read_line(number, line))
        self._likes = {name: self._like(lines) for name, lines in self._sections.items()}

    def _like(self, lines: list[_Line]) -> list[str]:
        """Return the sections that these lines say to be like."""
        words = ((each.value or "").lower() for each in lines if each.key == "LIKE")
        return list(dict.fromkeys(self._names[each] for each in words if each in self._names))

    def _tell(self, number: int, section: str, key: str, fate: Fate, message: str, became: str = "") -> None:
        self.rows.append(Row(number, section, key, fate, became, message))

    def _name(self, number: int, raw: str) -> str:
        """Return what a section is called here, always the same for the same name in any case."""
        key = raw.lower()
        if key not in self._names:
            name = self._names[key] = self._new_name(key)
            self._taken.add(name)
            if name not in (key, with_colons(key)):
                message = "here its name has a meaning of its own, or a sign that no host's name has"
                self._tell(number, name, f"[{raw}]", Fate.RENAMED, message, f"[{name}]")
        return self._names[key]

    def _new_name(self, key: str) -> str:
        header = read_header(f"[{with_colons(key)}]")
        special = header.mistakes or header.name in SPECIAL or is_room(key) or "/" in key or "|" in key
        if not special and header.name not in self._taken:
            return header.name
        stem = "section-" + (re.sub(r"[^a-z0-9.]+", "-", key).strip("-.")[:40] or "x")
        names = (f"{stem}-{number}" if number else stem for number in count())
        return next(each for each in names if each not in self._taken)

    # ---- writing -----------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield the lines of the result, and note what becomes of each setting."""
        for name, body in self._sections.items():
            if name == CLIENTS and not any(each.raw.strip() for each in body):
                continue
            yield ""
            yield f"[{name}]"
            # LIKE counts less than the lines beside it, wherever it stands; an INCLUDE counts in its place.
            yield from self._includes(name)
            last = {each.key: each.number for each in body}
            taken: dict[str, _Line] = {}
            for each in body:
                if not each.key:
                    yield from self._remark(name, each)
                elif each.key != "LIKE" and last[each.key] != each.number:
                    message = f"line {last[each.key]} of this section sets it again, and counts"
                    yield self._left_out(name, each, Fate.GONE, message)
                elif each.key != "LIKE":
                    yield self._setting(name, each, taken)
            yield from self._consequences(name, taken)

    def _includes(self, name: str) -> Iterator[str]:
        for each in self._sections[name]:
            if each.key != "LIKE":
                continue
            wanted = (each.value or "").lower()
            target = self._names.get(wanted, "")
            reached = self._reach(target) if target else ()
            if wanted == "default":
                yield self._left_out(name, each, Fate.GONE, "[clients] counts for every client anyway")
            elif not target:
                yield self._left_out(name, each, Fate.REFUSED, "there is no section of that name")
            elif name in reached:
                yield self._left_out(name, each, Fate.REFUSED, "that section leads back to this one")
            elif len(reached) >= DEEPEST_INCLUDE:
                yield self._left_out(name, each, Fate.REFUSED, "too many sections follow from that one")
            else:
                self._tell(each.number, name, "LIKE", Fate.RENAMED, "", "INCLUDE")
                yield f"INCLUDE={target}"

    def _reach(self, name: str) -> Mapping[str, None]:
        """Return a section and all that it is like, up to as many as can be nested."""
        found: dict[str, None] = {name: None}
        todo = [name]
        while todo and len(found) <= DEEPEST_INCLUDE:
            for each in self._likes[todo.pop()][: DEEPEST_INCLUDE + 1]:
                if each not in found:
                    found[each] = None
                    todo.append(each)
        return found

    def _value(self, name: str, key: str, *, common: bool = True) -> str:
        """Return what a name is for a section: from its lines, by LIKE, or from [default]."""
        for section in (*self._reach(name), *((CLIENTS,) if common else ())):
            own = [each.value or "" for each in self._sections[section] if each.key == key]
            if own:
                return own[-1].strip()
        return ""

    def _remark(self, name: str, line: _Line) -> Iterator[str]:
        text = line.raw.strip()
        if text and text[0] not in "#;":
            yield self._left_out(name, line, Fate.REFUSED, "this line is neither a section nor NAME = value")
        elif text:
            assigned = _ASSIGNED.match(text)
            secret = assigned and _holds_secret(assigned[1].upper(), text)
            shown = f"{assigned[1]}= (not copied)" if assigned and secret else text.lstrip("#;").strip()
            yield f"# {shown}".rstrip()

    def _left_out(self, name: str, line: _Line, fate: Fate, message: str) -> str:
        """Return the comment that stands for a line, and note why."""
        self._tell(line.number, name, line.key, fate, message)
        if _holds_secret(line.key, line.raw):
            return f"#- {line.key or 'a line'} (not copied)"
        return f"#- {line.raw.strip()}"

    def _setting(self, name: str, line: _Line, taken: dict[str, _Line]) -> str:
        if line.value is None:
            return self._left_out(name, line, Fate.REFUSED, "its value can't be read: are quotes missing?")
        known = lts_keys.find(line.key, line.value)
        if known is None:
            near = suggestion(line.key)
            also = f"; ltsp.conf has {near}" if near else ""
            return self._left_out(name, line, Fate.UNKNOWN, f"lts.conf has no such name{also}")
        if not known.target:
            return self._left_out(name, line, Fate.GONE if known.gone else Fate.LATER, known.why)
        if _CODE.search(line.value):
            message = "the value is code of the shell, which LTSP 5 ran: write what comes out of it"
            return self._left_out(name, line, Fate.REFUSED, message)
        target, value, why = self._meant(name, line, known, line.value)
        if not target:
            return self._left_out(name, line, Fate.GONE, why)
        if before := taken.get(target):
            if target != "X_MODELINE" and any({before.key, line.key} <= each for each in _PARTS):
                self._tell(line.number, name, line.key, _fate(target, line.key), why, target)
                return f"#- {line.raw.strip()} (is in {target} above)"
            message = f"{before.key} in line {before.number} makes {target}, too"
            return self._left_out(name, line, Fate.REFUSED, message)
        parameter = find(target)
        if parameter is None and not is_unread(target):
            return self._left_out(name, line, Fate.LATER, why or f"ltsp.conf has no {target} yet")
        if parameter and (problem := parameter.problem(value)):
            message = f"as {target} it {problem}; that takes {parameter.reader.form or parameter.reader.word}"
            return self._left_out(name, line, Fate.REFUSED, message)
        taken[target] = line
        self._tell(line.number, name, line.key, _fate(target, line.key), why, target)
        return f"{target}={quote(value)}"

    def _meant(self, name: str, line: _Line, known: Key, value: str) -> tuple[str, str, str]:
        """Return parameter, value and remark for a setting; some follow from several lines."""
        if line.key in ("HOSTNAME_BASE", "HOSTNAME_EXTRA"):
            if self._value(name, "HOSTNAME", common=False):
                return "", "", "HOSTNAME is set, and counts"
            by_mac = self._value(name, "HOSTNAME_EXTRA").lower() == "mac"
            return known.target, f"{self._base(name)}%{{{'MAC' if by_mac else 'IP'}}}", known.why
        if line.key in ("LDM_AUTOLOGIN", "LDM_USERNAME"):
            if truth(self._value(name, "LDM_AUTOLOGIN")):
                return known.target, self._account(name), "it needs no password here"
            if line.key == "LDM_USERNAME":
                return "", "", "without LDM_AUTOLOGIN=True nobody is logged in by it"
            return known.target, "", "nobody is logged in by itself"
        if known.target == "X_MODES":
            if timed := _modeline(value):
                return "X_MODELINE", timed, "a mode with its timing has a name of its own"
            modes = {each.key: each.value or "" for each in self._sections[name] if each.key in _PARTS[2]}
            plain = (each for _, each in sorted(modes.items()) if not _modeline(each))
            return known.target, " ".join(f'"{each}"' for each in " ".join(plain).split()), known.why
        return line.key if known.target == known.name else known.target, known.read(value), known.why

    def _base(self, name: str) -> str:
        return self._value(name, "HOSTNAME_BASE") or "ltsp"

    def _account(self, name: str) -> str:
        """Return the account to log in; without a name, LTSP 5 took that of the client."""
        own = self._value(name, "LDM_USERNAME") or self._value(name, "HOSTNAME", common=False)
        return own or f"{self._base(name)}/{self._base(name)}"

    def _consequences(self, name: str, taken: Mapping[str, _Line]) -> Iterator[str]:
        """Yield what LTSP 5 did by itself in a section, and what must be said here."""
        host = taken.get("HOSTNAME")
        by_name = truth(self._value(name, "LDM_AUTOLOGIN")) and not self._value(name, "LDM_USERNAME")
        if host and by_name and "AUTOLOGIN" not in taken:
            yield from self._also(
                name, host, "AUTOLOGIN", self._account(name), "clients log in by their names"
            )
        homes = [each for key, each in taken.items() if key.startswith("FSTAB_") and _mounts_homes(each)]
        for each in homes[:1]:
            why = "homes are mounted before the login; NFS_HOME=1 in [server] exports those of this server"
            yield from self._also(name, each, "HOME_KIND", "mounted", why)

    def _also(self, name: str, line: _Line, target: str, value: str, why: str) -> Iterator[str]:
        parameter = find(target)
        if parameter and not parameter.problem(value):
            self._tell(line.number, name, line.key, _fate(target, line.key), why, target)
            yield f"{target}={quote(value)}"


def _modeline(value: str) -> str:
    """Return a mode with its timing as X_MODELINE has it: name, clock, eight numbers, flags; or nothing."""
    words = value.split()
    if len(words) > 9 and all(map(str.isdecimal, words[2:10])):
        return value
    if len(words) > 8 and all(map(str.isdecimal, words[1:9])):
        return f"{words[1]}x{words[5]} {value}"
    return ""


def _mounts_homes(line: _Line) -> bool:
    fields = (line.value or "").split()
    return len(fields) > 1 and fields[1].rstrip("/") == "/home"


def _fate(target: str, key: str) -> Fate:
    return Fate.LATER if find(target) is None else Fate.DONE if target == key else Fate.RENAMED


def _holds_secret(key: str, text: str) -> bool:
    """Whether a line may hold a password, by its name or by what it says."""
    words = (key,) if key else re.findall(r"\w+", text.upper())
    return any(map(is_secret, words)) or bool(withheld(parse(f"VALUE={quote(text)}\n")))
