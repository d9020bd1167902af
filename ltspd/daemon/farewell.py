"""The server's last word to its clients, when the machine goes down and not only this service."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import replace

from ltspd.clients.fields import ClientStage
from ltspd.daemon.orders import Orders
from ltspd.dbus.systemd import Systemd
from ltspd.model.client import ClientState
from ltspd.model.order import Order, Target
from ltspd.outputs import gateway
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.system.files import write_atomically


async def farewell(
    paths: Paths, world: World, clients: Iterable[ClientState], orders: Orders, systemd: Systemd
) -> None:
    """Show a message on all clients that are on; raises LtspError, OSError.

    A pass would start again what systemd is stopping, so only the gateway is told, by a signal. Its file is
    put back afterwards, or else somebody would seem to have changed it.
    """
    targets = tuple(
        Target(each.mac, each.boot) for each in clients if each.boot and each.stage != ClientStage.OFF
    )
    output = gateway.render(world)
    if not targets or not output.wanted:
        return
    path, before = paths.at(output.files[0].path), output.files[0].data

    async def serve(order: Order) -> None:
        (file,) = gateway.render(replace(world, orders=(*world.orders, order))).files
        await asyncio.to_thread(write_atomically, path, file.data)
        await systemd.hang_up(gateway.UNIT)

    text = f"The server {socket.gethostname()} is being shut down. Save your work and log out."
    try:
        await orders.farewell(text, targets, serve)
    finally:
        await asyncio.to_thread(write_atomically, path, before)
