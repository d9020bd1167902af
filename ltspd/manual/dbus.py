"""The nouns of the interface → the page of the D-Bus interface, in Markdown."""

import inspect
from collections.abc import Iterator
from typing import Any

from ltspd import errors
from ltspd.api.contract import NOUNS
from ltspd.api.introspection import described
from ltspd.api.noun import Method, Noun, arguments
from ltspd.names import STEM

_HEAD = """# org.ltsp.Server1

`ltspd` is on the system bus as `org.ltsp.Server1`. What it knows is properties, what it can do is methods,
and a signal is only for what a property can't say. Everyone may read; what changes something, or reads
what ltsp.conf says, needs an authorization by polkit: "Needs: configure" means the action
`org.ltsp.Server1.configure` (see [security](security.md)).

The interfaces are in `/usr/share/dbus-1/interfaces/org.ltsp.Server1.xml`. That file, the answers of
`Introspect()` and this page are made from the declarations that the daemon dispatches by.

## Objects

| path | interface |
|---|---|
| `/org/ltsp/Server1` | `Manager`; `org.freedesktop.DBus.ObjectManager` for what is below; `Gateway` |
| `…/image/NAME` | `Image`: also a source that was never built |
| `…/link/NAME` | `Link`: a network interface |
| `…/client/MAC` | `Client`: a machine that booted from this server, as it reports itself |
| `…/output/NAME` | `Output`: files that the daemon writes, and the unit that uses them |
| `…/job/ID` | `Job`: long work; finished jobs stay for a while |

Bytes of a name outside `A-Z`, `a-z`, `0-9` are written as `_xx`, two lower-case hexadecimal digits: the
image `x86_64` is `…/image/x86_5f64`. Times are in microseconds since the epoch, 0 meaning never. Properties
are read-only. `PropertiesChanged` carries the new values.

## Examples

    S=org.ltsp.Server1 P=/org/ltsp/Server1
    busctl --system tree $S
    busctl --system introspect $S $P
    busctl --system get-property $S $P $S.Manager State Problems
    busctl --system call $S $P $S.Manager BuildImage 'sa{sv}' x86_64 0
    busctl --system call $S $P $S.Manager Apply 'a{sv}' 1 force b true
    gdbus call --system --dest $S --object-path $P --method $S.Manager.GetImage x86_64

A program that builds an image subscribes to `JobFinished` first, calls `BuildImage`, and waits for the
signal with the path that it got. To let the user be asked for a password, set the message's flag
ALLOW_INTERACTIVE_AUTHORIZATION and no timeout.

## Versions

The `1` in `org.ltsp.Server1` is the version of this contract. Within it, things are only added: interfaces,
members, keys of dictionaries, options, error names, words of a state. Nothing is removed or renamed, no
signature and no meaning changes, and no method needs a stronger authorization than before. So, as a caller:

- ignore keys, properties, signals and interfaces that you don't know;
- take a state's word that you don't know as "something else", and an error that you don't know as "failed";
- the final states of a job stay three: done, failed, cancelled.

What can't be done by adding becomes `org.ltsp.Server2`, beside this one.
"""


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for noun in NOUNS:
        parts += ["", *_noun(noun)]
    return "\n".join([*parts, "", *_errors(), "", *_more()]) + "\n"


def _noun(noun: Noun[Any]) -> Iterator[str]:
    yield f"## {noun.name}"
    if noun.methods:
        yield from ("", "### Methods", "", "| method | since | meaning |", "|---|---|---|")
    for each in noun.methods:
        if isinstance(each, Method):
            out = f" → {_arguments(each.outputs)}" if each.outputs else ""
            call = f"`{each.name}({_arguments(each.inputs)}){out}`"
            yield _row(call, each.since, described(each))
    if noun.signals:
        yield from ("", "### Signals", "", "| signal | since | meaning |", "|---|---|---|")
    for signal in noun.signals:
        yield _row(f"`{signal.name}({_arguments(signal.outputs)})`", signal.since, described(signal))
    if noun.properties:
        head = "| property | type | changes | since | meaning |"
        yield from ("", "### Properties", "", head, "|---|---|---|---|---|")
    for one in noun.properties:
        changes = "never" if one.emits == "const" else "told"
        yield _row(f"`{one.name}`", f"`{one.signature}`", changes, one.since, described(one))


def _arguments(text: str) -> str:
    return ", ".join(f"{each.signature} {each.name}" for each in arguments(text))


def _errors() -> Iterator[str]:
    yield from ("## Errors", "", f"Below `{STEM}.Error.`; the message is a sentence for people.", "")
    yield from ("| error | meaning |", "|---|---|")
    for each in sorted(_all(errors.LtspError), key=lambda kind: kind.name):
        yield _row(f"`{each.name}`", inspect.getdoc(each) or "")
    yield from ("", "Calls that make no sense get the standard errors of `org.freedesktop.DBus.Error`.")


def _all(kind: type[errors.LtspError]) -> Iterator[type[errors.LtspError]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each


def _more() -> Iterator[str]:
    yield from ("## See also", "", "[ltspctl](ltspctl.md)(1), [ltspd](ltspd.md)(8), `busctl`(1)")


def _row(*cells: str) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
