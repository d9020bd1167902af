"""The server's cable as one of so many bits a second, and the cards of a room at its other end."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.lab.dhcp import Cable, Machine, opened_in
from tests.lab.net import SERVER_ADDRESS, Lan, ip
from tests.patience import PATIENCE

GIGABIT = "1gbit"
# A packet that a card would cut has up to 64 KiB, and goes at once. A switch and a card hold about as much as
# the limit before they drop.
_SHAPE = "tbf rate {rate} burst 256kb limit 2mb"
# An address of the room itself, which no DHCP server gives.
_OWN = "192.168.67.253"
_MEASURED = 400 << 20
# Seconds; dnsmasq itself waits for three to see whether a new address is in use.
_AGAIN = 5.0


@contextmanager
def shaped(lan: Lan, rate: str = GIGABIT) -> Iterator[None]:
    """Let the server's cable carry no more than this, each way."""
    ends = ((lan.server, "lan0"), (lan.switch, "port-srv"))
    for netns, device in ends:
        _tc(netns, f"qdisc add dev {device} root {_SHAPE.format(rate=rate)}")
    try:
        yield
    finally:
        for netns, device in ends:
            _tc(netns, f"qdisc del dev {device} root")


def carried(lan: Lan) -> int:
    """Return the bytes that the server has sent through its shaped cable, headers included."""
    done = _tc(lan.server, "-s -j qdisc show dev lan0")
    return int(json.loads(done)[0]["bytes"])


def _tc(netns: str, words: str) -> str:
    done = subprocess.run(["tc", "-n", netns, *words.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"tc {words} in {netns}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def room(lan: Lan, many: int, prefix: int) -> Iterator[tuple[str, list[str]]]:
    """Have a room of so many cards on the LAN; yield its namespace, and the names of the cards."""
    name = f"{lan.session.name}-room"
    cards = [f"mv{number}" for number in range(many)]
    with ExitStack() as undo:
        subprocess.run(["ip", "netns", "add", name], check=True)
        undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        # Each card speaks for itself alone, though all are in one network.
        settings = ("arp_ignore=1", "arp_announce=2", "rp_filter=0")
        every = [f"net.ipv4.conf.{each}.{value}" for each in ("all", "default") for value in settings]
        every += [f"net.ipv6.conf.{each}.disable_ipv6=1" for each in ("all", "default")]
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-q", "-w", *every], check=True)
        ip(lan.switch, f"link add port-room type veth peer name lan0 netns {name}")
        undo.callback(ip, lan.switch, "link delete port-room")
        ip(lan.switch, "link set port-room master lan up")
        ip(name, "link set lo up", f"address add {_OWN}/{prefix} dev lan0", "link set lan0 up")
        made = [
            f"link add {card} link lan0 address {mac(number)} type macvlan mode private"
            for number, card in enumerate(cards)
        ]
        ip(name, *made, *(f"link set {card} up" for card in cards))
        yield name, cards


def mac(number: int) -> str:
    """Return the MAC address of a simulated client."""
    return f"52:54:00:68:{number >> 8:02x}:{number & 255:02x}"


def lease(netns: str, card: str, its_mac: str) -> str:
    """Get a client the address that it will have, as an earlier boot would have, and return it.

    It may be one that has another card: answers go to everybody. A server that only starts is asked again.
    """
    cable = Cable(netns, card)
    cable.patient(_AGAIN)
    began = time.monotonic()
    try:
        while True:
            try:
                return cable.lease(Machine(mac=its_mac, broadcast=True)).address
            except TimeoutError:
                if time.monotonic() - began > PATIENCE:
                    raise
    finally:
        cable.close()


def reached(lan: Lan, netns: str) -> float:
    """Return the bytes a second that one raw transfer from the server to the room reaches."""
    listener = opened_in(netns, lambda: socket.create_server((_OWN, 5001)))
    out = opened_in(lan.server, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    out.bind((SERVER_ADDRESS, 0))
    out.connect((_OWN, 5001))

    def send() -> None:
        piece = bytes(1 << 20)
        for _ in range(_MEASURED // len(piece)):
            out.sendall(piece)
        out.close()

    taken, _ = listener.accept()
    sender = threading.Thread(target=send)
    buffer = bytearray(1 << 20)
    began = time.monotonic()
    sender.start()
    with listener, taken:
        while taken.recv_into(buffer):
            pass
    sender.join()
    return _MEASURED / (time.monotonic() - began)
