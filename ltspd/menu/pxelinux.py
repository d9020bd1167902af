"""The menu as configurations of PXELINUX: one for all, and one for each host that it can name. Pure.

PXELINUX looks for a file by the card's address, then by the machine's IP address, then for ``default``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address

from ltspd.menu.items import ascii_of, image_items, tool_items
from ltspd.menu.kernel import command_line, directory, initrds, instead_of_nbd
from ltspd.model.menu import DIRECT, BootWay, Menu, MenuChoice, Offer, RootTransport, Tool
from ltspd.names import is_one_line

# What it has a word or a module for.
ABLE = frozenset({Tool.LOCAL, Tool.RESTART, Tool.MEMTEST})
# From the root of the TFTP server, wherever the program itself lies.
_LTSP = "::ltsp"
# Tenths of a second to press a key for the menu where none is shown.
HIDDEN_TENTHS = 5

_TOOLS = {
    Tool.LOCAL: ("LOCALBOOT -1",),
    Tool.RESTART: ("COM32 reboot.c32",),
    Tool.MEMTEST: (f"LINUX {_LTSP}/memtest.bin",),
}


def configurations(menu: Menu, port: int) -> Mapping[str, str]:
    """Return the files of ``pxelinux.cfg`` by their names; ``port`` is where files are served by HTTP."""
    offer = replace(menu.offer, lock=menu.lock(BootWay.PXELINUX))
    found = {"default": _configuration(offer, menu.default, port)}
    for key, value, choice in menu.hosts:
        if name := _name(key, value):
            # The first section that names a host counts.
            found.setdefault(name, _configuration(offer, choice, port))
    return found


def _name(key: str, value: str) -> str:
    """Return the name that PXELINUX asks for: 01 is Ethernet; IP addresses are in hexadecimal."""
    match key:
        case "mac":
            return f"01-{value.lower().replace(':', '-')}"
        case "ip":
            return f"{int(IPv4Address(value)):08X}"
    return ""


def _configuration(offer: Offer, choice: MenuChoice, port: int) -> str:
    return "".join(f"{line}\n" for line in _lines(offer, choice, port))


def _lines(offer: Offer, choice: MenuChoice, port: int) -> Iterator[str]:
    yield "# Written by ltspd; changes here are reported, not kept."
    yield "UI menu.c32"
    yield "PROMPT 0"
    yield f"MENU TITLE Network boot{'' if offer.entries else ': the server has no image yet'}"
    lock = offer.lock
    if Tool.SHELL not in offer.tools or lock.names:
        # No key leads to its prompt, and no entry can be edited.
        yield "NOESCAPE 1"
        yield "ALLOWOPTIONS 0"
        yield "MENU TABMSG Arrow keys choose, Enter starts"
    if choice.timeout is None:
        yield "MENU HIDDEN"
    yield f"TIMEOUT {HIDDEN_TENTHS if choice.timeout is None else -(-choice.timeout // 100)}"
    for entry, title in image_items(offer, _title, arm=False):
        locked = lock.holds(entry.name, choice.entry)
        if locked and not lock.crypt:
            continue
        root = choice.transport if entry.layered else DIRECT
        if root == RootTransport.NBD and not entry.nbd:
            root = instead_of_nbd(offer)
        folder = directory(entry.image, entry.generation)
        words = command_line(
            image=entry.image,
            generation=entry.generation,
            root=root,
            port=port,
            parameters=_line(choice.kernel_parameters),
        )
        yield f"LABEL image_{entry.name}"
        yield f"  MENU LABEL {title}"
        if locked:
            yield f"  MENU PASSWD {lock.crypt}"
        if entry.name == choice.entry:
            yield "  MENU DEFAULT"
        yield f"  LINUX {_LTSP}/{folder}/vmlinuz"
        yield f"  INITRD {','.join(f'{_LTSP}/{each}' for each in initrds(folder, root))}"
        yield f"  APPEND {words}"
        # It adds ip= and BOOTIF=, from which the client knows the server, too.
        yield "  IPAPPEND 3"
    for tool, title in tool_items(offer, ABLE):
        if lock.holds(tool) and not lock.crypt:
            continue
        yield f"LABEL {tool}"
        yield f"  MENU LABEL {title}"
        if lock.holds(tool):
            yield f"  MENU PASSWD {lock.crypt}"
        yield from (f"  {line}" for line in _TOOLS[tool])


def _title(text: str) -> str:
    # "^" marks a key.
    return _line(ascii_of(text).replace("^", ""))


def _line(text: str) -> str:
    plain = text.replace("\t", " ")
    return plain if is_one_line(plain) else ""
