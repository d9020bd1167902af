"""The boot menu: its entries, who gets which by default, and how a root comes to a client. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# The channel of clients that are not told another one.
CURRENT = "current"
# The value of ltsp.root= where there are no layers to choose a transport for: the chroot by NFS.
DIRECT = "nfsdir"
# The test of a machine's memory, for a BIOS and for UEFI: the menu has it where both are installed.
MEMORY_TESTS = frozenset({"memtest.bin", "memtest.efi"})


class RootTransport(StrEnum):
    """How a client reaches its root: the value of ``ltsp.root=``."""

    NBD = "nbd"
    NFS = "nfs"
    HTTP = "http"


class BootWay(StrEnum):
    """Which boot program a machine gets, where its firmware can run that: the value of BOOT_WAY."""

    AUTO = "auto"
    IPXE = "ipxe"
    DRIVERS = "drivers"
    SHIM = "shim"
    PXELINUX = "pxelinux"


class Tool(StrEnum):
    """What the menu offers beside images; a boot program leaves out what it can't do.

    SETUP is FIRMWARE for an iPXE that can do that.
    """

    LOCAL = "local"
    RESTART = "restart"
    FIRMWARE = "firmware"
    SETUP = "setup"
    MEMTEST = "memtest"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Entry:
    """A generation of an image that can be booted, and the channel by which it is offered.

    One that is offered as itself, though no channel leads to it, has its own id in the place of that.
    One that is not ``layered`` is a chroot that clients read by NFS, whatever transport they are to use. One
    without ``nbd`` is for other machines than the server is, for which there is no program of ours for NBD.
    """

    image: str
    generation: str
    kernel: str = ""
    layered: bool = True
    channel: str = CURRENT
    title: str = ""
    architecture: str = ""
    nbd: bool = True

    @property
    def arm(self) -> bool:
        """Whether it is for ARM; all others are for x86."""
        return self.architecture == "aarch64"

    @property
    def earlier(self) -> bool:
        """Whether it is offered as itself: only who chooses it, or DEFAULT_IMAGE, starts it."""
        return self.channel == self.generation

    @property
    def name(self) -> str:
        """What DEFAULT_IMAGE calls it: ``x86_64``, or ``x86_64@canary``, or with its id instead of that."""
        return self.image if self.channel == CURRENT else f"{self.image}@{self.channel}"


@dataclass(frozen=True, slots=True)
class Lock:
    """The lines of the menu that ask for a password, by entry or tool, and its hashes (ltspd.menu.lock)."""

    names: tuple[str, ...] = ()
    pbkdf2: str = field(default="", repr=False)
    crypt: str = field(default="", repr=False)

    def holds(self, name: str, default: str = "") -> bool:
        """Whether a line asks; what a machine starts by itself, its ``default``, does not."""
        return name in self.names and name != default


@dataclass(frozen=True, slots=True)
class Offer:
    """All that choices are made from.

    ``transport`` counts where ltsp.conf names none. ``rules`` are what ltsp.conf says, in the form of
    ``ltspd.menu.choice``: one text, because with thousands of sections anything else takes much memory.
    ``tools`` are in the order of the menu.
    """

    entries: tuple[Entry, ...]
    transport: RootTransport
    rules: str = ""
    tools: tuple[Tool, ...] = (Tool.LOCAL, Tool.RESTART)
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True)
class MenuChoice:
    """What one client, or everybody, gets from the menu. ``timeout`` in ms; None: no menu is shown.

    ``slim``: an initrd with the drivers of its network card alone, where that is known.
    """

    entry: str
    transport: RootTransport
    kernel_parameters: str
    timeout: int | None
    slim: bool = True


@dataclass(frozen=True, slots=True)
class Menu:
    """The offer, and the choices that are made beforehand for clients that can't ask the gateway.

    A key of ``hosts`` is ``mac``, ``ip`` or ``hostname`` and the value that iPXE compares. ``transports`` are
    all that some client may get. ``ways`` are machines with a boot program of their own, by how their MAC
    addresses begin: the first that fits counts. ``way`` is that of all others. ``found`` are machines by the
    ways that were found for them because others had failed; they come before all.
    """

    offer: Offer
    default: MenuChoice
    hosts: tuple[tuple[str, str, MenuChoice], ...] = ()
    transports: frozenset[RootTransport] = frozenset()
    way: BootWay = BootWay.AUTO
    ways: tuple[tuple[str, BootWay], ...] = ()
    found: tuple[tuple[BootWay, tuple[str, ...]], ...] = ()

    def configured(self, mac: str) -> BootWay:
        """Return the way that ltsp.conf says for a machine."""
        return next((way for begin, way in self.ways if mac.startswith(begin)), self.way)

    def lock(self, way: BootWay) -> Lock:
        """Return the lock as the menu of a way has it: a hash stands only where some machine may need it."""
        used = way in {self.way, *(each for _, each in self.ways), *(each for each, _ in self.found)}
        return self.offer.lock if used else Lock(self.offer.lock.names)


# The names under which clients fetch them; shim itself asks for GRUB by that name.
SHIM, GRUB = "shimx64.efi", "grubx64.efi"


class Authority(StrEnum):
    """Microsoft's two keys for other people's programs, by their names in signatures."""

    CA_2011 = "Microsoft Corporation UEFI CA 2011"
    CA_2023 = "Microsoft UEFI CA 2023"


@dataclass(frozen=True, slots=True)
class Loader:
    """A signed EFI program.

    ``signatures`` has for each signature the names in it. ``generations`` are its own by component, from its
    SBAT section; ``least`` are those that it writes into a machine's firmware as the lowest to start.
    ``error`` says why nothing could be read.
    """

    signatures: tuple[frozenset[str], ...] = ()
    generations: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
