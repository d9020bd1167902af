"""The XML contract with its comments → the page of the D-Bus interface, in Markdown."""

import inspect
from collections.abc import Iterator
from xml.etree import ElementTree

from ltspd import errors
from ltspd.api.contract import EMITS
from ltspd.names import STEM

_HEAD = """# org.ltsp.Server1

`ltspd` is on the system bus as `org.ltsp.Server1`. What it knows is properties, what it can do is methods,
and a signal is only for what a property can't say. Everyone may read; what changes something, or reads
what ltsp.conf says, needs an authorization by polkit: "Needs: configure" means the action
`org.ltsp.Server1.configure` (see [security](security.md)).

The interfaces are in `/usr/share/dbus-1/interfaces/org.ltsp.Server1.xml`; the daemon dispatches by that
very file, and `Introspect()` answers from it.

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


def page(xml: str) -> str:
    """Return the whole page for the text of the contract."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    parts = [_HEAD]
    for element in ElementTree.fromstring(xml, parser).iter("interface"):
        parts += ["", *_interface(element)]
    return "\n".join([*parts, "", *_errors(), "", *_more()]) + "\n"


def _interface(interface: ElementTree.Element) -> Iterator[str]:
    yield f"## {interface.attrib['name']}"
    documented = list(_documented(interface))
    for kind, title in (("method", "Methods"), ("signal", "Signals")):
        if members := [(each, text) for each, text in documented if each.tag == kind]:
            yield from ("", f"### {title}", "", f"| {kind} | meaning |", "|---|---|")
            for each, text in members:
                yield _row(_call(each), text)
    if any(each.tag == "property" for each, _ in documented):
        yield from ("", "### Properties", "", "| property | type | changes | meaning |", "|---|---|---|---|")
    for each, text in documented:
        if each.tag == "property":
            emits = each.find(f"annotation[@name='{EMITS}']")
            changes = "never" if emits is not None and emits.attrib["value"] == "const" else "told"
            yield _row(f"`{each.attrib['name']}`", f"`{each.attrib['type']}`", changes, text)


def _documented(interface: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, str]]:
    """Yield each member with the comment before it."""
    text = ""
    for each in interface:
        if callable(each.tag):  # how ElementTree marks a comment
            text = " ".join((each.text or "").split())
        else:
            yield each, text
            text = ""


def _call(member: ElementTree.Element) -> str:
    """Return a method or signal with its arguments: ``GetImage(s name) → o image``."""

    def arguments(direction: str) -> str:
        chosen = (arg for arg in member.iter("arg") if arg.attrib.get("direction", "in") == direction)
        return ", ".join(f"{arg.attrib['type']} {arg.attrib['name']}" for arg in chosen)

    out = arguments("out")
    return f"`{member.attrib['name']}({arguments('in')})" + (f" → {out}`" if out else "`")


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
