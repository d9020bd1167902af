"""One parameter of ltsp.conf, and the values of parameters that count for one host. Pure.

A parameter needs only its declaration, at the top of the module that uses the value::

    LEASE = Parameter("DHCP_LEASE", duration(minimum=120, maximum=…), "8h", SERVER, "Lifetime of a lease")

There ``settings[LEASE]`` is an ``int``. Checks, documentation and clients know it from the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from ltspd.config.readers import Reader

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Side(Flag):
    """Who reads a parameter: the server from [server] and [common], a client from all but [server].

    With ``MENU`` the server reads it for each client: first from the client's sections, then from [server].
    """

    SERVER = auto()
    CLIENT = auto()
    MENU = auto()


SERVER, CLIENT = Side.SERVER, Side.CLIENT
BOTH = Side.SERVER | Side.CLIENT
MENU = BOTH | Side.MENU


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Generic[T_co]):
    """A declaration. A name that ends in ``*`` stands for all names that begin so.

    ``default`` is text as in ltsp.conf, ``help`` one sentence without a full stop. Values that are ``secret``
    never leave the server. ``live``: clients that run follow a change.
    """

    name: str
    reader: Reader[T_co]
    default: str
    sides: Side
    help: str
    secret: bool = False
    live: bool = False

    @property
    def stem(self) -> str:
        """What all names of a family begin with; empty if this is a single parameter."""
        return self.name[:-1] if self.name.endswith("*") else ""

    def fits(self, name: str) -> bool:
        """Whether this declares the name."""
        stem = self.stem
        return name.startswith(stem) and len(name) > len(stem) if stem else name == self.name

    def problem(self, text: str) -> str:
        """Return why a text can't be read (``is not a number``); empty if it can, or is empty itself."""
        try:
            if text:
                self.reader.read(text)
        except ValueError as error:
            return str(error)
        return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What ltsp.conf says for one host: texts by name. Each is read by its parameter's reader, once.

    The default counts where a text is missing, is empty or can't be read; check has told of the latter.
    """

    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    _read: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Return the value of a single parameter; each is read once."""
        if parameter.stem:
            raise TypeError(f"{parameter.name} is a family: ask for family().")
        if parameter.name not in self._read:
            text = self.texts.get(parameter.name) if self.readable(parameter) else ""
            self._read[parameter.name] = parameter.reader.read(text or parameter.default)
        return cast(T, self._read[parameter.name])

    def family(self, parameter: Parameter[T]) -> Mapping[str, T]:
        """Return the values of a family by what follows the stem: ``X86_64_IMG`` for IPXE_X86_64_IMG.

        Empty ones are not given, as with single parameters.
        """
        found = {name: text for name, text in self.texts.items() if parameter.stem and parameter.fits(name)}
        return MappingProxyType(
            {
                name.removeprefix(parameter.stem): parameter.reader.read(text)
                for name, text in found.items()
                if text and not parameter.problem(text)
            }
        )

    def readable(self, parameter: Parameter[Any]) -> bool:
        """Whether nothing keeps the parameter from being read; it may still be missing."""
        return not parameter.problem(self.texts.get(parameter.name, ""))

    def given(self, parameter: Parameter[Any]) -> bool:
        """Whether ltsp.conf gives a value that can be read, so that it is not the default that counts."""
        return bool(self.texts.get(parameter.name)) and self.readable(parameter)
