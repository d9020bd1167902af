"""The XML contract as data: interfaces with their methods, signals and properties."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from xml.etree import ElementTree

from ltspd.names import STEM

EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


@dataclass(frozen=True, slots=True)
class Method:
    """A method: names and signatures of its arguments, in order."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]

    @property
    def in_signature(self) -> str:
        """Signature that a call must have."""
        return "".join(signature for _, signature in self.inputs)

    @property
    def out_signature(self) -> str:
        """Signature of the reply."""
        return "".join(signature for _, signature in self.outputs)


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal with the signature of its body."""

    name: str
    signature: str


@dataclass(frozen=True, slots=True)
class Property:
    """A property; ``emits`` is its EmitsChangedSignal: true, invalidates, const or false."""

    name: str
    signature: str
    access: str
    emits: str


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface, and its XML as Introspect() shows it (without the comments)."""

    name: str
    methods: Mapping[str, Method]
    signals: Mapping[str, Signal]
    properties: Mapping[str, Property]
    xml: str


def parse(text: str) -> Mapping[str, Interface]:
    """Return the interfaces of an introspection document by name; raises ParseError, KeyError."""
    root = ElementTree.fromstring(text)
    return {element.attrib["name"]: _interface(element) for element in root.iter("interface")}


@cache
def contract() -> Mapping[str, Interface]:
    """Return the product's own interfaces."""
    return parse(resources.files("ltspd.api").joinpath(f"{STEM}.xml").read_text("utf-8"))


def _interface(element: ElementTree.Element) -> Interface:
    return Interface(
        name=element.attrib["name"],
        methods={each.attrib["name"]: _method(each) for each in element.iter("method")},
        signals={
            each.attrib["name"]: Signal(
                each.attrib["name"], "".join(arg.attrib["type"] for arg in each.iter("arg"))
            )
            for each in element.iter("signal")
        },
        properties={each.attrib["name"]: _property(each) for each in element.iter("property")},
        xml=ElementTree.tostring(element, "unicode").rstrip(),
    )


def _method(element: ElementTree.Element) -> Method:
    def arguments(direction: str) -> tuple[tuple[str, str], ...]:
        return tuple(
            (arg.attrib["name"], arg.attrib["type"])
            for arg in element.iter("arg")
            if arg.attrib.get("direction", "in") == direction
        )

    return Method(element.attrib["name"], arguments("in"), arguments("out"))


def _property(element: ElementTree.Element) -> Property:
    annotations = {each.attrib["name"]: each.attrib["value"] for each in element.iter("annotation")}
    return Property(
        element.attrib["name"],
        element.attrib["type"],
        element.attrib["access"],
        annotations.get(EMITS, "true"),
    )
