"""The boot menu: its entries, who gets which by default, and how a root comes to a client. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ltspd.model.image import Generation


class RootTransport(StrEnum):
    """How a client reaches its root: the value of ``ltsp.root=``."""

    NBD = "nbd"
    NFS = "nfs"
    HTTP = "http"


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
