"""Facts: everything that one pass observed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ltspd.model.account import Account, Group
from ltspd.model.client import Enrolled
from ltspd.model.image import Image, Source
from ltspd.model.menu import BootWay, Loader
from ltspd.model.network import Link
from ltspd.model.order import Order
from ltspd.model.setup import Setup

# The first line of our own exports(5) begins so, and goes on with ``Facts.boot``.
BOOT = "# Boot "


@dataclass(frozen=True, slots=True)
class Program:
    """A program that an output starts; with ``knows``, only a version of it that has this option.

    A program does not tell which options it has, so the option's name is looked for in the program itself.
    """

    name: str
    knows: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file of an earlier LTSP: its effect on ltspd, the next step, and whether taking over moves it."""

    path: str
    effect: str
    step: str
    harms: bool
    moves: bool


@dataclass(frozen=True, slots=True)
class HomeDirectory:
    """The directory of people's homes, by its real path.

    ``whole``: it is a file system of its own. ``exported``: exports(5), without ltspd's own file, names it.
    """

    path: str
    whole: bool = False
    exported: bool = False


@dataclass(frozen=True, slots=True)
class PiFiles:
    """What a source has for Raspberry Pis: ``firmware``, and device ``trees`` by kernel (empty: for any).

    Each leads from the names that the firmware asks for to absolute paths.
    """

    firmware: Mapping[str, str] = field(default_factory=dict)
    trees: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one pass observed.

    ``machine`` is what ``uname -m`` says. ``programs`` are the installed ones among those asked for.
    ``connected`` are the addresses of machines that read a root, ``unsent`` are sentences about accounts that
    clients don't get, ``enrolled`` are the clients whose keys count. ``closed`` says why nobody may get into
    accounts without a password. ``ways`` are the boot programs that were found for machines, by MAC address.
    ``ipxe_enters_setup``: the iPXE of UEFI can start the firmware's setup.
    ``serving``: machines that boot are to be answered. ``pi_files`` are by the names of sources. ``loaders``
    are the signed ones of ``boot_programs``.
    ``homes`` is None if HOME_DIR= is no directory. ``exported`` are the networks that our own exports
    are for, ``exported_homes`` those of homes that were written since ``boot``, the machine's present one.
    """

    hostname: str = ""
    machine: str = ""
    links: tuple[Link, ...] = ()
    nameservers: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
    epoptes: bytes = b""
    accounts: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    unsent: tuple[str, ...] = ()
    packages_digest: str = ""
    source_packages: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    images: tuple[Image, ...] = ()
    programs: frozenset[Program] = frozenset()
    boot_programs: Mapping[str, str] = field(default_factory=dict)
    ipxe_enters_setup: bool = False
    loaders: Mapping[str, Loader] = field(default_factory=dict)
    kernel_nfsd: bool = False
    container: bool = False
    leftovers: tuple[Leftover, ...] = ()
    set_aside: tuple[str, ...] = ()
    connected: frozenset[str] = frozenset()
    enrolled: tuple[Enrolled, ...] = ()
    orders: tuple[Order, ...] = ()
    closed: Mapping[str, str] = field(default_factory=dict)
    homes: HomeDirectory | None = None
    exported: frozenset[str] = frozenset()
    exported_homes: frozenset[str] = frozenset()
    boot: str = ""
    setup: Setup | None = None
    ways: Mapping[str, BootWay] = field(default_factory=dict)
    serving: bool = True
    pi_files: Mapping[str, PiFiles] = field(default_factory=dict)
