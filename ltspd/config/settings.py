"""The file ``/ltsp/settings`` that clients read: what a Document says, as POSIX sh (busybox ash). Pure.

Text from ltsp.conf is within single quotes or is a name of a checked form, so that none of it can run. The
file defines ``ltsp_settings MAC IP HOSTNAME [SERVER [APPLET]]``, which does in the shell what evaluate does
here; a property test compares both. MAC must be lower-case with colons. ``ltsp_known`` are the names.

Code is in the file as text. It runs only where client/live/code.sh has redefined ``ltsp_at``; else it sets
nothing. ``ltsp_code`` says whether there is any, and ``ltsp_hooks`` which applets have hooks.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from ltspd.config.document import Assignment, Code, Document, Section
from ltspd.config.evaluate import PREDEFINED, Index
from ltspd.config.headers import SPECIAL, is_room, section_id
from ltspd.config.hooks import MOMENTS, hook, names_in
from ltspd.config.names import is_parameter_name, is_reserved
from ltspd.config.parameter import CLIENT
from ltspd.config.parameters import is_secret, sides, table
from ltspd.config.rooms import ADDRESS, MAC, NAME, member
from ltspd.config.secrecy import is_secret_code, withheld

_HEAD = """\
# Generated from ltsp.conf by ltspd; changes here are lost.
# After reading this file: ltsp_settings MAC IP HOSTNAME [SERVER [APPLET]]
"""
_HOST_NAME_CASE = "''|*[!A-Za-z0-9._-]*"
_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# In code, LTSP has these two forms at the begin of a line, which are none of the shell's.
_INCLUDE = re.compile(r"^include *= *(?P<name>[^#\n]*).*$", re.MULTILINE | re.IGNORECASE)
_SPACED = re.compile(r"^([A-Za-z0-9_]+)(?: +=|=(?= )) *", re.MULTILINE)


_APPLET = (
    "    ltsp_applet=${5-init}",
    '    case "$ltsp_applet" in',
    "        ?*)",
    """            for ltsp_subject in '' "${1-}" "${2-}" "$ltsp_host"; do""",
    '                ltsp_match "$ltsp_applet/$ltsp_subject"',
    "            done",
    "            ;;",
    "    esac",
)


def quote(text: str) -> str:
    """Return a shell word that stands for exactly this text (no NUL) in every POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def render_settings(document: Document) -> bytes:
    """Return the file: what clients read and what that is made from, without secrets."""
    index = Index(document)
    hidden = withheld(document)
    sections = {
        place: section
        for place, section in enumerate(document.sections)
        if place not in index.server_only and (place == 0 or section.patterns)
    }
    code = {
        (each.file, each.line): each
        for section in sections.values()
        for each in section.code
        if not is_secret_code(each, hidden)
    }
    names = sorted(_read_by_clients(sections.values(), hidden, code.values()))
    known = frozenset(names) | frozenset(PREDEFINED)
    lines = [_HEAD, *_says(names, bool(code), index.has_applets)]
    shown = known.union(*(each.names for each in code.values())) - hidden
    for place, section in sections.items():
        lines += _section(index, place, section, shown, sections, code)
    lines += _dispatcher(index, sections, names)
    if code or any(map(hook, names)):
        lines += _for_code(sections)
    return "\n".join(lines).encode("utf-8", "replace")


def _read_by_clients(sections: Iterable[Section], hidden: Container[str], code: Iterable[Code]) -> set[str]:
    """Return the names that the file may have, as everybody on the network can fetch it."""
    sources: dict[str, set[str]] = {}
    for section in sections:
        for each in section.assignments:
            if each.name not in hidden and is_parameter_name(each.name) and not is_reserved(each.name):
                sources.setdefault(each.name, set()).update(each.references)
                if hook(each.name):
                    sources[each.name].update(names_in(each))
    todo = [name for name in sources if CLIENT in sides(name)]
    todo += (name for each in code for name in _NAMES.findall(each.text))
    names: set[str] = set()
    while todo:
        if (name := todo.pop()) not in names and name in sources:
            names.add(name)
            todo += sources[name]
    return names


def _says(names: Sequence[str], coded: bool, applets: bool) -> list[str]:
    """Return the lines that name the settings, and by which a client knows that it has no code or hooks."""
    found = (each.applet for each in map(hook, names) if each)
    hooks = "".join(f" {each}" for each in dict.fromkeys(found) if each in MOMENTS)
    said = {"ltsp_code": str(int(coded)), "ltsp_hooks": f"{hooks} ", "ltsp_applets": str(int(applets))}
    said["ltsp_known"] = " ".join(names)
    lines = [f"{name}={quote(value)}" for name, value in said.items() if value.strip() not in ("", "0")]
    lines += ["ltsp_at() { return 1; }"] if coded else []
    return [*lines, ""] if lines else []


def _code(code: Code) -> list[str]:
    """Return code as a client runs it. A slip in its syntax ends the code, and not the shell."""
    text = _INCLUDE.sub(lambda found: f"section_call {quote(found['name'].strip().lower())}", code.text)
    text = _SPACED.sub(r"\1=", text)
    return [
        f"    if ltsp_at {quote(f'{code.file}:{code.line}')}; then",
        f"        command eval {quote(text)}",
        '        ltsp_did "$?"',
        "    fi",
    ]


