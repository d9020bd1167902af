"""A router that offers nothing: answers iPXE's wait for an IPv6 router advertisement on one interface.

A program of its own, run in the network namespace of the server: `python -m bench.advertise INTERFACE`.
"""

import socket
import struct
import sys
import time

# RFC 4861, 4.2: type 134, code 0, checksum (the kernel's), hop limit 64, no flags, router lifetime 0
# (so nobody takes us for a router), reachable and retransmission time unspecified. No prefix follows.
_ADVERTISEMENT = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0)
# Receivers drop messages with another hop limit, because these did not come from the link itself.
_HOPS = 255
_ALL_NODES = "ff02::1"
_EVERY = 1.0


def advertise(interface: str) -> None:
    """Send an advertisement every second until the process is ended."""
    index = socket.if_nametoindex(interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as out:
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        while True:
            out.sendto(_ADVERTISEMENT, (_ALL_NODES, 0, 0, index))
            time.sleep(_EVERY)


if __name__ == "__main__":
    advertise(sys.argv[1])
