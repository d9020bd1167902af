"""Which sections count for a host, in LTSP's order, and which values they give it. Pure.

The order is: the lines above the first section; [clients] on a client; [common]; [server] on the server; on a
client the first room that it is in; then the first section that fits the MAC address, the first for the IP
address, and the first for the host name; then the same for the part of a client's life, as [init/pc01]. A
section counts once, even if it is included or fits more often.

Code is never run here. What it sets only a client can know, and so what is made from that: such a line sets
nothing for who asks here, and the value before it stays.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from ltspd.config.document import Assignment, Code, Document, Host, Include, Section, Value
from ltspd.config.headers import SPECIAL, fits, is_glob, is_room, is_word, matches, section_id
from ltspd.config.rooms import ADDRESS, MAC, NAME, member

# Values may use these names, because LTSP's scripts set them before they read ltsp.conf.
PREDEFINED = ("MAC_ADDRESS", "IP_ADDRESS", "HOSTNAME", "SERVER")
# Only such a name selects a section; one with %{IP} in it is not the host's name yet.
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def effective(document: "Document | Index", host: Host) -> Mapping[str, Value]:
    """Return every parameter that some section sets for the host; for many hosts, give an Index.

    If an earlier section sets HOSTNAME, that selects the host name's section, else ``host.hostname`` does.
    """
    return MappingProxyType(_for_host(document, host)[0])


def unknowable(document: "Document | Index", host: Host) -> Mapping[str, Value]:
    """Return each parameter that code sets for the host, or that is made from such: the text of that line."""
    return MappingProxyType(_for_host(document, host)[1])


def rooms(document: "Document | Index", host: Host) -> tuple[Section, ...]:
    """Return the rooms that a client is in, in the file's order; the settings of the first count.

    Its host name is the one that selects a section: a room's own HOSTNAME puts nobody into a room.
    """
    index = document if isinstance(document, Index) else Index(document)
    return index.rooms_of(host, _evaluated(index, host)[2]) if index.has_rooms else ()


_Found = tuple[dict[str, Value], dict[str, Value], str]


def _for_host(document: "Document | Index", host: Host) -> _Found:
    index = document if isinstance(document, Index) else Index(document)
    found = _evaluated(index, host)
    its_rooms = index.rooms_of(host, found[2])
    return _evaluated(index, host, its_rooms[0]) if its_rooms else found


def _evaluated(index: "Index", host: Host, room: Section | None = None) -> _Found:
    """Return a host's values, what only itself can know, and the host name that selected a section."""
    texts = dict(zip(PREDEFINED, (lower(host.mac), host.ip, host.hostname, host.server), strict=True))
    values: dict[str, Value] = {}
    unknown: dict[str, Value] = {}
    client = host.kind == "client"
    # A section that counts as done is not read again. So no client reads [server], even if it is included.
    done = set(index.server_only) if client else set[int]()

    def call(section: Section | None) -> None:
        if section is None:
            return
        for entry in index.walk(section, done):
            if isinstance(entry, Code):
                unknown.update((name, Value(entry.text, entry.file, entry.line)) for name in entry.names)
                continue
            if any(name in unknown for name in entry.references):
                shown = (part if isinstance(part, str) else f"${part.name}" for part in entry.parts)
                unknown[entry.name] = Value("".join(shown), entry.file, entry.line)
                continue
            text = "".join(
                part if isinstance(part, str) else texts.get(part.name, "") for part in entry.parts
            )
            unknown.pop(entry.name, None)
            texts[entry.name] = text
            values[entry.name] = Value(text, entry.file, entry.line)

    call(index.unnamed)
    for name in ("clients", "common") if client else ("common", "server"):
        call(index.special(name))
    call(room)
    skip = index.server_only if client else frozenset[int]()
    call(index.first_match(lower(host.mac), skip))
    call(index.first_match(host.ip, skip))
    name = next((lower(each) for each in (texts["HOSTNAME"], host.hostname) if HOST_NAME.match(each)), "")
    call(index.first_match(name, skip))
    if client and host.applet and index.has_applets:
        for subject in ("", lower(host.mac), host.ip, name):
            call(index.first_match(f"{host.applet}/{subject}", skip))
    return values, unknown, name


def effective_server(document: "Document | Index") -> Mapping[str, Value]:
    """Return the server's own values: the unnamed lines, [common], [server]."""
    return effective(document, Host(kind="server"))


def effective_menu(
    document: "Document | Index", host: Host, server: Mapping[str, Value] | None = None
) -> Mapping[str, Value]:
    """Return the client's values, and the server's where it has none; for many hosts, give ``server``.

    LTSP reads DEFAULT_IMAGE, KERNEL_PARAMETERS and MENU_TIMEOUT from [server] for all clients.
    """
    server = effective_server(document) if server is None else server
    return MappingProxyType({**server, **effective(document, replace(host, applet=""))})


def exact_hosts(document: Document) -> Iterator[tuple[str, str, Host]]:
    """Yield each host that is named exactly: (``mac``, ``ip`` or ``hostname``; its value; the host)."""
    for pattern in dict.fromkeys(host_patterns(document)):
        if is_glob(pattern) or pattern in SPECIAL or "/" in pattern:
            continue
        if is_word(pattern):
            yield "hostname", pattern, Host(hostname=pattern)
        elif ":" in pattern:
            yield "mac", pattern, Host(mac=pattern)
        else:
            yield "ip", pattern, Host(ip=pattern)


def host_patterns(document: Document) -> Iterator[str]:
    """Yield what sections and rooms say of the hosts that they are for."""
    for section in document.sections:
        yield from section.members if section.room else section.patterns


