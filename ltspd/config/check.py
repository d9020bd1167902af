"""All findings of a Document: the parser's mistakes, and what is wrong with its sections and values. Pure."""

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from ltspd.config.autologin import PASSWORDS
from ltspd.config.code_check import applets, codes, hooks, used_by_code
from ltspd.config.document import Assignment, Document, Finding, Host, Reference, Section, Severity
from ltspd.config.evaluate import (
    PREDEFINED,
    Index,
    effective,
    effective_server,
    exact_hosts,
    made_from,
    rooms,
)
from ltspd.config.headers import SPECIAL, is_glob, is_room, is_word
from ltspd.config.hooks import hook
from ltspd.config.parameter import BOTH, CLIENT, MENU, SERVER, Parameter, Side
from ltspd.config.parameters import find, former, is_known, is_unread, mistakes, parts, sides, suggestion
from ltspd.config.readers import TEXT
from ltspd.config.rooms import MEMBERS, member, overlap
from ltspd.config.secrecy import withheld

# busybox ash nests a function call for each INCLUDE; no chain this long was written by hand.
DEEPEST_INCLUDE = 100
# A suggestion costs about 2 ms; a file with more unknown names than this is no ltsp.conf.
_SUGGESTIONS = 50
# The same limit for names of sections, counted in comparisons of two names.
_COMPARISONS = 5000
# Globs of rooms that are compared with each other, which takes some ms; no school has as many.
_GLOBS = 100


def check(document: Document) -> tuple[Finding, ...]:
    """Return every finding, in the order of the files and their lines."""
    index = Index(document)
    rules: tuple[Callable[[Document, Index], Iterable[Finding]], ...] = (
        _includes,
        applets,
        codes,
        hooks,
        misnamed,
        _shadowed,
        _rooms,
        _in_two_rooms,
        _unknown,
        _readers,
        _values,
        _repeated,
        _references,
        _secrets,
        _omitted,
        _unsupported,
    )
    files = {document.file: 0}
    findings = [*document.mistakes, *mistakes()]
    for rule in rules:
        findings += rule(document, index)
    for finding in findings:
        files.setdefault(finding.file, len(files))
    return tuple(sorted(findings, key=lambda each: (files[each.file], each.line, each.column)))


def _warning(at: Assignment | Section, reason: str, step: str) -> Finding:
    return Finding(Severity.WARNING, at.file, at.line, reason, step)


def _assignments(document: Document) -> Iterator[Assignment]:
    for section in document.sections:
        yield from section.assignments


def _includes(document: Document, index: Index) -> Iterator[Finding]:
    """Find INCLUDEs of sections that don't exist, in circles, or nested too deeply."""
    state: dict[int, int] = {}  # place -> depth below it; -1 while it is being walked
    names = [each.name for each in document.sections if each.patterns and all(map(is_word, each.patterns))]
    compared = 0
    for start in range(len(document.sections)):
        stack = [] if start in state else [(start, iter(document.sections[start].includes), 0)]
        state.setdefault(start, -1)
        while stack:
            place, includes, below = stack[-1]
            include = next(includes, None)
            if include is None:
                stack.pop()
                state[place] = below
                if stack:
                    parent, rest, deepest = stack[-1]
                    stack[-1] = (parent, rest, max(deepest, below + 1))
                continue
            target = index.target(include)
            label = document.sections[place].label
            if target is None:
                near = suggestion(include.target, names) if compared < _COMPARISONS else ""
                compared += len(names)
                step = f"is [{near}] meant?" if near else "add that section, or take the line out"
                if include.target.startswith(("/", ".")):
                    step = "INCLUDE takes the name of a section, not of a file"
                yield Finding(
                    Severity.WARNING,
                    include.file,
                    include.line,
                    f"there is no section [{include.target}] to include in {label}",
                    step,
                )
                continue
            at = index.position(target)
            if target is index.special("server") and place not in index.server_only:
                yield Finding(
                    Severity.WARNING,
                    include.file,
                    include.line,
                    f"{label} includes [server], which clients must not see, so they don't",
                    "move what both need to [common]",
                )
            if at not in state:
                state[at] = -1
                stack.append((at, iter(target.includes), 0))
            elif state[at] < 0:
                yield Finding(
                    Severity.WARNING,
                    include.file,
                    include.line,
                    f"{label} includes {target.label}, which leads back to {label}",
                    "take one INCLUDE of the circle out",
                )
            else:
                stack[-1] = (place, includes, max(below, state[at] + 1))
        if state[start] == DEEPEST_INCLUDE:
            yield Finding(
                Severity.ERROR,
                document.sections[start].file,
                document.sections[start].line,
                f"INCLUDEs are nested more than {DEEPEST_INCLUDE} deep",
                "include the inner sections directly",
            )


