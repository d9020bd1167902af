"""What clients' scripts want of an image for a setting, and what of that the settings ask for. Pure.

One line for each, among the comments that a script begins with::

    # wants: SETTING FILES PACKAGES What it is

``SETTING`` is a parameter's name, which may end in ``*``, or ``NAME=VALUE``, or ``NAME~WORD`` for values that
have this word; or ``login``, that people of the server log in. ``!NAME`` behind it: not where the server has
the switch NAME on. ``FILES`` are absolute paths with ``|`` between, of which the image needs one; ``{}`` in
it is the setting's value. Instead of a path, ``@lightdm`` is that display manager, and ``@locale:{}`` a
language. ``PACKAGES`` have it: that of Debian and Ubuntu, of Fedora, of Arch, with ``|`` between; ``-`` for
none.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ltspd.config.document import Document
from ltspd.config.evaluate import Index, effective_server
from ltspd.config.parameters import find
from ltspd.config.readers import FLAG
from ltspd.model.image import Want

_NAME = re.compile(r"(?P<name>[A-Z0-9_]+)(?P<family>\*)?(?:=(?P<value>.+)|~(?P<word>.+))?")


def asked(document: Document, wants: Iterable[Want]) -> tuple[Want, ...]:
    """Return what some client's settings want of an image, each with its setting as people know it.

    A value that only clients can know, because it is code or made from such, wants what every value does.
    """
    index = Index(document)
    server = effective_server(index)
    given = _given(index)
    found: dict[Want, None] = {}
    for each in wants:
        setting, _, switch = each.setting.partition("!")
        if switch and server.get(switch) and server[switch].text not in ("", "0"):
            continue
        found.update(dict.fromkeys(_asked(given, replace(each, setting=setting))))
    return tuple(found)


_Given = dict[str, dict[str | None, str]]


def _given(index: Index) -> _Given:
    """Return all values that clients are given, by name, each with its first line; None: not known here."""
    found: _Given = {}
    for place, section in enumerate(index.sections):
        if place in index.server_only or (place and not section.patterns):
            continue
        for each in section.assignments:
            found.setdefault(each.name, {}).setdefault(each.text, f"{each.file}:{each.line}")
        for code in section.code:
            for name in code.names:
                found.setdefault(name, {}).setdefault(None, f"{code.file}:{code.line}")
    everybody = {id(index.unnamed), *(id(index.special(each)) for each in ("clients", "common"))}
    for_all = {
        each.name for section in index.sections if id(section) in everybody for each in section.assignments
    }
    for name in [each for each in found if each not in for_all]:
        if (row := find(name)) and row.default:
            found[name].setdefault(row.default, "the default")
    return found


def _asked(given: _Given, want: Want) -> Iterator[Want]:
    said = _NAME.fullmatch(want.setting)
    if said is None:
        yield want
        return
    name, row = said["name"], find(said["name"])
    if said["value"]:
        values = given.get(name) or ({row.default: "the default"} if row else {})
        if where := values.get(said["value"]):
            yield replace(want, setting=f"{want.setting} ({where})")
        return
    for each in given:
        if each == name or (said["family"] and each.startswith(name)):
            for text, where in given[each].items():
                if where == "the default" or not (text is None or _is_on(each, text)):
                    continue
                if said["word"] and said["word"] not in (text or "").split():
                    continue
                if any("{}" in file for file in want.files):
                    # No file has such a name, and readers tell of it.
                    if text is not None and text.isprintable():
                        yield _filled(want, each, text, where)
                else:
                    yield replace(want, setting=f"{each} ({where})")


def _filled(want: Want, name: str, text: str, where: str) -> Want:
    value = text.strip(" \t\"'")
    shown = f"{name}={value}" if len(value) <= 40 else name
    # In a value a star is no pattern, and no file has such a name.
    files = tuple(each.replace("{}", value) for each in want.files if "*" not in value)
    return replace(want, setting=f"{shown} ({where})", files=files)


def _is_on(name: str, text: str) -> bool:
    row = find(name)
    return bool(text.strip()) and not (row is not None and row.reader is FLAG and text == "0")
