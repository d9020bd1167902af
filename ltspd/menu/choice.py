"""What the boot menu does for one client: its parameters, the rules about them, and what follows. Pure.

The gateway chooses for each client that asks it, the daemon for those hosts that the static script can name.
"""

import json
import re
from collections.abc import Iterator, Sequence

from ltspd.config.document import Assignment, Code, Document, Entry, Host, Include, Reference, Section
from ltspd.config.evaluate import Index, effective_menu, effective_server, host_patterns
from ltspd.config.headers import is_glob
from ltspd.config.parameter import MENU, Parameter, Settings
from ltspd.config.readers import FLAG, IMAGE, LINE, choice, number
from ltspd.config.rooms import MEMBERS
from ltspd.config.secrecy import withheld
from ltspd.model.menu import BootWay, MenuChoice, Offer, RootTransport

DEFAULT_IMAGE = Parameter("DEFAULT_IMAGE", IMAGE, "", MENU, "Image that the boot menu starts by itself")
TRANSPORT = Parameter(
    "ROOT_TRANSPORT",
    choice("a transport", RootTransport),
    "",
    MENU,
    "How the root comes to a client: nbd, nfs or http",
)
KERNEL_PARAMETERS = Parameter(
    "KERNEL_PARAMETERS", LINE, "", MENU, "Words to add to the kernel's command line"
)
TIMEOUT = Parameter(
    "MENU_TIMEOUT",
    number("milliseconds", -1, 1 << 31),
    "5000",
    MENU,
    "How long the menu waits, in ms; -1: no menu",
)
WAY = Parameter(
    "BOOT_WAY",
    choice("a way", BootWay),
    "auto",
    MENU,
    "Boot program of a machine, by its MAC address: auto, ipxe, drivers, shim (Secure Boot) or pxelinux",
)
SLIM = Parameter(
    "SLIM_INITRD", FLAG, "1", MENU, "Give a client the drivers of its network card alone, if that is known"
)
# No parameter has a name in lower case.
_CODE = "code"
PARAMETERS = (DEFAULT_IMAGE, TRANSPORT, KERNEL_PARAMETERS, TIMEOUT, WAY, SLIM)


class Chooser:
    """Makes the choice of any client by one offer."""

    def __init__(self, offer: Offer) -> None:
        """Prepare for many clients: this takes as long as one choice for each section."""
        self._transport = offer.transport
        self._index = Index(_document(offer.rules))
        self._server = effective_server(self._index)
        self._names = tuple(each.name for each in offer.entries)
        # A menu with one entry is shown only where somebody asks for it. Earlier generations don't count.
        self._several = sum(not each.earlier for each in offer.entries) > 1

    def choose(self, host: Host) -> MenuChoice:
        """Return what a client gets; it is always one of the entries, if there is any."""
        return self.choice(self.settings(host))

    def settings(self, host: Host) -> Settings:
        """Return what ltsp.conf says of one client's menu."""
        values = effective_menu(self._index, host, self._server)
        return Settings({each.name: values[each.name].text for each in PARAMETERS if each.name in values})

    def choice(self, settings: Settings) -> MenuChoice:
        """Return the choice that follows from settings."""
        shown = self._several or settings.given(TIMEOUT)
        return MenuChoice(
            self._known(settings[DEFAULT_IMAGE]),
            settings[TRANSPORT] or self._transport,
            settings[KERNEL_PARAMETERS],
            settings[TIMEOUT] if shown and settings[TIMEOUT] >= 0 else None,
            settings[SLIM],
        )

    def _known(self, name: str) -> str:
        """Return the entry of that name; if there is none, the image's own, or else the first one."""
        image = name.partition("@")[0]
        return next((each for each in (name, image) if each in self._names), "".join(self._names[:1]))

    def unknown(self, settings: Settings) -> str:
        """Return the entry that settings ask for, if there are entries and it is none of them."""
        name = settings[DEFAULT_IMAGE]
        return name if self._names and name not in self._names else ""


def menu_settings(document: Document, host: Host) -> Settings:
    """Return what ltsp.conf says of one client's menu, where no choice is to be made."""
    return Chooser(Offer((), RootTransport.HTTP, rules(document))).settings(host)


def rules(document: Document) -> str:
    """Return what a document says of the menu, and of what that is made from; it holds no secret.

    Everybody on the network can fetch the menu, so there a secret counts as not set. The text is JSON: each
    section's name and entries. An entry is ["INCLUDE", section] ("called" behind it:
    by LTSP's id of it), or a parameter's name, then text and names
    of parameters in turn: ``A="x$B"`` is ["A", "x", "B", ""]; or ["MEMBERS", pattern …], first in a room; or
    ["code", name …] where code sets parameters.
    """
    hidden = withheld(document)
    used: dict[str, set[str]] = {}
    for section in document.sections:
        for each in section.assignments:
            used.setdefault(each.name, set()).update(each.references)
    # A host name that a section gives selects the section of that name.
    todo = [each.name for each in PARAMETERS] + ["HOSTNAME"]
    names: set[str] = set()
    while todo:
        if (name := todo.pop()) not in names and name not in hidden:
            names.add(name)
            todo += used.get(name, ())
    found = [
        (section.name if section.patterns else "", list(_entries(section, names)))
        for place, section in enumerate(document.sections)
        if section.patterns or place == 0
    ]
    return json.dumps(found, separators=(",", ":"))


def _entries(section: Section, names: set[str]) -> Iterator[tuple[str, ...]]:
    if section.members:
        yield (MEMBERS.name, *section.members)
    for each in section.entries:
        if isinstance(each, Include):
            yield ("INCLUDE", each.target, *(["called"] if each.called else ()))
        elif isinstance(each, Code):
            # It sets nothing here; but what is made from its names counts as not set.
            if found := [name for name in each.names if name in names]:
                yield (_CODE, *found)
        elif each.name in names:
            flat = [""]
            for part in each.parts:
                if isinstance(part, Reference):
                    flat += [part.name, ""]
                else:
                    flat[-1] += part
            yield (each.name, *flat)


def _document(rules: str) -> Document:
    """Return a document that says what the rules say; its lines have no numbers."""
    return Document("", tuple(_section(*each) for each in json.loads(rules or '[["", []]]')))


def _section(name: str, entries: list[list[str]]) -> Section:
    patterns = tuple(name.split("|")) if name else ()
    members: list[str] = []
    if entries and entries[0][0] == MEMBERS.name:
        (_, *members), entries = entries[0], entries[1:]
    return Section(name, patterns, "", 0, tuple(_entry(*each) for each in entries), tuple(members))


def _entry(name: str, *rest: str) -> Entry:
    if name == _CODE:
        return Code("", rest, "", 0)
    if name == "INCLUDE":
        return Include(rest[0], "", 0, called=len(rest) > 1)
    return Assignment(name, _parts(rest), "", 0)


def _parts(flat: Sequence[str]) -> tuple[str | Reference, ...]:
    return tuple(Reference(text) if place % 2 else text for place, text in enumerate(flat) if text)


def examples(document: Document) -> Iterator[Host]:
    """Yield for each glob of a section or a room a host that fits it."""
    for pattern in filter(is_glob, host_patterns(document)):
        subject = pattern.replace("*", "").replace("?", "0")
        if ":" in pattern:
            yield Host(mac=subject)
        elif re.search("[a-z_-]", pattern):
            yield Host(hostname=subject)
        else:
            yield Host(ip=subject, hostname=subject)
