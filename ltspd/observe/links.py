"""Network interfaces as netlink shows them, and a socket that wakes when they change."""

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path

from ltspd.model import Link, LinkKind
from ltspd.observe import netlink
from ltspd.observe.netlink import Row

# linux/rtnetlink.h: RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR, and the group
# RTNLGRP_IPV4_NETCONF: forwarding.
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 1 << 23
# linux/if_arp.h
ARPHRD_ETHER = 1
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
# linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h: the attributes that count here.
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_WIRELESS, IFLA_LINKINFO = 1, 3, 10, 11, 18
IFLA_INFO_KIND = 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH = 4, 5, 9
RT_TABLE_MAIN = 254
RTNEXTHOP = struct.Struct("=HBBi")

_KINDS = {
    "bridge": LinkKind.BRIDGE,
    "bond": LinkKind.BOND,
    "team": LinkKind.BOND,
    "vlan": LinkKind.VLAN,
    "veth": LinkKind.VETH,
}
# Networks that virtualisation makes for its own guests, with DHCP of their own. The kernel tells some of them
# (VirtualBox's, VMware's) as ordinary cards.
_FOREIGN = re.compile(
    r"(docker|virbr|lxcbr|lxdbr|incusbr|podman|nerdctl|cni|flannel|cbr|br-[0-9a-f]{12}$|vboxnet|vmnet|waydroid"
    r"|anbox|mpqemubr|mpbr|vz-|vnet|tap|tun|wg|zt)"
)


def wake_socket(wake: Callable[[], None]) -> Callable[[], None]:
    """Call ``wake`` whenever links, addresses or routes may have changed; return what ends that.

    The messages themselves are not read for meaning, so losing some (ENOBUFS) does no harm: the
    next pass looks at everything anyway.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    sock.bind((0, GROUPS))

    def readable() -> None:
        try:
            while sock.recv(65536):
                pass
        except OSError:
            pass  # drained (EAGAIN), or overrun (ENOBUFS): either way something happened
        wake()

    loop.add_reader(sock, readable)

    def close() -> None:
        loop.remove_reader(sock)
        sock.close()

    return close


async def snapshot() -> tuple[Link, ...]:
    """Return every interface with its IPv4 addresses, ordered by index."""
    return await asyncio.to_thread(_snapshot)


def _snapshot() -> tuple[Link, ...]:
    links = netlink.table(netlink.LINKS)
    addresses = netlink.table(netlink.ADDRESSES)
    routes = netlink.table(netlink.ROUTES, socket.AF_INET)
    by_index: dict[int, list[IPv4Interface]] = {}
    six: set[int] = set()
    for row in addresses:
        family, length, _, _, index = row.fixed
        # On a point-to-point link IFA_ADDRESS is the other end's.
        own = row.attributes.get(IFA_LOCAL) or row.attributes.get(IFA_ADDRESS, b"")
        if family == socket.AF_INET:
            by_index.setdefault(index, []).append(IPv4Interface((own, length)))
        elif family == socket.AF_INET6:
            address = IPv6Address(own)
            if not address.is_link_local and not address.is_loopback:
                six.add(index)
    defaults: dict[int, IPv4Address | None] = {}
    for row in routes:
        for index, gateway in _default(row):
            defaults[index] = defaults.get(index) or gateway
    found = (_link(row, tuple(sorted(by_index.get(row.fixed[3], ()))), defaults, six) for row in links)
    return tuple(sorted(found, key=lambda link: link.index))


def _default(route: Row) -> Iterator[tuple[int, IPv4Address | None]]:
    """Yield each interface that a default route of the main table leads through, and its gateway if any."""
    destination_bits, routing_table = route.fixed[1], route.fixed[4]
    if destination_bits or routing_table != RT_TABLE_MAIN:
        return
    if RTA_OIF in route.attributes:
        yield route.number(RTA_OIF), _gateway(route.attributes)
    # Several ways at once: struct rtnexthop one after the other, each with its length, index and attributes.
    hops = route.attributes.get(RTA_MULTIPATH, b"")
    while len(hops) >= RTNEXTHOP.size:
        length, _, _, index = RTNEXTHOP.unpack_from(hops)
        yield index, _gateway(dict(netlink.nested(hops[RTNEXTHOP.size : length])))
        hops = hops[max(length + -length % 4, RTNEXTHOP.size) :]


def _gateway(attributes: Mapping[int, bytes]) -> IPv4Address | None:
    found = attributes.get(RTA_GATEWAY, b"")
    return IPv4Address(found) if len(found) == 4 else None


def _forwards(name: str) -> bool:
    """Return whether what comes in by a link is routed on."""
    try:
        return Path("/proc/sys/net/ipv4/conf", name, "forwarding").read_text().strip() == "1"
    except OSError:
        return False


def _link(
    row: Row, addresses: tuple[IPv4Interface, ...], defaults: Mapping[int, IPv4Address | None], six: set[int]
) -> Link:
    _, _, hardware, index, flags, _ = row.fixed
    name = row.text(IFLA_IFNAME)
    return Link(
        name=name,
        index=index,
        mac=row.attributes.get(IFLA_ADDRESS, b"").hex(":"),
        kind=_kind(row, name, hardware, flags),
        up=bool(flags & IFF_UP),
        enslaved=IFLA_MASTER in row.attributes,
        addresses=addresses,
        default_route=index in defaults,
        gateway=defaults.get(index),
        forwards=_forwards(name),
        global_ipv6=index in six,
    )


def _kind(row: Row, name: str, hardware: int, flags: int) -> LinkKind:
    if flags & IFF_LOOPBACK:
        return LinkKind.LOOPBACK
    if hardware != ARPHRD_ETHER or _FOREIGN.match(name):
        return LinkKind.VIRTUAL
    info = dict(netlink.nested(row.attributes.get(IFLA_LINKINFO, b"")))
    if kind := info.get(IFLA_INFO_KIND):
        return _KINDS.get(kind.rstrip(b"\0").decode(errors="replace"), LinkKind.VIRTUAL)
    wireless = IFLA_WIRELESS in row.attributes or name.startswith("wl")
    return LinkKind.WIRELESS if wireless else LinkKind.ETHERNET
