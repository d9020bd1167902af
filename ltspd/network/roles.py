"""Which links are served, in which role and by which address. Pure.

Each link gets one role and one address: a DHCP request does not say to which network of a cable its machine
belongs, so two roles on one link would give the same machine contradicting answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import FLAG, Reader, read_address
from ltspd.model.facts import Facts
from ltspd.model.network import DhcpRole, Link, LinkKind, Network, Relayed, ServedLink
from ltspd.model.state import Problem
from ltspd.names import is_link_name
from ltspd.network.links import DHCP_LINKS, DHCP_RELAYED, LinkChoice
from ltspd.network.setup import choices, routes


def _read_routers(text: str) -> tuple[IPv4Address, ...] | None:
    """Read addresses, or None for ``none``; without any, the choice is ours."""
    return None if text == "none" else tuple(read_address(word) for word in text.split())


REAL_DHCP = Parameter("REAL_DHCP", FLAG, "1", SERVER, "Give addresses in 192.168.67.0/24")
PROXY_DHCP = Parameter("PROXY_DHCP", FLAG, "1", SERVER, "Give boot options beside another DHCP server")
ROUTERS = Parameter(
    "DHCP_ROUTER",
    Reader("IPv4 addresses or none", _read_routers),
    "",
    SERVER,
    "Routers that clients are told; none: no router",
)
ADVERTISE = Parameter("ROUTER_ADVERTISEMENTS", FLAG, "1", SERVER, "Tell iPXE that no IPv6 router will answer")

# LTSP's own network behind a server with two cards; a server address in it means "we are the DHCP server".
INTERNAL = IPv4Network("192.168.67.0/24")
# The default lease range of a /24, as LTSP has it; larger and smaller networks get the same shares.
FIRST_SHARE, LAST_SHARE = 20 / 256, 250 / 256
_WIRED = frozenset({LinkKind.ETHERNET, LinkKind.BRIDGE, LinkKind.BOND, LinkKind.VLAN})


def served_links(settings: Settings, facts: Facts, problems: list[Problem]) -> Iterator[ServedLink]:
    """Yield the links to serve; add a problem for each link that can't be served."""
    wanted = {**choices(facts.setup), **settings[DHCP_LINKS]}
    for link in facts.links:
        rule = wanted.pop(link.name, None)
        if link.up and (rule is not None or _servable(link, facts.container)):
            yield from _serve(settings, link, rule, problems, nat=routes(settings, facts.setup))
    for name, rule in wanted.items():
        if rule.role is not DhcpRole.OFF:
            where = "DHCP_LINKS in ltsp.conf" if name in settings[DHCP_LINKS] else "'ltspctl setup'"
            problems.append(
                Problem(
                    f"link {name}",
                    f"{where} names it, but there is no such interface now; "
                    "it will be served once it appears.",
                )
            )


def relayed_subnets(
    settings: Settings, served: Sequence[ServedLink], problems: list[Problem]
) -> Iterator[Relayed]:
    """Yield the subnets behind relays; add a problem for each one that can't be served."""
    wanted = settings[DHCP_RELAYED]
    network = Network(tuple(served), relayed=wanted)
    for each in wanted:
        subject = f"subnet {each.network}"
        if own := next((link for link in served if link.address.network.overlaps(each.network)), None):
            problems.append(
                Problem(
                    subject,
                    f"DHCP_RELAYED in ltsp.conf names it, but it is the network of {own.link}, where no "
                    "relay is needed; take it out.",
                )
            )
            continue
        if not network.links(each.role):
            problems.append(
                Problem(
                    subject,
                    f"no interface has the role {each.role}, so requests of its relay are not answered; "
                    f'DHCP_LINKS="NAME=relay" in [server] of ltsp.conf has one answer only relays.',
                )
            )
        first, last = each.first, each.last
        if each.role is DhcpRole.REAL and first is None:
            first, last = lease_range(IPv4Interface((each.network.network_address, each.network.prefixlen)))
        told = tuple(router for router in settings[ROUTERS] or () if router in each.network)
        yield replace(each, first=first, last=last, routers=told)


def _servable(link: Link, container: bool) -> bool:
    """Return whether clients may be connected to a link: it is wired, and no network of virtual machines."""
    return not link.enslaved and (link.kind in _WIRED or (link.kind is LinkKind.VETH and container))


