"""Machines that are off get a packet of the running gateway on each served network, and each in its turn."""

import socket
from pathlib import Path

from ltspd.clients.table import Table
from ltspd.gateway.waking import TIMES, magic_packet
from tests.patience import PATIENCE
from tests.worlds.gateways import free_port, listed, running, served_folder

# Two networks have clients.
EACH = 2 * TIMES
ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:0a"


def test_magic_packets() -> None:
    packet = magic_packet(TWO)
    assert len(packet) == 102
    assert packet.startswith(b"\xff" * 6 + b"\x52\x54\x00\x00\x00\x0a\x52")


def test_machines_are_woken_once_for_each_order() -> None:
    with served_folder() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("", free_port()))
        card.settimeout(PATIENCE)

        def heard(count: int) -> list[bytes]:
            return sorted(card.recv(2048) for _ in range(count))

        with running(folder, waking__PORT=card.getsockname()[1], waking__AGAIN=0.01) as gateway:
            gateway.hang_up(waking(folder, gateway.port, {"1": ((ONE, 0), (TWO, 1), ("x", 0))}))
            assert heard(EACH) == [magic_packet(ONE)] * EACH
            assert heard(EACH) == [magic_packet(TWO)] * EACH
            # The table comes again with every change of anything in it.
            gateway.hang_up(waking(folder, gateway.port, {"1": ((ONE, 0),), "2": ((TWO, 0),)}))
            assert heard(EACH) == [magic_packet(TWO)] * EACH
            gateway.hang_up(waking(folder, gateway.port, {"3": ((ONE, 3600),)}))
            gateway.hang_up(waking(folder, gateway.port, {"4": ((TWO, 0),)}))
            assert heard(EACH) == [magic_packet(TWO)] * EACH
            assert "Traceback" not in gateway.log.read_text()


def waking(folder: Path, port: int, wakes: dict[str, tuple[tuple[str, int], ...]]) -> Table:
    files = listed(folder, port).files
    return Table(("127.0.0.1",), port, files, ("127.0.0.0/8", "127.0.0.0/30"), wakes=wakes)
