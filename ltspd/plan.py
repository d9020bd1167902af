"""(Config, Facts) -> Desired: which links are served and how, and what the menu offers to whom. Pure."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.config.configuration import Config
from ltspd.config.document import Document, Host
from ltspd.config.evaluate import exact_hosts, host_patterns
from ltspd.config.parameter import BOTH, SERVER, Parameter
from ltspd.config.readers import ADDRESSES, FLAG, LINE, PLAIN_PATH, TEXT, number, size
from ltspd.config.selection import select
from ltspd.config.settings import render_settings
from ltspd.logins import openings
from ltspd.menu import channels, lock, pi
from ltspd.menu.choice import DEFAULT_IMAGE, WAY, Chooser, examples, rules
from ltspd.model.desired import AddOn, Desired, Homes, Store, Swap
from ltspd.model.facts import Facts
from ltspd.model.image import SourceKind
from ltspd.model.menu import MEMORY_TESTS, BootWay, Menu, Offer, RootTransport, Tool
from ltspd.model.network import DhcpRole, Network
from ltspd.model.state import Problem
from ltspd.names import is_domain, is_plain_path
from ltspd.network.loaders import missing_programs, way_problems
from ltspd.network.machines import with_machines
from ltspd.network.roles import relayed_subnets, served_links
from ltspd.network.setup import answers_names, routes
from ltspd.paths import Paths

DNS_SERVER = Parameter("DNS_SERVER", ADDRESSES, "", BOTH, "DNS servers for clients")
SEARCH_DOMAIN = Parameter("SEARCH_DOMAIN", LINE, "", BOTH, "Search domain for clients")
LOGIN = Parameter("LOGIN", FLAG, "1", SERVER, "Let people log in at clients with their passwords here")
LOGIN_PORT = Parameter(
    "LOGIN_PORT",
    number("a port number below 65535", 1, 65534),
    # Free in IANA's list, as the next one is.
    "10822",
    SERVER,
    "TCP port of logins at clients; the next one is for new passwords",
)
ACCOUNTS = Parameter("SERVE_ACCOUNTS", FLAG, "1", SERVER, "Give clients the server's login accounts")
NFS_HOME = Parameter(
    "NFS_HOME", FLAG, "0", BOTH, "Give clients the server's homes by NFS, to any machine that asks"
)
HOME_DIR = Parameter("HOME_DIR", PLAIN_PATH, "/home", SERVER, "The directory of homes that NFS_HOME exports")
NBD_SWAP = Parameter(
    "NBD_SWAP", size(maximum=64 << 30), "0", BOTH, "Swap on the server for a client, like 512M or 2G, by NBD"
)
TITLES = Parameter("IPXE_*", TEXT, "", SERVER, "Menu title of an image: IPXE_X86_64_IMG")
MENU_SHELL = Parameter(
    "MENU_SHELL", FLAG, "0", SERVER, "Let anybody at a client use the command line of its boot menu"
)
MENU_GENERATIONS = Parameter(
    "MENU_GENERATIONS",
    number("a number", 0, 20),
    "2",
    SERVER,
    "How many earlier generations of each image the boot menu offers",
)
# Accounts that clients don't get and that Problems names; the others are counted.
UNSENT_MOST = 5
# A MAC address, or whole bytes of its begin and a star.
_MACS = re.compile("(?:[0-9a-f]{2}:){1,5}(?:[0-9a-f]{2}|[*])")
# Where the kernel's NFS server listens, and where our own one of homes does (ltspd-homes.service).
NFS_PORT, HOMES_PORT = 2049, 2050


def plan(config: Config, facts: Facts, paths: Paths) -> Desired:
    """Return everything that should be true. It never raises: odd facts give problems."""
    problems: list[Problem] = []
    settings = config.settings
    domains = _domains(settings[SEARCH_DOMAIN] or facts.search_domain)
    served = tuple(served_links(settings, facts, problems))
    relayed = tuple(relayed_subnets(settings, served, problems))
    if not served:
        problems.append(
            Problem(
                "network",
                "no interface is served: none is up with an IPv4 address on a wired network. "
                "Give one an address, or name it in DHCP_LINKS= of [server] in ltsp.conf.",
            )
        )
    if facts.setup is not None and not facts.setup.confirmed:
        problems.append(
            Problem(
                "set-up",
                f"{facts.setup.lan} has lost an address by it, so it is undone within a minute. Keep it: "
                "'ltspctl setup confirm'.",
            )
        )
    if settings[ACCOUNTS] and facts.unsent:
        problems.append(_unsent(facts.unsent))
    nameservers = settings[DNS_SERVER] or tuple(each for each in facts.nameservers if not each.is_loopback)
    dns = answers_names(settings, facts.setup)
    if (
        not dns
        and facts.nameservers
        and not nameservers
        and any(each.role is DhcpRole.REAL for each in served)
    ):
        problems.append(
            Problem(
                "network",
                f"clients get no name server: this server asks only itself ({facts.nameservers[0]}), and "
                "neither systemd-resolved nor NetworkManager knows another. Name one with DNS_SERVER= in "
                "[server] of ltsp.conf.",
            )
        )
    menu = _menu(config, facts, problems)
    if served:
        problems += (Problem(*each) for each in missing_programs(facts.boot_programs, menu))
    opened = openings(config, facts, problems) if settings[LOGIN] else ()
    homes = _homes(config, facts, problems) if settings[NFS_HOME] else None
    swap = _swap(config)
    return Desired(
        with_machines(
            Network(
                served,
                nameservers,
                domains[0] if domains else "",
                routes(settings, facts.setup),
                dns,
                settings[DNS_SERVER] if dns else (),
                relayed,
                serving=facts.serving,
            ),
            config,
            problems,
        ),
        menu,
        Store(f"{paths.base}/images", facts.images, _direct(facts, paths, problems)),
        AddOn(
            render_settings(config.document),
            *(select(settings, facts.accounts, facts.groups) if settings[ACCOUNTS] else ((), ())),
            _resolver(() if dns else settings[DNS_SERVER], domains),
            settings[LOGIN_PORT] if settings[LOGIN] else 0,
            homes if _has_ganesha(facts) or _has_kernel_server(facts) else None,
            swap.default if swap else "",
            facts.epoptes,
        ),
        tuple(problems),
        opened,
        homes,
        swap,
    )


def _direct(facts: Facts, paths: Paths, problems: list[Problem]) -> tuple[str, ...]:
    """Return the chroots that clients of direct generations read, if they are sources now."""
    wanted = {generation.directory for image in facts.images for generation in image.generations}
    found = [each for each in facts.sources if each.kind is SourceKind.DIRECTORY and each.path in wanted]
    there = {"", *(each.path for each in found)}
    for image in facts.images:
        current = image.current_generation
        if current is not None and current.directory not in there:
            problems.append(
                Problem(
                    f"image {image.name}",
                    f"its clients read {current.directory} itself, and that is no chroot any more; put it "
                    f"back, or 'ltspctl image revert {image.name}'.",
                )
            )
    return tuple(f"{paths.base}/{source.name}" for source in found)


def _homes(config: Config, facts: Facts, problems: list[Problem]) -> Homes | None:
    """Return the homes to export, and where clients mount them: where the accounts say that they are."""
    wanted, found = config.settings[HOME_DIR], facts.homes
    if found is None or not is_plain_path(found.path):
        why = (
            "is no directory" if found is None else f"is {found.path!r}, with characters that NFS can't have"
        )
        problems.append(
            Problem(
                "homes", f"{wanted} {why}, so clients get no homes by NFS. HOME_DIR= in [server] names it."
            )
        )
        return None
    people = facts.accounts if config.settings[ACCOUNTS] else ()
    point = wanted if any(each.home.startswith(f"{wanted}/") for each in people) else HOME_DIR.default
    outside = [f"{each.name} ({each.home})" for each in people if not each.home.startswith(f"{point}/")]
    if outside:
        more = f" and {len(outside) - UNSENT_MOST} more" if len(outside) > UNSENT_MOST else ""
        problems.append(
            Problem(
                "homes",
                f"clients mount {wanted} at {point}, so these have no home there: "
                f"{', '.join(outside[:UNSENT_MOST])}{more}. Move them below {point} with 'usermod -m -d'.",
            )
        )
    if _has_kernel_server(facts):
        return Homes(found.path, point, NFS_PORT, found.exported, found.whole)
    return Homes(found.path, point, HOMES_PORT)


def _swap(config: Config) -> Swap | None:
    """Return the sizes that ltsp.conf has anywhere; a connection does not tell whose it is."""
    words = _words(config.document, NBD_SWAP.name) | {config.settings.texts.get(NBD_SWAP.name)}
    sizes = {word: NBD_SWAP.reader.read(word) for word in words if word and not NBD_SWAP.problem(word)}
    wanted = config.settings.texts.get(NBD_SWAP.name, "")
    found = tuple(sorted((word, size) for word, size in sizes.items() if size))
    return Swap(found, wanted if sizes.get(wanted) else "0") if found else None


def _words(document: Document, name: str) -> set[str | None]:
    """Return all values of a parameter in ltsp.conf; None stands for those made from other parameters."""
    given = (each for section in document.sections for each in section.assignments)
    return {each.text for each in given if each.name == name}


def _has_kernel_server(facts: Facts) -> bool:
    return facts.kernel_nfsd and any(each.name == "exportfs" for each in facts.programs)


def _has_ganesha(facts: Facts) -> bool:
    return any(each.name == "ganesha.nfsd" for each in facts.programs)


def _unsent(who: tuple[str, ...]) -> Problem:
    shown = "; ".join(who[:UNSENT_MOST])
    more = f"; and {len(who) - UNSENT_MOST} more" if len(who) > UNSENT_MOST else ""
    return Problem(
        "accounts",
        f"clients don't get {shown}{more}. Change the name or the number there; SERVE_ACCOUNTS=0 in [server] "
        "of ltsp.conf gives clients no accounts at all.",
    )


def _domains(text: str) -> tuple[str, ...]:
    """Return the words that are domain names; they may come from a DHCP server, which is not trusted."""
    return tuple(filter(is_domain, (each.removesuffix(".") for each in text.split())))


def _resolver(servers: tuple[IPv4Address, ...], domains: tuple[str, ...]) -> bytes:
    """Return the resolv.conf(5) of clients that have no setting of their own.

    It holds only name servers from ltsp.conf: the server's own may be out of reach for clients that get their
    addresses from another DHCP server.
    """
    lines = [f"nameserver {each}\n" for each in servers]
    return "".join([*lines, f"search {' '.join(domains)}\n" if domains else ""]).encode()


def _menu(config: Config, facts: Facts, problems: list[Problem]) -> Menu:
    document = config.document
    # A generation that DEFAULT_IMAGE names is there for those who get it, and so for all.
    wished = {each for each in _words(document, DEFAULT_IMAGE.name) if each and "@" in each}
    titles, earlier = config.settings.family(TITLES), config.settings[MENU_GENERATIONS]
    entries = channels.entries(facts.images, titles, facts.machine, earlier, wished)
    tools = tuple(_tools(config, facts))
    names = (*(each.name for each in entries), *tools)
    locked = lock.lock(config.settings, names)
    offer = Offer(entries, default_transport(facts), rules(document), tools, locked)
    chooser = Chooser(offer)
    # iPXE can't compare with a glob, so the static script has a choice for hosts that are named exactly.
    named = tuple(exact_hosts(document))
    hosts = (Host(), *(host for _, _, host in named), *examples(document))
    wanted = [chooser.settings(host) for host in hosts]
    for name in dict.fromkeys(filter(None, map(chooser.unknown, wanted))):
        known = ", ".join(each.name for each in entries)
        problems.append(
            Problem("menu", f"DEFAULT_IMAGE={name} in ltsp.conf is not a built image; there is: {known}.")
        )
    default, *choices = map(chooser.choice, wanted)
    ways = _ways(document, chooser)
    way = wanted[0][WAY] or BootWay.AUTO
    found = _found(facts, ways, way)
    used = {way, *(each for _, each in ways), *(each for each, _ in found)}
    problems += (Problem(*each) for each in way_problems(used, facts.boot_programs, facts.loaders))
    problems += (Problem("menu", each) for each in lock.problems(config.settings, names, used))
    pis = pi.choices(config.settings, entries, facts.pi_files)
    problems += (Problem("Raspberry Pi", wrong) for _, _, wrong in pis if wrong)
    for (key, value, _), settings in zip(named, wanted[1:], strict=False):
        if key != "mac" and settings[WAY] is not way:
            problems.append(
                Problem(
                    "menu",
                    f"BOOT_WAY= of {value} in ltsp.conf does not count: of a machine that boots only the "
                    "MAC address is known; write BOOT_WAY= into a section of that.",
                )
            )
    differing = (
        (key, value, choice)
        for (key, value, _), choice in zip(named, choices, strict=False)
        if choice != default
    )
    return Menu(
        offer,
        default,
        tuple(differing),
        frozenset(each.transport for each in (default, *choices)),
        way,
        ways,
        found,
    )


def _ways(document: Document, chooser: Chooser) -> tuple[tuple[str, BootWay], ...]:
    """Return the machines with a boot program of their own: DHCP knows them by how a MAC address begins."""
    found = {each.removesuffix("*") for each in host_patterns(document) if _MACS.fullmatch(each)}
    default = chooser.settings(Host())[WAY]
    own: list[tuple[str, BootWay]] = []
    for mac in sorted(found, key=lambda each: (len(each), each)):
        way = chooser.settings(Host(mac=mac))[WAY]
        if way is not None and way is not next((one for of, one in own if mac.startswith(of)), default):
            own.insert(0, (mac, way))
    return tuple(own)


def _found(
    facts: Facts, ways: tuple[tuple[str, BootWay], ...], usual: BootWay
) -> tuple[tuple[BootWay, tuple[str, ...]], ...]:
    """Return the machines for which a way was found, where ltsp.conf says none."""
    found: dict[BootWay, list[str]] = {}
    for mac, way in sorted(facts.ways.items()):
        if next((one for begin, one in ways if mac.startswith(begin)), usual) is BootWay.AUTO:
            found.setdefault(way, []).append(mac)
    return tuple((way, tuple(macs)) for way, macs in sorted(found.items()))


def _tools(config: Config, facts: Facts) -> Iterator[Tool]:
    """Yield what the menu offers beside images."""
    yield from (Tool.LOCAL, Tool.RESTART, Tool.FIRMWARE)
    if facts.ipxe_enters_setup:
        yield Tool.SETUP
    if facts.boot_programs.keys() >= MEMORY_TESTS:
        yield Tool.MEMTEST
    if config.settings[MENU_SHELL]:
        yield Tool.SHELL


def default_transport(facts: Facts) -> RootTransport:
    """Return the fastest transport by our measurements (docs/boot.md) that this server has programs for."""
    if _has_ganesha(facts) or _has_kernel_server(facts):
        return RootTransport.NFS
    has_nbd = any(each.name == "nbd-server" for each in facts.programs)
    return RootTransport.NBD if has_nbd else RootTransport.HTTP
