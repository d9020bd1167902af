"""What is said of code in ltsp.conf: who runs it and when, and where the server needs a plain value. Pure.

Code is no mistake, so most of this is information.
"""

import re
from collections.abc import Iterable, Iterator

from ltspd.config.autologin import AUTOLOGIN
from ltspd.config.document import Code, Document, Finding, Section, Severity
from ltspd.config.evaluate import Index
from ltspd.config.headers import APPLETS
from ltspd.config.hooks import MOMENTS, PARTS, WITHOUT, hook, names_in
from ltspd.config.parameter import SERVER
from ltspd.config.parameters import find
from ltspd.config.secrecy import is_secret_code, withheld

_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST = 5


def used_by_code(document: Document) -> frozenset[str]:
    """Return every word that code and hooks have: names there may be parameters of the author's own."""
    found: set[str] = set()
    for section in document.sections:
        for code in section.code:
            found.update(_NAMES.findall(code.text))
        for each in section.assignments:
            if hook(each.name):
                found.update(names_in(each))
    return frozenset(found)


def codes(document: Document, index: Index) -> Iterator[Finding]:
    """Say of each piece of code who runs it, and what that means for the server."""
    hidden = withheld(document)
    by_server = index.reach([index.unnamed, index.special("common"), index.special("server")])
    for place, section in enumerate(document.sections):
        for each in section.code:
            secret = is_secret_code(each, hidden)
            by_clients = place not in index.server_only and (place == 0 or bool(section.patterns))
            yield _code(each, section, place in by_server, by_clients, secret)


def _code(code: Code, section: Section, by_server: bool, by_clients: bool, secret: bool) -> Finding:
    rows = [(name, row) for name in code.names if (row := find(name))]
    own = [name for name, row in rows if row.sides is SERVER]
    too = [name for name, row in rows if SERVER in row.sides or row is AUTOLOGIN]
    severity, step = Severity.WARNING, "write the value itself"
    if own and by_server:
        severity = Severity.ERROR
        reason = f"the server needs {_list(own)}, and never runs code to find it"
    elif not by_clients:
        reason, step = f"{section.label} is the server's, which never runs code", "take these lines out"
    elif secret:
        reason = "this code holds a secret, so it is not given to clients"
        step = "set the password in the image, or ask a service that authenticates clients"
    elif too:
        reason = (
            f"clients run this code, but the server needs {_list(too)} as well, and takes the value before"
        )
    else:
        severity = Severity.INFO
        known = f", and only they know {_list(name for name, _ in rows)}" if rows else ""
        reason, step = f"clients run this code{known}", ""
    return Finding(severity, code.file, code.line, reason, step)


def _list(names: Iterable[str]) -> str:
    first = list(dict.fromkeys(names))
    return ", ".join(first[:_MOST]) + (" …" if len(first) > _MOST else "")


def hooks(document: Document, index: Index) -> Iterator[Finding]:
    """Say of each hook when clients run it, or why nobody does."""
    hidden = withheld(document)
    for place, section in enumerate(document.sections):
        for each in section.assignments:
            if (found := hook(each.name)) is None:
                continue
            severity = Severity.WARNING
            if found.applet in WITHOUT:
                reason, step = WITHOUT[found.applet]
                reason = f"{each.name} is never run: {reason}"
            elif not found.applet:
                moments = ", ".join(f"PRE_{name}_x" for name in MOMENTS)
                reason, step = (
                    f"{each.name} is never run: it names no moment",
                    f"moments are {moments}; and POST_",
                )
            elif place in index.server_only:
                reason, step = f"{each.name} is never run in {section.label}", "move it to [clients]"
            elif each.name in hidden:
                # This is told with the other secrets.
                continue
            else:
                severity, step = Severity.INFO, ""
                reason = f"clients run {each.name}: {MOMENTS[found.applet][found.after]}"
            yield Finding(severity, each.file, each.line, reason, step)


def applets(document: Document, _: Index) -> Iterator[Finding]:
    """Find sections that LTSP reads for one of its commands only, if clients have no such moment."""
    for section in document.sections:
        for pattern in section.patterns:
            applet, slash, _host = pattern.partition("/")
            if not slash or applet in PARTS:
                continue
            reason = "sections of single commands of the server have no effect here"
            if applet not in APPLETS:
                reason = f"{pattern} is neither a host nor a section that anything reads"
            step = "move its lines to [server], [clients] or a client's section"
            yield Finding(Severity.WARNING, section.file, section.line, reason, step)