def _shadowed(document: Document, index: Index) -> Iterator[Finding]:
    """Find sections that never count for a host, because an earlier one fits it first (as in LTSP)."""
    included = index.reach(
        target for section in document.sections for each in section.includes if (target := index.target(each))
    )
    same: dict[str, Section] = {}
    for place, section in enumerate(document.sections):
        for host in (each for each in section.patterns if not ("/" in each or is_room(each))):
            first: Section | None = same.setdefault(host, section)
            if not is_glob(host) and host not in SPECIAL:
                first = index.first_match(host)
            if first is not None and first is not section and place not in included:
                yield _warning(
                    section,
                    f"{section.label} is never read for {host}: {first.label}, line {first.line}, fits first",
                    f"move it above {first.label}, and write INCLUDE there for what both need",
                )


def _rooms(document: Document, index: Index) -> Iterator[Finding]:
    """Find rooms without members, and members without a room."""
    included = {id(index.target(each)) for section in document.sections for each in section.includes}
    for section in document.sections:
        if section.room and not section.members and id(section) not in included:
            yield _warning(section, f"no client is in {section.label}", 'add MEMBERS="52:54:00:* pc1*"')
        for each in section.assignments:
            if each.name == MEMBERS.name:
                step = "write [room:NAME] above it"
                yield _warning(each, f"MEMBERS in {section.label} says nothing: this is no room", step)


def _in_two_rooms(document: Document, index: Index) -> Iterator[Finding]:
    """Find clients that are in two rooms: the settings of the first count, and orders to both reach them."""

    def told(first: Section, second: Section, who: str) -> Finding:
        pairs.add((first.name, second.name))
        reason = f"{who} is in {first.label}, line {first.line}, and in {second.label}"
        return _warning(second, reason, f"the settings of {first.label} count; take it out of one room")

    pairs: set[tuple[str, str]] = set()
    if not index.has_rooms:
        return
    for _, shown, host in exact_hosts(document):
        found = rooms(index, host)
        for second in found[1:]:
            yield told(found[0], second, shown)
    globs = [
        (section, *member(each)) for section in document.sections for each in section.members if is_glob(each)
    ]
    for count, (second, kind, glob) in enumerate(globs[:_GLOBS]):
        for first, other_kind, other in globs[:count]:
            if first is second or kind != other_kind or (first.name, second.name) in pairs:
                continue
            if overlap(glob, other):
                also = f" and {other}" if other != glob else ""
                yield told(first, second, f"what fits {glob}{also}")


def _unknown(document: Document, _: Index) -> Iterator[Finding]:
    """Find names that are no parameter, and say what was probably meant."""
    uses: dict[str, list[Assignment]] = {}
    used = used_by_code(document)
    for each in _assignments(document):
        if not (is_known(each.name) or each.name in PREDEFINED or each.name in used):
            uses.setdefault(each.name, []).append(each)
    for count, (name, places) in enumerate(uses.items()):
        near = suggestion(name) if count < _SUGGESTIONS else ""
        others = f" (set {len(places)} times, first here)" if len(places) > 1 else ""
        step = f"is {near} meant?" if near else "nothing here reads it"
        yield _warning(places[0], f"{name} is not a known parameter{others}", step)


