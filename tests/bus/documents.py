"""An introspection document as data, to be held against what is declared."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from ltspd.api.introspection import EMITS
from ltspd.api.noun import Interface, Property, Signal, arguments

# Names and signatures of arguments, in order.
Arguments = tuple[tuple[str, str], ...]


class Shown(NamedTuple):
    """The members of one interface by name; properties with signature, access and EmitsChangedSignal."""

    methods: Mapping[str, tuple[Arguments, Arguments]]
    signals: Mapping[str, Arguments]
    properties: Mapping[str, tuple[str, str, str]]


def parse(document: str) -> Mapping[str, Shown]:
    """Return the interfaces of a document by name."""
    root = ElementTree.fromstring(document)
    return {each.attrib["name"]: _parse(each) for each in root.iter("interface")}


def _parse(element: ElementTree.Element) -> Shown:
    def those(member: ElementTree.Element, *directions: str) -> Arguments:
        return tuple(
            (each.attrib["type"], each.attrib["name"])
            for each in member.iter("arg")
            if each.get("direction", "") in directions
        )

    properties = {}
    for each in element.iter("property"):
        emits = each.find(f"annotation[@name='{EMITS}']")
        told = "true" if emits is None else emits.attrib["value"]
        properties[each.attrib["name"]] = (each.attrib["type"], each.attrib["access"], told)
    return Shown(
        {each.attrib["name"]: (those(each, "in"), those(each, "out")) for each in element.iter("method")},
        {each.attrib["name"]: those(each, "") for each in element.iter("signal")},
        properties,
    )


def declared(interface: Interface[Any]) -> Shown:
    """Return what an interface declares, in the same form."""

    def those(text: str) -> Arguments:
        return tuple((each.signature, each.name) for each in arguments(text))

    signals: tuple[Signal, ...] = interface.signals
    properties: tuple[Property[Any], ...] = interface.properties
    return Shown(
        {each.name: (those(each.inputs), those(each.outputs)) for each in interface.methods},
        {each.name: those(each.outputs) for each in signals},
        {each.name: (each.signature, "read", each.emits) for each in properties},
    )
