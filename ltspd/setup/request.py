"""What a set-up asks for, and which cards must change for that. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ltspd.errors import InvalidOption
from ltspd.model.network import Link, LinkKind
from ltspd.model.setup import Setup, SetupKind
from ltspd.names import is_link_name

# LTSP's own network of clients behind a server with two cards, and the server's address there.
CLIENTS = IPv4Interface("192.168.67.1/24")
_WIRED = frozenset({LinkKind.ETHERNET, LinkKind.BRIDGE, LinkKind.BOND, LinkKind.VLAN})
_SHOW = "'ltspctl link list' shows the cards"


@dataclass(frozen=True, slots=True)
class Request:
    """A set-up as it was asked for. ``convert``: ifupdown's files may be changed."""

    kind: SetupKind
    lan: str = ""
    wan: str = ""
    address: str = ""
    dns: bool = False
    convert: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Request":
        """Return the request of these words; raises InvalidOption."""
        if given.get("kind") not in list(SetupKind):
            raise InvalidOption(f"There is no set-up {str(given.get('kind'))[:40]!r}; say single or dual.")
        words = {name: str(given.get(name, "")) for name in ("lan", "wan", "address")}
        kind = SetupKind(given["kind"])
        # Clients behind two cards have no other name server.
        dns = bool(given.get("dns")) or kind is SetupKind.DUAL
        return cls(kind, dns=dns, convert=bool(given.get("convert")), **words)


@dataclass(frozen=True, slots=True)
class Change:
    """A card that gets another configuration: this address, or None for whatever DHCP gives it."""

    link: Link
    address: IPv4Interface | None = None

    @property
    def cuts(self) -> bool:
        """Whether somebody may lose a connection by it: the card loses an address that it has now."""
        return any(each != self.address for each in self.link.addresses)


@dataclass(frozen=True, slots=True)
class Decision:
    """The set-up, the cards that must change for it, and what a person should know beforehand."""

    setup: Setup
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()


def decide(request: Request, links: Sequence[Link], container: bool = False) -> Decision:
    """Return what must be done; raises InvalidOption if that can't be right."""
    if request.kind is SetupKind.SINGLE:
        return _single(request, links, container)
    return _dual(request, links, container)


def _single(request: Request, links: Sequence[Link], container: bool) -> Decision:
    if request.wan or request.address:
        raise InvalidOption("One card has neither --wan nor --address: the router gives it its address.")
    wired = [each for each in links if _is_wired(each, container) and not each.enslaved]
    if request.lan:
        link = _find(request.lan, links)
    elif len(wired) == 1:
        (link,) = wired
    else:
        names = ", ".join(each.name for each in wired)
        there = f"several wired cards ({names})" if wired else "no wired card"
        raise InvalidOption(f"This server has {there}; name one with --lan ({_SHOW}).")
    _check_wired(link, container)
    setup = Setup(request.kind, link.name, "", request.dns)
    warnings = [] if link.up else [f"{link.name} is down."]
    # A card that has an address is as the router, or somebody who knows better, wants it.
    return Decision(setup, () if link.addresses else (Change(link),), tuple(warnings))


def _dual(request: Request, links: Sequence[Link], container: bool) -> Decision:
    if not request.wan or not request.lan:
        raise InvalidOption(f"Two cards need --wan, towards the router, and --lan, for clients; {_SHOW}.")
    if request.wan == request.lan:
        raise InvalidOption(
            f"{request.lan} can't be both cards: --wan leads to the router, --lan to clients."
        )
    wan, lan = _find(request.wan, links), _find(request.lan, links)
    _check_wired(lan, container)
    if lan.default_route:
        raise InvalidOption(
            f"{lan.name} is the card by which this server reaches the internet, so it is --wan and not --lan."
        )
    address = _address(request, lan)
    for other in links:
        for one in other.addresses if other.name != lan.name else ():
            if one.network.overlaps(address.network) and not one.ip.is_loopback:
                raise InvalidOption(
                    f"{address.network} can't be the clients' network: {other.name} is in {one.network}. "
                    "Give another one with --address, such as 192.168.68.1/24."
                )
    warnings = []
    if wan.kind is LinkKind.VIRTUAL:
        warnings.append(f"{wan.name} is a virtual network; clients reach only what that leads to.")
    if not wan.addresses and wan.kind is LinkKind.WIRELESS:
        warnings.append(f"{wan.name} has no address: connect it to a wireless network.")
    elif wan.addresses and not wan.default_route:
        warnings.append(f"{wan.name} has no default route, so clients will not reach the internet by it.")
    changes = [] if address in lan.addresses and len(lan.addresses) == 1 else [Change(lan, address)]
    if not wan.addresses and wan.kind is not LinkKind.WIRELESS:
        changes.append(Change(wan))
    return Decision(Setup(request.kind, lan.name, wan.name, request.dns), tuple(changes), tuple(warnings))


def _find(name: str, links: Sequence[Link]) -> Link:
    for link in links:
        if link.name == name:
            if not is_link_name(name):
                raise InvalidOption(f"{name!r} has characters that other programs misread; rename the card.")
            return link
    raise InvalidOption(f"There is no card {name[:40]!r}; {_SHOW}.")


def _is_wired(link: Link, container: bool) -> bool:
    return link.kind in _WIRED or (link.kind is LinkKind.VETH and container)


def _check_wired(link: Link, container: bool) -> None:
    if link.kind is LinkKind.WIRELESS:
        raise InvalidOption(
            f"{link.name} is wireless, and no machine boots by that; the clients' card is wired."
        )
    if not _is_wired(link, container):
        raise InvalidOption(f"{link.name} is no wired card but {link.kind}; {_SHOW}.")
    if link.enslaved:
        raise InvalidOption(f"{link.name} is a port of a bridge or bond; name that instead ({_SHOW}).")


def _address(request: Request, lan: Link) -> IPv4Interface:
    """Return the server's address in the clients' network."""
    if not request.address:
        there = [each for each in lan.addresses if each.network == CLIENTS.network]
        return there[0] if there else CLIENTS
    address, slash, length = request.address.partition("/")
    try:
        found = IPv4Interface((IPv4Address(address), int(length) if slash else 24))
    except ValueError:
        raise InvalidOption(
            f"{request.address[:40]!r} is not an address with its network, such as 192.168.67.1/24."
        ) from None
    network: IPv4Network = found.network
    if network.prefixlen > 30 or found.ip in (network.network_address, network.broadcast_address):
        raise InvalidOption(f"{found} can't be a server's address with clients beside it.")
    if found.ip.is_loopback or found.ip.is_multicast or found.ip.is_link_local or not found.ip.packed[0]:
        raise InvalidOption(f"{found.ip} can't be a server's address; take one such as 192.168.67.1/24.")
    return found
