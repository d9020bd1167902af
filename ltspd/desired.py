"""What a pass decides: the nouns of Desired and of the outputs rendered from it. No behaviour. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from ltspd.model import Account, DhcpRole, Generation, Group, Image, Problem, RootTransport


@dataclass(frozen=True, slots=True)
class ServedLink:
    """A link that we answer on. A REAL one has the lease range ``first`` … ``last``, and ``routers``."""

    link: str
    address: IPv4Interface
    role: DhcpRole
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    quiet_router: bool = False
    routers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class MenuChoice:
    """What one client, or everybody, gets from the menu. ``timeout`` in ms; None: no menu is shown."""

    image: str
    transport: RootTransport
    kernel_parameters: str
    timeout: int | None


@dataclass(frozen=True, slots=True)
class Menu:
    """The boot menu: bootable generations by image, the default choice, and exceptions by key.

    A key of ``hosts`` is ``mac``, ``ip`` or ``hostname`` and the value that iPXE compares. ``titles``
    gives images another name on the screen.
    """

    entries: tuple[Generation, ...]
    default: MenuChoice
    hosts: tuple[tuple[str, str, MenuChoice], ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddOn:
    """What goes into ltsp.img: settings (generated shell), accounts without secrets, lines of resolv.conf."""

    settings: bytes = b""
    accounts: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    resolver: bytes = b""


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should be true, decided purely from configuration and facts. ``lease`` in seconds.

    ``direct`` are the chroots that clients read themselves.
    """

    served: tuple[ServedLink, ...]
    menu: Menu
    add_on: AddOn
    images: tuple[Image, ...]
    images_path: str
    direct: tuple[str, ...]
    tftp_directory: str
    nameservers: tuple[IPv4Address, ...]
    search_domain: str
    lease: int
    http_port: int
    http_connections: int
    metrics_port: int
    tftp: bool
    kernel_nfsd: bool
    programs: frozenset[str]
    boot_programs: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file that an output consists of; ``path`` is absolute in the served system."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link that an output consists of; both sides are absolute in the served system."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """One rendered output: its files, and the unit that must run (or not) with them.

    ``reload``: the unit takes new files by a reload; ``follows``: it takes them without being told;
    otherwise it is restarted. ``check`` is a
    command that must accept a candidate file, with ``{}`` for its path. ``missing`` says why the
    output can't be had on this machine; then nothing is written. ``port_setting`` is the parameter that
    gives it another port. ``questions`` are what its server must answer once it runs, each
    ``KIND:LINK:ADDRESS`` (see ``ltspd.probe``).
    """

    name: str
    files: tuple[File, ...] = ()
    links: tuple[Symlink, ...] = ()
    unit: str = ""
    wanted: bool = True
    reload: bool = False
    follows: bool = False
    check: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    missing: str = ""
    questions: tuple[str, ...] = ()
    port_setting: str = ""

    @property
    def needed(self) -> bool:
        """Whether its files and its unit are to be there at all."""
        return self.wanted and not self.missing
