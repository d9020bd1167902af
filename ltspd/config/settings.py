"""The file ``/ltsp/settings`` that clients read: what a Document says, as POSIX sh (busybox ash). Pure.

Text from ltsp.conf is within single quotes or is a name of a checked form, so that none of it can run. The
file defines ``ltsp_settings MAC IP HOSTNAME [SERVER]``, which does in the shell what evaluate does here; a
property test compares both. MAC must be lower-case with colons.
"""

import re
from collections.abc import Container, Iterable, Mapping

from ltspd.config.document import Assignment, Document, Section
from ltspd.config.evaluate import PREDEFINED, Index
from ltspd.config.headers import SPECIAL, is_room
from ltspd.config.names import is_parameter_name, is_reserved
from ltspd.config.parameter import CLIENT
from ltspd.config.parameters import sides
from ltspd.config.rooms import ADDRESS, MAC, NAME, member
from ltspd.config.secrecy import withheld

_HEAD = """\
# Generated from ltsp.conf by ltspd; changes here are lost.
# After reading this file: ltsp_settings MAC IP HOSTNAME [SERVER]
"""
_HOST_NAME_CASE = "''|*[!A-Za-z0-9._-]*"


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
    names = sorted(_read_by_clients(sections.values(), hidden))
    known = frozenset(names) | frozenset(PREDEFINED)
    lines = [_HEAD]
    shown = known - hidden
    for place, section in sections.items():
        lines += _section(index, place, section, shown, sections)
    lines += _dispatcher(index, sections, names)
    return "\n".join(lines).encode("utf-8", "replace")


def _read_by_clients(sections: Iterable[Section], hidden: Container[str]) -> set[str]:
    """Return the names that the file may have, as everybody on the network can fetch it."""
    sources: dict[str, set[str]] = {}
    for section in sections:
        for each in section.assignments:
            if each.name not in hidden and is_parameter_name(each.name) and not is_reserved(each.name):
                sources.setdefault(each.name, set()).update(each.references)
    todo = [name for name in sources if CLIENT in sides(name)]
    names: set[str] = set()
    while todo:
        if (name := todo.pop()) not in names and name in sources:
            names.add(name)
            todo += sources[name]
    return names


def _section(
    index: Index, place: int, section: Section, known: frozenset[str], present: Container[int]
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
        patterns = [
            each for each in section.patterns if not (each in SPECIAL or "/" in each or is_room(each))
        ]
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