def _readers(document: Document, index: Index) -> Iterator[Finding]:
    """Find parameters in sections that whoever reads them does not look at."""
    server = index.reach([index.special("server")])
    starts = (each for place, each in enumerate(document.sections) if place not in index.server_only)
    client = index.reach(starts, index.server_only) - index.server_only
    shared = index.reach([index.unnamed, index.special("common")])
    for place, section in enumerate(document.sections):
        present = Side(0)
        if place in shared or place in server:
            present |= SERVER
        if place in shared or place in client:
            present |= CLIENT
        for each in section.assignments:
            row = find(each.name)
            if (
                row is None
                or hook(each.name)
                or BOTH in row.sides
                or row.sides & present
                or not section.patterns
            ):
                continue
            step = (
                "move it to [server]" if row.sides is SERVER else "move it to [clients] or a client's section"
            )
            yield _warning(each, f"{each.name} is never read in {section.label}", step)


def _values(document: Document, index: Index) -> Iterator[Finding]:
    """Find values that their parameter's reader refuses."""
    seen: set[tuple[str, int, str]] = set()
    hidden = withheld(document)
    given = [(each.name, each.text, each.file, each.line) for each in _assignments(document)]
    given += [(name, each.text, each.file, each.line) for name, each in effective_server(index).items()]
    for name, text, file, line in given:
        row = find(name)
        if text is None or row is None or (file, line, name) in seen:
            continue
        seen.add((file, line, name))
        if why := row.problem(text):
            # A client that can't read a value uses the default; the server must not guess.
            severity = Severity.ERROR if SERVER in row.sides else Severity.WARNING
            reason = f"{name}{_shown(row, name, text, hidden)} {why}"
            yield Finding(severity, file, line, reason, f"write {_wanted(row)}")
    yield from _values_of_hosts(document, index, seen, hidden)


def _values_of_hosts(
    document: Document, index: Index, seen: set[tuple[str, int, str]], hidden: Container[str]
) -> Iterator[Finding]:
    """Find values made from others that are bad for some host; the default counts there."""
    unknown = made_from(document, PREDEFINED)
    made = {each.name for each in _assignments(document) if each.references}
    made -= {each.name for each in _assignments(document) if not unknown.isdisjoint(each.references)}
    judged = {name: row for name in made if (row := find(name)) and row.reader is not TEXT}
    if not judged:
        return
    hosts = [("a client", Host()), *((value, host) for _, value, host in exact_hosts(document))]
    for shown, host in hosts:
        for name, value in effective(index, host).items():
            if name not in judged or (value.file, value.line, name) in seen:
                continue
            if why := judged[name].problem(value.text):
                seen.add((value.file, value.line, name))
                reason = f"{name} of {shown} is made from other parameters, and"
                reason += f"{_shown(judged[name], name, value.text, hidden)} {why}"
                step = f"the default counts there; make it {_wanted(judged[name])}"
                yield Finding(Severity.WARNING, value.file, value.line, reason, step)


def _shown(row: Parameter[Any], name: str, text: str, hidden: Container[str]) -> str:
    # Messages are logged and published, so they must not repeat a secret.
    return "" if row.secret or name in hidden or len(text) > 80 else f" {text!r}"


def _wanted(row: Parameter[Any]) -> str:
    return row.reader.form or row.reader.word


def _repeated(document: Document, _: Index) -> Iterator[Finding]:
    """Find names set twice in one section, unless the second value is made from the first."""
    for section in document.sections:
        first: dict[str, Assignment] = {}
        again: dict[str, Assignment] = {}
        for each in section.assignments:
            if each.name not in first:
                first[each.name] = each
            elif each.name not in each.references:
                again[each.name] = each
        for name, each in again.items():
            reason = f"{name} is already set in line {first[name].line} of this section; the last one counts"
            yield _warning(each, reason, "take the others out")


