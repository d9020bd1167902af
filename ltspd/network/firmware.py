"""Who boots what: one list for every server that answers DHCP, whatever program it is. Pure.

The first entry of ``boots`` that matches a machine is the one that counts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ltspd.model.menu import GRUB, SHIM, BootWay, Menu

# The DHCP option that iPXE has for itself, with options inside.
IPXE = 175
# What an iPXE must be able to do to run our menu itself; that option lists its features
# (https://ipxe.org/howto/dhcpd). Stripped builds in NIC ROMs lack some and get a full one first.
IPXE_FEATURES = {"http": 19, "bzimage": 24, "pxe": 33, "efi": 36, "menu": 39}
# Those that it needs: all of one of these sets.
MENU_FEATURES = (("http", "menu", "pxe", "bzimage"), ("http", "menu", "efi"))
# Inside option 175 of an answer: 1 says that there is no proxyDHCP, for which iPXE would wait three seconds.
IPXE_NO_PROXY = 176
MENU = "ltsp.ipxe"


class Vendor(StrEnum):
    """How a machine's class (DHCP option 60) begins; the answer's class must be the same."""

    PXE = "PXEClient"
    HTTP = "HTTPClient"


@dataclass(frozen=True, slots=True)
class Boot:
    """What one kind of machine is told.

    ``numbers`` are what it sends in DHCP option 93 (RFC 4578 and its errata, IANA's list); without any, all
    match. ``menu``: only an iPXE that can run our menu matches. ``macs`` are how its MAC address may begin,
    or whole ones, in lower case; without any, all match. ``file`` is the name of what it gets: below
    ``ltsp/`` of TFTP, or for HTTPClient below the gateway's base. Without one it is told no file. ``title``
    is its entry in the menu of PXE.
    """

    name: str
    numbers: tuple[int, ...] = ()
    vendor: Vendor = Vendor.PXE
    menu: bool = False
    macs: tuple[str, ...] = ()
    file: str = ""
    title: str = "LTSP"


# The iPXE of each kind of firmware, the best first, under the names that they have at TFTP.
PROGRAMS = {
    "bios": ("undionly.kpxe", "ipxe.pxe"),
    "efi64": ("snponly.efi", "ipxe.efi"),
    "efi32": ("snponly-ia32.efi", "ipxe-ia32.efi"),
    "arm64": ("snponly-arm64.efi", "ipxe-arm64.efi"),
    "arm32": ("snponly-arm32.efi", "ipxe-arm32.efi"),
}
# What each kind sends in DHCP option 93, by PXE and by HTTP. x86-64 says 7 or 9, depending on the vendor.
NUMBERS = {"bios": (0,), "efi64": (7, 9), "efi32": (6,), "arm64": (11,), "arm32": (10,)}
HTTP_NUMBERS = {"efi64": (16,), "efi32": (15,), "arm64": (19,), "arm32": (18,)}
# The boot ROM of a Raspberry Pi says that it is a BIOS (0), or 41. It takes its files by TFTP from whoever
# offers this title, and needs no other name. The ROM of a model 3 compares the blanks, too.
PI_NUMBERS = (0, 41)
PI_TITLE = "Raspberry Pi Boot   "
# Raspberry Pi's own prefixes in IEEE's list.
PI_MACS = ("28:cd:c1:", "2c:cf:67:", "88:a2:9e:", "b8:27:eb:", "d8:3a:dd:", "dc:a6:32:", "e4:5f:01:")


# What machines get whose BOOT_WAY is another one than iPXE, where their firmware can run it.
WAYS = {BootWay.SHIM: {"efi64": SHIM}, BootWay.PXELINUX: {"bios": "pxelinux.0"}}
# All that such a program needs to show our menu.
NEEDS = {
    BootWay.SHIM: frozenset({SHIM, GRUB}),
    BootWay.PXELINUX: frozenset({"pxelinux.0", "ldlinux.c32", "libutil.c32", "menu.c32"}),
}


def choices(programs: Collection[str], number: int, mac: str) -> Mapping[BootWay, str]:
    """Return the programs that a machine could boot, by the ways to them, in the order to try them."""
    if mac.startswith(PI_MACS):
        return {}
    tables = (NUMBERS, HTTP_NUMBERS)
    kind = next((kind for each in tables for kind, numbers in each.items() if number in numbers), "")
    own = [each for each in PROGRAMS.get(kind, ()) if each in programs]
    found = {BootWay.AUTO: own[0]} if own else {}
    # Secure Boot is what refuses iPXE most often; then come cards whose firmware drives them badly.
    for way in (BootWay.SHIM, BootWay.DRIVERS, BootWay.PXELINUX):
        program = own[-1] if way is BootWay.DRIVERS and own else WAYS.get(way, {}).get(kind)
        if program and program not in found.values() and NEEDS.get(way, frozenset()) <= set(programs):
            found[way] = program
    return found


def boots(programs: Collection[str], menu: Menu | None = None) -> tuple[Boot, ...]:
    """Return who boots what where these boot programs are installed; kinds without one are left out.

    Machines with a way of their own by the menu come first; without it there is none.
    """
    if menu is None:
        return tuple(_boots(programs))
    return tuple(_boots(programs, menu.way, (*menu.found, *((way, (mac,)) for mac, way in menu.ways))))


def _boots(
    programs: Collection[str],
    usual: BootWay = BootWay.AUTO,
    ways: Iterable[tuple[BootWay, tuple[str, ...]]] = (),
) -> Iterator[Boot]:
    for number, (way, macs) in enumerate(ways):
        name = f"-{number}"
        yield from _way(programs, way, macs, name)
        if way not in WAYS:
            # What the others get is not for this one.
            yield Boot(f"menu{name}", menu=True, macs=macs, file=MENU)
            yield from _ipxe(programs, way, macs, name)
    pi = Boot("pi", PI_NUMBERS, macs=PI_MACS, title=PI_TITLE)
    if usual in WAYS:
        # A Raspberry Pi says that it is a BIOS, and can run nothing for one.
        yield pi
        yield from _way(programs, usual)
    yield Boot("menu", menu=True, file=MENU)
    if usual not in WAYS:
        yield pi
    yield from _ipxe(programs, usual)


def _way(
    programs: Collection[str], way: BootWay, macs: tuple[str, ...] = (), name: str = ""
) -> Iterator[Boot]:
    for kind, program in WAYS.get(way, {}).items():
        if program in programs:
            yield from _kind(f"{way}{name}", kind, macs, program)


def _ipxe(
    programs: Collection[str], way: BootWay, macs: tuple[str, ...] = (), name: str = ""
) -> Iterator[Boot]:
    for kind, names in PROGRAMS.items():
        # The last one has drivers of its own, where the first one uses the firmware's.
        order = reversed(names) if way is BootWay.DRIVERS else names
        program = next((each for each in order if each in programs), None)
        if program is not None:
            yield from _kind(f"{kind}{name}", kind, macs, program)


def _kind(name: str, kind: str, macs: tuple[str, ...], program: str) -> Iterator[Boot]:
    yield Boot(name, NUMBERS[kind], macs=macs, file=program)
    if kind in HTTP_NUMBERS:
        yield Boot(f"http-{name}", HTTP_NUMBERS[kind], Vendor.HTTP, macs=macs, file=program)


def pxe_menu(title: str) -> bytes:
    """Return DHCP option 43 of a menu with one entry, which a machine takes without asking (PXE 2.1, 2.3.2).

    6: only servers of this list, and no waiting for the user; 10: no prompt; 9: the entry, of type 0.
    """
    text = title.encode()
    return b"\6\1\3" + b"\x0a\4\0PXE" + bytes((9, len(text) + 3, 0, 0, len(text))) + text + b"\xff"
