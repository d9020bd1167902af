"""Interfaces as XML: what Introspect() answers, and the file that is installed, with its comments. Pure."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from ltspd.api.noun import Argument, Interface, Method, Option, Property, Signal, Standard, Tree, arguments
from ltspd.names import STEM

EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
HEAD = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '  "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
ABOUT = """
  The interface of ltspd. This file is made from what the daemon dispatches by.

  Objects: /org/ltsp/Server1 carries Manager, Gateway and org.freedesktop.DBus.ObjectManager; below it live
  image/NAME, link/NAME, client/MAC, output/NAME and job/ID. Bytes of a name outside [A-Za-z0-9] are written
  as _xx (two lower-case hexadecimal digits). All properties are read-only; org.freedesktop.DBus.Properties
  says by EmitsChangedSignal which of them change. Times are microseconds since the epoch, 0 = never.
  Errors are org.ltsp.Server1.Error.*; their messages are sentences for people.
"""

Member = Method[Any] | Standard | Signal | Property[Any]


def described(member: Member) -> str:
    """Return all that the declaration of a member says, as sentences; empty if there is nothing to say."""
    if isinstance(member, Standard):
        return ""
    parts = [" ".join(member.doc.split())]
    if isinstance(member, Method) and member.options:
        parts.append(f"Options: {'; '.join(_option(each) for each in member.options)}.")
    if not isinstance(member, Signal) and member.keys:
        parts.append(f"Keys, all always there: {', '.join(_key(each) for each in member.keys)}.")
    if isinstance(member, Method):
        parts.append(f"Needs: {needs(member)}.")
        errors = ", ".join(each.name for each in member.errors)
        if member.job_errors:
            errors += f"; of the job: {', '.join(each.name for each in member.job_errors)}"
        if errors:
            parts.append(f"Errors: {errors}.")
    return " ".join(filter(None, parts))


def needs(method: Method[Any]) -> str:
    """Return in words what a caller must be allowed to."""
    if method.needs:
        return method.needs
    return method.action.removeprefix(f"{STEM}.") if isinstance(method.action, str) else "nothing"


def _option(option: Option) -> str:
    return f"{option.name} ({option.signature}) {option.doc}".rstrip()


def _key(key: Property[Any]) -> str:
    return f"{key.name} ({', '.join(filter(None, (key.signature, key.doc)))})"


def document(interfaces: Iterable[Interface[Any]]) -> str:
    """Return the file of interfaces, with what each member means and since which version it is there."""
    found = "\n\n".join("\n".join(_interface(each, comments=True)) for each in interfaces)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{HEAD}<!--{ABOUT}-->\n<node>\n{found}\n</node>\n'


def introspect(tree: Tree, path: str, interfaces: Iterable[Interface[Any]]) -> str:
    """Return what Introspect() answers for a path with these interfaces."""
    prefix = path.rstrip("/") + "/"
    children = sorted({each[len(prefix) :].split("/", 1)[0] for each in tree if each.startswith(prefix)})
    lines = [line for each in interfaces for line in _interface(each, comments=False)]
    lines += [f'  <node name="{child}"/>' for child in children]
    return HEAD + "\n".join(["<node>", *lines, "</node>", ""])


def _interface(interface: Interface[Any], *, comments: bool) -> Iterator[str]:
    yield f'  <interface name="{interface.name}">'
    for each in (*interface.methods, *interface.signals, *interface.properties):
        if comments and not isinstance(each, Standard):
            yield ""
            yield from _comment(f"{described(each)} Since {each.since}.".lstrip())
        yield from _member(each)
    yield "  </interface>"


def _comment(text: str) -> list[str]:
    # "--" is not allowed in a comment.
    text = f"<!-- {text.replace('--', '- -')} -->"
    return textwrap.wrap(
        text, 110, initial_indent="    ", subsequent_indent="         ", break_on_hyphens=False
    )


def _member(member: Member) -> Iterator[str]:
    if isinstance(member, Property):
        inner = []
        if member.emits != "true":
            inner = [f'<annotation name="{EMITS}" value="{member.emits}"/>']
        attributes = {"name": member.name, "type": member.signature, "access": "read"}
        yield from _element("property", attributes, inner)
    elif isinstance(member, Signal):
        yield from _element("signal", {"name": member.name}, map(_argument, arguments(member.outputs)))
    else:
        ways = {"in": arguments(member.inputs), "out": arguments(member.outputs)}
        inner = [_argument(each, way) for way, those in ways.items() for each in those]
        yield from _element("method", {"name": member.name}, inner)


def _argument(argument: Argument, direction: str = "") -> str:
    way = f' direction="{direction}"' if direction else ""
    return f'<arg name="{argument.name}" type="{argument.signature}"{way}/>'


def _element(tag: str, attributes: Mapping[str, str], inner: Iterable[str]) -> Iterator[str]:
    start = f"    <{tag} " + " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    lines = [f"      {each}" for each in inner]
    yield from [f"{start}>", *lines, f"    </{tag}>"] if lines else [f"{start}/>"]