def made_from(document: Document, names: Iterable[str]) -> frozenset[str]:
    """Return the names, and the names of all parameters whose values are made from them in any section."""
    users: dict[str, set[str]] = {}
    for section in document.sections:
        for each in section.assignments:
            for name in each.references:
                users.setdefault(name, set()).add(each.name)
    found = set(names)
    todo = [*found]
    while todo:
        new = users.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return frozenset(found)


def lower(text: str) -> str:
    """Return the text with its ASCII letters in lower case. Others differ between shells and locales."""
    return text.translate(_LOWER)


class Index:
    """A document's sections, to be looked up. Making one takes as long as evaluating one host."""

    def __init__(self, document: Document) -> None:
        self.sections = document.sections
        self.unnamed = document.sections[0]
        self._position = {id(section): position for position, section in enumerate(self.sections)}
        self._by_name: dict[str, Section] = {}
        self._by_id: dict[str, Section] = {}
        self._special: dict[str, Section] = {}
        self._plain: dict[str, list[int]] = {}
        # By the text before the first wildcard, so that a name is compared only with globs that begin so.
        self._globs: dict[str, list[tuple[int, str]]] = {}
        self._members: dict[tuple[str, str], list[int]] = {}
        self._room_globs: list[tuple[int, str, str]] = []
        for place, section in enumerate(self.sections):
            if not section.patterns:
                continue
            self._by_name.setdefault(section.name, section)
            # LTSP makes a function of each section; a later one with the same id replaces the earlier one.
            self._by_id[section_id(section.name)] = section
            for kind, pattern in map(member, section.members):
                if is_glob(pattern):
                    self._room_globs.append((place, kind, pattern))
                else:
                    self._members.setdefault((kind, pattern), []).append(place)
            for pattern in section.patterns:
                if is_room(pattern):
                    continue
                if pattern in SPECIAL:
                    self._special.setdefault(pattern, section)
                elif is_glob(pattern):
                    self._globs.setdefault(re.split("[*?]", pattern, maxsplit=1)[0], []).append(
                        (place, pattern)
                    )
                else:
                    self._plain.setdefault(pattern, []).append(place)
        self.server_only = self._server_only()
        # Whether some section counts for a part of a client's life alone.
        self.has_applets = any("/" in pattern for each in self.sections for pattern in each.patterns)

    def position(self, section: Section) -> int:
        """Return the section's place in the document."""
        return self._position[id(section)]

    def special(self, name: str) -> Section | None:
        """Return [server], [common] or [clients] if there is one."""
        return self._special.get(name)

    def target(self, include: Include) -> Section | None:
        """Return the section that an INCLUDE names: as in LTSP, the first in the file that fits its name.

        Else the one whose header says exactly this, or that has LTSP's id of it.
        """
        name = include.target
        if include.called:
            return self._by_id.get(name)
        fitting = self.special(name) or self.first_match(name)
        return fitting or self._by_name.get(name) or self._by_id.get(section_id(name))

    def first_match(self, subject: str, skip: frozenset[int] = frozenset()) -> Section | None:
        """Return the first section in the file's order that fits an address or a host name."""
        if not subject:
            return None
        found = [place for place in self._plain.get(subject, ()) if place not in skip][:1]
        for length in range(len(subject) + 1 if self._globs else 0):
            for place, pattern in self._globs.get(subject[:length], ()):
                if found and place > found[0]:
                    break
                if place not in skip and matches(pattern, subject):
                    found = [place]
        return self.sections[found[0]] if found else None

    @property
    def has_rooms(self) -> bool:
        """Whether any host can be in a room."""
        return bool(self._members or self._room_globs)

    def rooms_of(self, host: Host, name: str) -> tuple[Section, ...]:
        """Return the rooms of a client with this host name, in the file's order."""
        if not self.has_rooms or host.kind != "client":
            return ()
        subjects = {MAC: lower(host.mac), ADDRESS: host.ip, NAME: name}
        places = {place for each in subjects.items() for place in self._members.get(each, ())}
        places |= {
            place for place, kind, glob in self._room_globs if subjects[kind] and fits(glob, subjects[kind])
        }
        return tuple(self.sections[place] for place in sorted(places))

    def walk(self, section: Section, done: set[int]) -> Iterator[Assignment | Code]:
        """Yield a section's assignments and code, and those of what it includes, each section once."""
        if self.position(section) in done:
            return
        done.add(self.position(section))
        # This is not recursive, because a chain of INCLUDEs may be longer than Python's stack.
        stack = [iter(section.entries)]
        while stack:
            for entry in stack[-1]:
                if not isinstance(entry, Include):
                    yield entry
                    continue
                target = self.target(entry)
                if target is not None and self.position(target) not in done:
                    done.add(self.position(target))
                    stack.append(iter(target.entries))
                    break
            else:
                stack.pop()

    def reach(self, starts: Iterable[Section | None], but: Iterable[int] = ()) -> frozenset[int]:
        """Return the places of the given sections and of all that they include.

        The places in ``but`` are in the answer, but what they include is not followed.
        """
        done = set(but)
        for start in starts:
            if start is not None:
                for _ in self.walk(start, done):
                    pass
        return frozenset(done)

    def _server_only(self) -> frozenset[int]:
        """Return the places of [server] and of bare names that only it includes: no client reads them."""
        server = self.special("server")
        if server is None or server in (self.special("clients"), self.special("common")):
            return frozenset()
        own = self.position(server)
        inner = {
            place
            for place in self.reach([server])
            if all(map(is_word, self.sections[place].patterns))
            and SPECIAL.isdisjoint(self.sections[place].patterns)
        }
        starts = (each for place, each in enumerate(self.sections) if place not in inner | {own})
        return (frozenset(inner) - self.reach(starts, {own})) | {own}
