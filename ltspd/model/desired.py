"""Desired: everything that should be true, decided from configuration and facts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from ltspd.model.account import Account, Group
from ltspd.model.image import Image
from ltspd.model.menu import Menu
from ltspd.model.network import ServedLink
from ltspd.model.state import Problem


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
