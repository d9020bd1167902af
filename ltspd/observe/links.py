"""Network interfaces as netlink shows them, and a socket that wakes when they change."""

import asyncio
import re
import socket
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Address
from typing import Any

from ltspd.model import Link, LinkKind

# linux/rtnetlink.h: RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR
GROUPS = 0x1 | 0x10 | 0x40 | 0x100
# linux/if_arp.h
ARPHRD_ETHER = 1
IFF_UP, IFF_LOOPBACK = 0x1, 0x8

_KINDS = {
    "bridge": LinkKind.BRIDGE,
    "bond": LinkKind.BOND,
    "team": LinkKind.BOND,
    "vlan": LinkKind.VLAN,
    "veth": LinkKind.VETH,
}
# Bridges that virtualisation makes for its own guests, with DHCP of their own.
_FOREIGN = re.compile(r"(docker|virbr|lxcbr|lxdbr|incusbr|podman|cni|br-[0-9a-f]{12}$|vnet|tap|tun|wg)")


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
    """Return every interface with its IPv4 addresses, ordered by index.

    In a thread: the synchronous IPRoute refuses to run inside a loop on pyroute2 0.9, and there is
    no asynchronous one in 0.7.
    """
    return await asyncio.to_thread(_snapshot)


def _snapshot() -> tuple[Link, ...]:
    # Here, because it costs as much to import as everything else together, and the daemon is ready before.
    from pyroute2 import IPRoute

    with IPRoute() as route:
        links = list(route.get_links())
        addresses = list(route.get_addr())
        routes = list(route.get_default_routes(family=socket.AF_INET))
    by_index: dict[int, list[IPv4Interface]] = {}
    six: set[int] = set()
    for message in addresses:
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if message["family"] == socket.AF_INET:
            by_index.setdefault(message["index"], []).append(IPv4Interface(f"{text}/{message['prefixlen']}"))
        elif not IPv6Address(text).is_link_local and not IPv6Address(text).is_loopback:
            six.add(message["index"])
    defaults = {message.get_attr("RTA_OIF") for message in routes}
    return tuple(
        sorted(
            (
                _link(message, tuple(sorted(by_index.get(message["index"], ()))), defaults, six)
                for message in links
            ),
            key=lambda link: link.index,
        )
    )


def _link(message: Any, addresses: tuple[IPv4Interface, ...], defaults: set[int], six: set[int]) -> Link:
    name = str(message.get_attr("IFLA_IFNAME"))
    index = int(message["index"])
    return Link(
        name=name,
        index=index,
        mac=str(message.get_attr("IFLA_ADDRESS") or ""),
        kind=_kind(message, name),
        up=bool(message["flags"] & IFF_UP),
        enslaved=message.get_attr("IFLA_MASTER") is not None,
        addresses=addresses,
        default_route=index in defaults,
        global_ipv6=index in six,
    )


def _kind(message: Any, name: str) -> LinkKind:
    if message["flags"] & IFF_LOOPBACK:
        return LinkKind.LOOPBACK
    if message["ifi_type"] != ARPHRD_ETHER or _FOREIGN.match(name):
        return LinkKind.VIRTUAL
    info = message.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info is not None else None
    if kind is not None:
        return _KINDS.get(str(kind), LinkKind.VIRTUAL)
    return (
        LinkKind.WIRELESS if message.get_attr("IFLA_WIRELESS") or name.startswith("wl") else LinkKind.ETHERNET
    )