def _serve(
    settings: Settings, link: Link, rule: LinkChoice | None, problems: list[Problem], *, nat: bool
) -> Iterator[ServedLink]:
    def say(message: str) -> None:
        problems.append(Problem(f"link {link.name}", message))

    networks = [each for each in link.addresses if _has_clients(each)]
    fitting = [each for each in networks if rule is None or _fits(rule, each)]
    roles = {each: rule.role if rule is not None else _default_role(settings, each) for each in fitting}
    roles = {each: role for each, role in roles.items() if role is not DhcpRole.OFF}
    if networks and not fitting and rule is not None:
        say(
            f"{_chosen(rule)} that DHCP_LINKS in ltsp.conf gives it is not in its network "
            f"({_list(networks)}), so it is not served; write one that is."
        )
    if not roles:
        return
    if not is_link_name(link.name):
        say(
            "its name has characters that mean something else to the servers' programs, so it is not served; "
            "rename it with letters, digits, '.', '_' or '-' ('ip link set … name …')."
        )
        return
    # A second server that gives addresses would harm machines that have nothing to do with us.
    role = DhcpRole.PROXY if DhcpRole.PROXY in roles.values() else next(iter(roles.values()))
    # DHCP_LINKS may give a role to any address; an address that has the role by default goes first.
    address = min(
        roles, key=lambda each: (roles[each] is not role, _default_role(settings, each) is not role)
    )
    others = [each for each in roles if each.network != address.network]
    if others and (rule is None or rule.first is None):
        say(
            f"it has addresses in {_list([address, *others])}, but one cable can be served for one network: "
            f'now {address.network}, {_MEANING[role]}. DHCP_LINKS="{link.name}=proxy:{others[0].ip}" or '
            f'"{link.name}=real:FIRST-LAST" in [server] of ltsp.conf chooses; VLANs would serve each.'
        )
    first = last = None
    if role is DhcpRole.REAL:
        first, last = lease_range(address)
        if rule is not None and rule.first is not None and rule.last is not None:
            first, last = rule.first, rule.last
    quiet_router = settings[ADVERTISE] and not link.global_ipv6
    routers = _routers(settings, link, address, link.forwards or nat) if role is DhcpRole.REAL else ()
    yield ServedLink(link.name, address, role, first, last, quiet_router, routers, link.index)


_MEANING = {
    DhcpRole.PROXY: "with boot options beside another DHCP server",
    DhcpRole.REAL: "with addresses",
    DhcpRole.RELAY: "for machines behind a DHCP relay",
    DhcpRole.FOREIGN: "beside a DHCP server that names our boot files",
}


def _routers(settings: Settings, link: Link, address: IPv4Interface, routes: bool) -> tuple[IPv4Address, ...]:
    """Return clients' routers: DHCP_ROUTER, else the server's gateway there, else the server if it routes."""
    routers = settings[ROUTERS]
    if routers is None:
        return ()
    told = tuple(each for each in routers if each in address.network)
    if told:
        return told
    if link.gateway is not None and link.gateway in address.network:
        return (link.gateway,)
    return (address.ip,) if routes else ()


def _has_clients(address: IPv4Interface) -> bool:
    local = address.ip.is_loopback or address.ip.is_link_local
    return not local and address.network.prefixlen <= 30


def _fits(rule: LinkChoice, address: IPv4Interface) -> bool:
    """Return whether the rule's range is of the address's network, or the rule names this address or none."""
    if rule.role is not DhcpRole.REAL:
        return rule.first in (None, address.ip)
    return all(end is None or end in address.network for end in (rule.first, rule.last))


def _chosen(rule: LinkChoice) -> str:
    return f"the range {rule.first}-{rule.last}" if rule.last is not None else f"the address {rule.first}"


def _list(addresses: Sequence[IPv4Interface]) -> str:
    return ", ".join(str(each.network) for each in addresses)


def _default_role(settings: Settings, address: IPv4Interface) -> DhcpRole:
    if address.ip in INTERNAL:
        return DhcpRole.REAL if gives_addresses(settings) else DhcpRole.OFF
    return DhcpRole.PROXY if settings[PROXY_DHCP] else DhcpRole.OFF


def gives_addresses(settings: Settings) -> bool:
    """Return REAL_DHCP. Where the roles of links can't be read, nobody is given addresses on a guess."""
    return settings[REAL_DHCP] and settings.readable(REAL_DHCP) and settings.readable(DHCP_LINKS)


def lease_range(address: IPv4Interface) -> tuple[IPv4Address, IPv4Address]:
    """Return the default lease range of a network: .20 to .250 of a /24, the same share of others.

    dnsmasq never leases the server's own address, so that may lie inside.
    """
    network = address.network
    size = network.num_addresses
    first = max(1, int(size * FIRST_SHARE))
    last = max(first, min(size - 2, int(size * LAST_SHARE)))
    return network.network_address + first, network.network_address + last
