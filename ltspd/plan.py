"""(Config, Facts) -> Desired, purely: which links are served and how, what the menu offers, to whom."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ltspd.config import (
    Config,
    Host,
    Index,
    LinkChoice,
    MenuSettings,
    exact_hosts,
    menu_settings,
    render_settings,
)
from ltspd.desired import AddOn, Desired, Menu, MenuChoice, ServedLink
from ltspd.model import DhcpRole, Facts, Generation, Link, LinkKind, Problem, RootTransport, SourceKind
from ltspd.paths import Paths

# LTSP's own network behind a server with two cards; a server address in it means "we are the DHCP server".
INTERNAL = IPv4Network("192.168.67.0/24")
# The default lease range of a /24, as LTSP has it; larger and smaller networks get the same shares.
FIRST_SHARE, LAST_SHARE = 20 / 256, 250 / 256
# Accounts that can't be sent and are named in Problems; the others are counted.
UNSENT_MOST = 5
# Milliseconds the menu is shown when there is something to choose from (LTSP's default).
MENU_TIMEOUT = 5000


def plan(config: Config, facts: Facts, paths: Paths) -> Desired:
    """Return everything that should be true. Total: odd facts give problems, never errors."""
    problems: list[Problem] = []
    settings = config.server
    domains = _domains(settings.search_domain or facts.search_domain)
    served = tuple(_served(config, facts, problems))
    if not served:
        problems.append(
            Problem(
                "network",
                "no interface is served: none is up with an IPv4 address on a wired network. "
                "Give one an address, or name it in DHCP_LINKS= of [server] in ltsp.conf.",
            )
        )
    if settings.serve_accounts and facts.unsent:
        problems.append(_unsent(facts.unsent))
    return Desired(
        served=served,
        menu=_menu(config, facts, problems),
        add_on=AddOn(
            render_settings(config.document),
            facts.accounts if settings.serve_accounts else (),
            facts.groups if settings.serve_accounts else (),
            _resolver(settings.dns_server, domains),
        ),
        images=facts.images,
        images_path=f"{paths.base}/images",
        direct=_direct(facts, paths, problems),
        tftp_directory=paths.tftp,
        nameservers=settings.dns_server or facts.nameservers,
        search_domain=domains[0] if domains else "",
        lease=settings.dhcp_lease,
        http_port=settings.http_port,
        http_connections=settings.http_connections,
        metrics_port=settings.metrics_port,
        tftp=settings.tftp,
        kernel_nfsd=facts.kernel_nfsd,
        programs=facts.programs,
        boot_programs=facts.boot_programs,
        problems=tuple(problems),
    )


def _direct(facts: Facts, paths: Paths, problems: list[Problem]) -> tuple[str, ...]:
    """Return the chroots that some generation's clients read: only ones that are known as sources."""
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


def _unsent(who: tuple[str, ...]) -> Problem:
    shown = "; ".join(who[:UNSENT_MOST])
    more = f"; and {len(who) - UNSENT_MOST} more" if len(who) > UNSENT_MOST else ""
    return Problem(
        "accounts",
        f"clients don't get {shown}{more}. Change the name or the number there; SERVE_ACCOUNTS=0 in [server] "
        "of ltsp.conf gives clients no accounts at all.",
    )


def _domains(text: str) -> tuple[str, ...]:
    """Return the words that are domain names; what a DHCP server upstream says is not trusted."""
    return tuple(each for each in text.split() if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})", each))


def _resolver(servers: tuple[IPv4Address, ...], domains: tuple[str, ...]) -> bytes:
    """Return what clients use that have no setting of their own, whoever gave them their address.

    In the form of resolv.conf(5). Name servers are those that ltsp.conf says: our own may be out of reach for
    a client of another DHCP server.
    """
    lines = [f"nameserver {each}\n" for each in servers]
    return "".join([*lines, f"search {' '.join(domains)}\n" if domains else ""]).encode()


def _served(config: Config, facts: Facts, problems: list[Problem]) -> Iterator[ServedLink]:
    wanted = dict(config.server.dhcp_links)
    for link in facts.links:
        rule = wanted.pop(link.name, None)
        if rule is None and not _servable(link, facts.container):
            continue
        for address in link.addresses:
            if address.ip.is_loopback or address.ip.is_link_local or address.network.prefixlen > 30:
                continue
            if rule is not None and not _fits(rule, address):
                continue
            role = rule.role if rule is not None else _default_role(config, address)
            if role is not DhcpRole.OFF and link.up:
                yield _serve(config, link, address, role, rule)
        if rule is not None and link.addresses and not any(_fits(rule, each) for each in link.addresses):
            networks = ", ".join(str(each.network) for each in link.addresses)
            problems.append(
                Problem(
                    f"link {link.name}",
                    f"the range {rule.first}-{rule.last} that DHCP_LINKS in ltsp.conf gives it is not in its "
                    f"network ({networks}), so it is not served; write one that is.",
                )
            )
    for name in wanted:
        problems.append(
            Problem(
                f"link {name}",
                "DHCP_LINKS in ltsp.conf names it, but there is no such interface now; "
                "it will be served once it appears.",
            )
        )


