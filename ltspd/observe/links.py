"""Network interfaces as netlink shows them, and a socket that wakes when they change."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted

from ltspd.model.network import Link, LinkKind

# One message of rtnetlink(7) as pyroute2 decodes it: fields of the header by key, attributes by `get_attr`.
Message = Any

# linux/rtnetlink.h: RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR, and the group
# RTNLGRP_IPV4_NETCONF: forwarding.
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 1 << 23
# linux/if_arp.h
ARPHRD_ETHER = 1
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
# linux/rtnetlink.h
RT_TABLE_MAIN = 254
# A table is read again if it changed meanwhile, this many times at most. The change wakes the daemon anyway.
_ATTEMPTS = 4

_KINDS = {
    "bridge": LinkKind.BRIDGE,
    "bond": LinkKind.BOND,
    "team": LinkKind.BOND,
    "vlan": LinkKind.VLAN,
    "veth": LinkKind.VETH,
}
# Networks of virtual machines and containers, which have DHCP of their own. To the kernel, some of them
# (VirtualBox's, VMware's) are ordinary cards.
_FOREIGN = re.compile(
    r"(docker|virbr|lxcbr|lxdbr|incusbr|podman|nerdctl|cni|flannel|cbr|br-[0-9a-f]{12}$|vboxnet|vmnet|waydroid"
    r"|anbox|mpqemubr|mpbr|vz-|vnet|tap|tun|wg|zt)"
)


def wake_socket(wake: Callable[[], None]) -> Callable[[], None]:
    """Call ``wake`` whenever links, addresses or routes may have changed; return the function that ends that.

    The messages are dropped unread, so a lost one (ENOBUFS) does no harm: the next pass reads all tables.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    sock.bind((0, GROUPS))

    def readable() -> None:
        try:
            while sock.recv(65536):
                pass
        except OSError:
            pass  # all read (EAGAIN), or some lost (ENOBUFS): something happened in both cases
        wake()

    loop.add_reader(sock, readable)

    def close() -> None:
        loop.remove_reader(sock)
        sock.close()

    return close


async def snapshot() -> tuple[Link, ...]:
    """Return every interface with its IPv4 addresses, ordered by index.

    In a thread: IPRoute, which all versions of pyroute2 have, can't be used within a running loop.
    """
    return await asyncio.to_thread(_snapshot)


def _snapshot() -> tuple[Link, ...]:
    with IPRoute() as netlink:
        links = _table(netlink.get_links)
        addresses = _table(netlink.get_addr)
        routes = _table(lambda: netlink.get_routes(family=socket.AF_INET))
    by_index: dict[int, list[IPv4Interface]] = {}
    six: set[int] = set()
    for each in addresses:
        # On a point-to-point link IFA_ADDRESS is the address of the other end.
        own = each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS")
        if each["family"] == socket.AF_INET:
            by_index.setdefault(each["index"], []).append(IPv4Interface((own, each["prefixlen"])))
        elif each["family"] == socket.AF_INET6:
            address = IPv6Address(own)
            if not address.is_link_local and not address.is_loopback:
                six.add(each["index"])
    defaults: dict[int, IPv4Address | None] = {}
    for route in routes:
        for index, gateway in _default(route):
            defaults[index] = defaults.get(index) or gateway
    found = (_link(each, tuple(sorted(by_index.get(each["index"], ()))), defaults, six) for each in links)
    return tuple(sorted(found, key=lambda link: link.index))


def _table(read: Callable[[], Any]) -> list[Message]:
    """Return all messages of one table; raises NetlinkError."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return list(read())
        except NetlinkDumpInterrupted:
            continue
    return list(read())


def _default(route: Message) -> Iterator[tuple[int, IPv4Address | None]]:
    """Yield each interface that a default route of the main table leads through, and its gateway if any."""
    if route["dst_len"] or route["table"] != RT_TABLE_MAIN:
        return
    if index := route.get_attr("RTA_OIF"):
        yield index, _gateway(route)
    for hop in route.get_attr("RTA_MULTIPATH") or ():
        yield hop["oif"], _gateway(hop)


def _gateway(way: Message) -> IPv4Address | None:
    found = way.get_attr("RTA_GATEWAY")
    return IPv4Address(found) if found else None


def _forwards(name: str) -> bool:
    """Return whether the server routes packets that come in by a link."""
    try:
        return Path("/proc/sys/net/ipv4/conf", name, "forwarding").read_text().strip() == "1"
    except OSError:
        return False


def _link(
    link: Message,
    addresses: tuple[IPv4Interface, ...],
    defaults: Mapping[int, IPv4Address | None],
    six: set[int],
) -> Link:
    index: int = link["index"]
    name: str = link.get_attr("IFLA_IFNAME")
    return Link(
        name=name,
        index=index,
        mac=link.get_attr("IFLA_ADDRESS") or "",
        kind=_kind(link),
        up=bool(link["flags"] & IFF_UP),
        enslaved=link.get_attr("IFLA_MASTER") is not None,
        addresses=addresses,
        default_route=index in defaults,
        gateway=defaults.get(index),
        forwards=_forwards(name),
        global_ipv6=index in six,
    )


def _kind(link: Message) -> LinkKind:
    name = link.get_attr("IFLA_IFNAME")
    if link["flags"] & IFF_LOOPBACK:
        return LinkKind.LOOPBACK
    if link["ifi_type"] != ARPHRD_ETHER or _FOREIGN.match(name):
        return LinkKind.VIRTUAL
    info = link.get_attr("IFLA_LINKINFO")
    if info is not None and (kind := info.get_attr("IFLA_INFO_KIND")):
        return _KINDS.get(kind, LinkKind.VIRTUAL)
    wireless = link.get_attr("IFLA_WIRELESS") is not None or name.startswith("wl")
    return LinkKind.WIRELESS if wireless else LinkKind.ETHERNET
