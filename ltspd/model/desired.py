"""Desired: everything that should be true, decided from configuration and facts. Pure."""

from dataclasses import dataclass

from ltspd.model.account import Account, Group
from ltspd.model.image import Image
from ltspd.model.menu import Menu
from ltspd.model.network import Network
from ltspd.model.state import Problem

# Where clients ask for their swap (systemd/ltspd-swap.socket).
SWAP_PORT = 10808


@dataclass(frozen=True, slots=True)
class Store:
    """The images at ``path`` with all their generations, and ``direct``: the chroots that clients read."""

    path: str
    images: tuple[Image, ...] = ()
    direct: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Homes:
    """The directory of people's homes that clients mount by NFS, and where they mount it.

    ``foreign``: the administrator's own NFS server exports it already. ``whole``: it is a file system of
    its own.
    """

    path: str
    point: str
    port: int
    foreign: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Swap:
    """The sizes of swap that some client may have: bytes by the words of ltsp.conf.

    ``default`` are the words for clients whose sections have none.
    """

    sizes: tuple[tuple[str, int], ...]
    default: str = "0"


@dataclass(frozen=True, slots=True)
class AddOn:
    """What goes into ltsp.img: settings (generated shell), accounts without secrets, lines of resolv.conf.

    ``login_port`` is where the server asks people for their passwords; 0 if it does not. ``homes`` is what
    clients mount. ``swap`` are the words for their swap's size; empty if there is none. ``epoptes`` is the
    certificate of the server's Epoptes; empty if it has none.
    """

    settings: bytes = b""
    accounts: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    resolver: bytes = b""
    login_port: int = 0
    homes: Homes | None = None
    swap: str = ""
    epoptes: bytes = b""


@dataclass(frozen=True, slots=True)
class Opening:
    """The key of one client, which opens an account here."""

    account: str
    key: str
    mac: str


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should be true."""

    network: Network
    menu: Menu
    store: Store
    add_on: AddOn
    problems: tuple[Problem, ...] = ()
    openings: tuple[Opening, ...] = ()
    homes: Homes | None = None
    swap: Swap | None = None