def _references(document: Document, _: Index) -> Iterator[Finding]:
    """Find values made from parameters that nothing sets."""
    known = {each.name for each in _assignments(document)} | set(PREDEFINED)
    known.update(name for section in document.sections for code in section.code for name in code.names)
    for each in _assignments(document):
        for part in each.parts:
            if isinstance(part, Reference) and part.name not in known:
                yield _warning(
                    each,
                    f"${part.name} in the value of {each.name} is set nowhere and stands for nothing",
                    f"set {part.name} first, or use single quotes if a plain dollar sign is meant",
                )


def _secrets(document: Document, index: Index) -> Iterator[Finding]:
    """Find parameters that clients do not get, because everybody on the network could read them."""
    hidden = withheld(document)
    for place, section in enumerate(document.sections):
        for each in section.assignments:
            if each.name in hidden and (MENU in sides(each.name) or place not in index.server_only):
                step = "let clients ask a service that authenticates them"
                if PASSWORDS.fits(each.name):
                    step = "the accounts that it names are opened to the client's own key, without it"
                yield _warning(
                    each, f"{each.name} holds or uses a secret, so it is not given to clients", step
                )


def _omitted(document: Document, _: Index) -> Iterator[Finding]:
    """Find names in OMIT_FUNCTIONS that leave out nothing."""
    known = {name for names in parts() for name in names}
    for each in _assignments(document):
        if each.name != "OMIT_FUNCTIONS":
            continue
        for word in dict.fromkeys((each.text or "").split()):
            if word not in known:
                near = suggestion(word, known)
                step = (
                    f"is {near} meant?" if near else f"the parts are {', '.join(own for own, *_ in parts())}"
                )
                yield _warning(
                    each, f"OMIT_FUNCTIONS has {word[:40]!r}, which is no part of a set-up here", step
                )


def _unsupported(document: Document, _: Index) -> Iterator[Finding]:
    """Find LTSP's parameters that have no effect here: each that says why, the others in one line."""
    idle: dict[str, Assignment] = {}
    told: set[str] = set()
    for each in _assignments(document):
        if gone := former(each.name):
            if each.name not in told and each.text not in gone.agreeing:
                told.add(each.name)
                yield _warning(each, f"{each.name} has no meaning here: {gone.why}", gone.step)
        elif is_unread(each.name):
            idle.setdefault(each.name, each)
    if idle:
        first = next(iter(idle.values()))
        yield _warning(first, f"these parameters have no effect yet: {', '.join(idle)}", "")


# In other configuration files, such as LTSP 5's, these are names of the section for everybody.
_EVERYBODY = frozenset({"all", "any", "client", "default", "defaults", "everyone", "global", "host", "hosts"})
_BARE_MAC = re.compile(r"[0-9a-f]{12}\Z")


def misnamed(document: Document, index: Index) -> Iterator[Finding]:
    """Find names that select one host, but look like something else."""
    included = {id(index.target(each)) for section in document.sections for each in section.includes}
    for section in document.sections:
        if id(section) in included:
            continue
        for pattern in section.patterns:
            if meant := _meant(pattern):
                reason = f"[{pattern}] counts only for a host of that name"
                yield Finding(Severity.WARNING, section.file, section.line, reason, f"is [{meant}] meant?")


def _meant(pattern: str) -> str:
    if _BARE_MAC.match(pattern) and any(map(str.isdigit, pattern)):
        return ":".join(re.findall("..", pattern))
    if pattern in SPECIAL or is_glob(pattern) or ":" in pattern or "/" in pattern:
        return ""
    return "clients" if pattern in _EVERYBODY else suggestion(pattern, SPECIAL)