def _servable(link: Link, container: bool) -> bool:
    """Return whether a link is of the kind that clients hang on: wired, and nobody's virtual network."""
    wired = {LinkKind.ETHERNET, LinkKind.BRIDGE, LinkKind.BOND, LinkKind.VLAN}
    return not link.enslaved and (link.kind in wired or (link.kind is LinkKind.VETH and container))


def _fits(rule: LinkChoice, address: IPv4Interface) -> bool:
    """Return whether the rule's range, if it has one, is inside the address's network."""
    return all(end is None or end in address.network for end in (rule.first, rule.last))


def _default_role(config: Config, address: IPv4Interface) -> DhcpRole:
    if address.ip in INTERNAL:
        return DhcpRole.REAL if config.server.real_dhcp else DhcpRole.OFF
    return DhcpRole.PROXY if config.server.proxy_dhcp else DhcpRole.OFF


def _serve(
    config: Config, link: Link, address: IPv4Interface, role: DhcpRole, rule: LinkChoice | None
) -> ServedLink:
    first = last = None
    if role is DhcpRole.REAL:
        first, last = lease_range(address)
        if rule is not None and rule.first is not None and rule.last is not None:
            first, last = rule.first, rule.last
    quiet_router = config.server.router_advertisements and not link.global_ipv6
    return ServedLink(link.name, address, role, first, last, quiet_router)


def lease_range(address: IPv4Interface) -> tuple[IPv4Address, IPv4Address]:
    """Return the default lease range of a network: .20 to .250 of a /24, the same share of others.

    dnsmasq never leases the server's own address, so that may lie inside.
    """
    network = address.network
    size = network.num_addresses
    first = max(1, int(size * FIRST_SHARE))
    last = max(first, min(size - 2, int(size * LAST_SHARE)))
    return network.network_address + first, network.network_address + last


def _menu(config: Config, facts: Facts, problems: list[Problem]) -> Menu:
    entries = tuple(
        generation for image in facts.images if (generation := image.current_generation) is not None
    )
    transport = default_transport(facts)
    # iPXE can't compare with a glob, so only hosts that are named exactly have a choice of their own.
    named = tuple(exact_hosts(config.document))
    wanted = menu_settings(Index(config.document), (Host(), *(host for _, _, host in named)))
    unknown: dict[str, Problem] = {}
    choices = [_choice(each, entries, unknown, transport) for each in wanted]
    problems += unknown.values()
    default = choices[0]
    hosts = []
    for (key, value, _), choice in zip(named, choices[1:], strict=True):
        if choice != default:
            hosts.append((key, value, choice))
    titles = {
        entry.image: title
        for entry in entries
        if (title := config.server.image_titles.get(_title_key(entry.image)))
    }
    return Menu(entries, default, tuple(hosts), titles)


def _title_key(image: str) -> str:
    """Return how LTSP writes an image's name inside a parameter's: ``x86_64`` -> ``X86_64_IMG``."""
    return re.sub(r"[^A-Z0-9]", "_", image.upper()) + "_IMG"


def default_transport(facts: Facts) -> RootTransport:
    """Return what our measurements favour (docs/boot.md) among what this server has programs for."""
    if "ganesha.nfsd" in facts.programs or (facts.kernel_nfsd and "exportfs" in facts.programs):
        return RootTransport.NFS
    return RootTransport.NBD if "nbd-server" in facts.programs else RootTransport.HTTP


def _choice(
    wanted: MenuSettings,
    entries: tuple[Generation, ...],
    problems: dict[str, Problem],
    default: RootTransport,
) -> MenuChoice:
    names = [generation.image for generation in entries]
    image = wanted.image
    if image and names and image not in names and image not in problems:
        known = ", ".join(names)
        problems[image] = Problem(
            "menu", f"DEFAULT_IMAGE={image} in ltsp.conf is not a built image; there is: {known}."
        )
    if image not in names:
        image = names[0] if names else ""
    timeout = wanted.timeout
    if timeout is None:
        timeout = MENU_TIMEOUT if len(entries) > 1 else -1
    return MenuChoice(
        image, wanted.transport or default, wanted.kernel_parameters, timeout if timeout >= 0 else None
    )