def _for_code(sections: Mapping[int, Section]) -> list[str]:
    """Return what code calls: each section by its name as LTSP has it, and those that a word fits."""
    lines = ["section_unnamed() { ltsp_section_0; }"]
    for place, section in sections.items():
        if section.patterns:
            lines.append(f"section_{section_id(section.name)}() {{ ltsp_section_{place}; }}")
    own = sorted(
        name
        for name, row in table().items()
        if CLIENT in row.sides and not (is_secret(name) or hook(name.replace("*", "X")))
    )
    return [
        *lines,
        'section_call() { while [ $# -gt 0 ]; do ltsp_match "$1"; shift; done; }',
        "ltsp_is_setting() {",
        f'    case "$1" in {"|".join(own)}) return 0 ;; esac',
        "    return 1",
        "}",
        "",
    ]


def _section(
    index: Index,
    place: int,
    section: Section,
    known: frozenset[str],
    present: Container[int],
    code: Container[tuple[str, int]],
) -> list[str]:
    lines = [
        f"ltsp_section_{place}() {{",
        f'    case "${{ltsp_seen_{place}-}}" in 1) return 0 ;; esac',
        f"    ltsp_seen_{place}=1",
    ]
    for entry in section.entries:
        if isinstance(entry, Assignment):
            if entry.name in known:
                lines.append(f"    {entry.name}={_value(entry, known)}")
                if hook(entry.name):
                    lines.append(f"    ltsp_line_{entry.name}={quote(f'{entry.file}:{entry.line}')}")
        elif isinstance(entry, Code):
            lines += _code(entry) if (entry.file, entry.line) in code else []
        elif (target := index.target(entry)) is not None and index.position(target) in present:
            lines.append(f"    ltsp_section_{index.position(target)}")
    return [*lines, "    return 0", "}", ""]


def _value(entry: Assignment, known: frozenset[str]) -> str:
    words = [
        quote(part) if isinstance(part, str) else f'"${{{part.name}-}}"' if part.name in known else ""
        for part in entry.parts
    ]
    return "".join(words) or "''"


def _pattern(pattern: str) -> str:
    """Quote everything but * and ?, which mean the same in ``case``. A bare ``esac`` would end that."""
    return "".join(part if part in "*?" else quote(part) for part in re.split(r"([*?])", pattern) if part)


def _dispatcher(index: Index, sections: dict[int, Section], names: list[str]) -> list[str]:
    lines = ["ltsp_match() {", '    case "$1" in', "        '') ;;"]
    for place, section in sections.items():
        patterns = [each for each in section.patterns if not (each in SPECIAL or is_room(each))]
        if patterns:
            lines.append(f"        {'|'.join(map(_pattern, patterns))}) ltsp_section_{place} ;;")
    lines += ["    esac", "    return 0", "}", ""]
    rooms = {place: section.members for place, section in sections.items() if section.members}
    lines += _rooms(rooms)
    lines += ["ltsp_evaluate() {"]
    lines += [f"    unset {name}" for name in names if name not in PREDEFINED]
    lines += [f"    ltsp_seen_{place}=" for place in sections]
    lines += ["    MAC_ADDRESS=${1-}", "    IP_ADDRESS=${2-}", "    HOSTNAME=${3-}", "    SERVER=${4-}"]
    lines.append("    ltsp_section_0")
    for name in ("clients", "common"):
        special = index.special(name)
        if special is not None and index.position(special) in sections:
            lines.append(f"    ltsp_section_{index.position(special)}")
    lines += [f'    case "$ltsp_room" in {place}) ltsp_section_{place} ;; esac' for place in rooms]
    lines += [
        '    ltsp_match "${1-}"',
        '    ltsp_match "${2-}"',
        "    ltsp_host=$HOSTNAME",
        f'    case "$ltsp_host" in {_HOST_NAME_CASE}) ltsp_host=${{3-}} ;; esac',
        f'    case "$ltsp_host" in {_HOST_NAME_CASE}) ltsp_host= ;; esac',
        '    case "$ltsp_host" in',
        "        *[A-Z]*) ltsp_host=$(printf '%s' \"$ltsp_host\" | tr 'A-Z' 'a-z') ;;",
        "    esac",
        '    ltsp_match "$ltsp_host"',
        *(_APPLET if index.has_applets else ()),
        "    return 0",
        "}",
        "",
        # The first time tells the host name, which may say in which room the client is.
        "ltsp_settings() {",
        "    ltsp_room=",
        '    ltsp_evaluate "$@"',
    ]
    if rooms:
        lines += [
            '    ltsp_find_room "${1-}" "${2-}" "$ltsp_host"',
            '    case "$ltsp_room" in ?*) ltsp_evaluate "$@" ;; esac',
        ]
    return [*lines, "    return 0", "}", ""]


def _rooms(rooms: Mapping[int, tuple[str, ...]]) -> list[str]:
    """Return the function that sets ltsp_room to the first room of a MAC address, an address and a name."""
    if not rooms:
        return []
    fitting = [
        f"{place}{kind}{_pattern(pattern)}"
        for place, members in rooms.items()
        for kind, pattern in map(member, members)
    ]
    return [
        "ltsp_find_room() {",
        f"    for ltsp_room in {' '.join(map(str, rooms))}; do",
        f'        for ltsp_subject in "{MAC}$1" "{ADDRESS}$2" "{NAME}$3"; do',
        f'            case "$ltsp_subject" in {MAC} | {ADDRESS} | {NAME}) continue ;; esac',
        f'            case "$ltsp_room$ltsp_subject" in {"|".join(fitting)}) return 0 ;; esac',
        "        done",
        "    done",
        "    ltsp_room=",
        "    return 0",
        "}",
        "",
    ]
