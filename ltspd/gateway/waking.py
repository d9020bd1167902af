"""Waking machines that are off: a magic packet on each served network, which the machine's card waits for.

A machine that is on takes no notice, so packets may be sent again, as after a restart of the gateway.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from ltspd.clients.fields import is_mac

log = logging.getLogger("ltspd.gateway")

# The discard service, by custom; no machine that is off looks at the port.
PORT = 9
# A packet may be lost, and nobody would know. Seconds between the packets to one machine.
TIMES, AGAIN = 3, 1.0


def magic_packet(mac: str) -> bytes:
    """Return AMD's magic packet: six bytes of ones, then the address sixteen times."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


class Waking:
    """Sends packets for each order once."""

    def __init__(self) -> None:
        """Wake nobody yet."""
        self._networks: tuple[IPv4Network, ...] = ()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def follow(self, networks: Sequence[str], wakes: Mapping[str, tuple[tuple[str, int], ...]]) -> None:
        """Begin with the orders that are new, and end those that are not there any more."""
        self._networks = tuple(map(IPv4Network, networks))
        for order in self._under_way.keys() - wakes.keys():
            self._under_way.pop(order).cancel()
        for order in wakes.keys() - self._under_way.keys():
            work = self._wake(order, sorted(wakes[order], key=lambda each: each[1]))
            self._under_way[order] = asyncio.create_task(work, name=f"wake {order}")

    def close(self) -> None:
        """End everything."""
        self.follow((), {})

    async def _wake(self, order: str, machines: Sequence[tuple[str, int]]) -> None:
        began = asyncio.get_running_loop().time()
        due = [(delay + turn * AGAIN, mac) for mac, delay in machines if is_mac(mac) for turn in range(TIMES)]
        for when, mac in sorted(due):
            await asyncio.sleep(max(0.0, began + when - asyncio.get_running_loop().time()))
            self._send(mac)
        log.info("Order %s: woke %d machine(s)", order, len(machines))

    def _send(self, mac: str) -> None:
        for network in self._networks:
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    # The address of a network as a whole leads to the link that has this network.
                    sender.sendto(magic_packet(mac), (str(network.broadcast_address), PORT))
            except OSError as error:
                log.warning("No packet to wake %s in %s: %s", mac, network, error)
