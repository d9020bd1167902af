"""Facts: everything that one pass observed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ltspd.model.account import Account, Group
from ltspd.model.image import Image, Source
from ltspd.model.network import Link


@dataclass(frozen=True, slots=True)
class Program:
    """A program that an output starts; with ``knows``, only a version of it that has this option.

    A program does not tell which options it has, so the option's name is looked for in the program itself.
    """

    name: str
    knows: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something of an earlier LTSP: what it does to us, the next step, and whether taking over moves it."""

    path: str
    effect: str
    step: str
    harms: bool
    moves: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one pass looked at.

    ``programs`` are those of the programs looked for that are installed. ``connected`` machines read a root,
    ``unsent`` people can't be sent.
    """

    hostname: str = ""
    links: tuple[Link, ...] = ()
    nameservers: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
    accounts: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    unsent: tuple[str, ...] = ()
    packages_digest: str = ""
    source_packages: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    images: tuple[Image, ...] = ()
    programs: frozenset[Program] = frozenset()
    boot_programs: Mapping[str, str] = field(default_factory=dict)
    kernel_nfsd: bool = False
    container: bool = False
    leftovers: tuple[Leftover, ...] = ()
    set_aside: tuple[str, ...] = ()
    connected: frozenset[str] = frozenset()
