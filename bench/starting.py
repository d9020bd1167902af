"""How long a machine waits from its first packet until its kernel runs, by each way to boot."""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from bench import product
from bench.figures import Figure, failed, show
from bench.measure import say
from tests.lab import product as lab
from tests.lab.client import Firmware, power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import open_session

# The bar: seconds from the first packet to the kernel's first line, on a network that has IPv4 only.
SECONDS_MOST = 5.0
# Seconds between two looks at the machine's cable.
LOOK = 0.05
# Bytes: an offer of an address and its confirmation are fewer, a boot program is more.
FILE = 2000


@dataclass(frozen=True, slots=True)
class Way:
    """A machine, and what ltsp.conf says of it."""

    firmware: Firmware
    settings: Mapping[str, str] = field(default_factory=dict)
    # UEFI waits some seconds for more offers by itself, so its time counts from its first file.
    waits: bool = True


WAYS = {
    "BIOS, iPXE": Way("bios", waits=False),
    "BIOS, PXELINUX": Way("bios", {"BOOT_WAY": "pxelinux"}, waits=False),
    "UEFI, iPXE": Way("uefi"),
    "UEFI, shim and GRUB": Way("uefi", {"BOOT_WAY": "shim"}),
    "UEFI with Secure Boot, shim and GRUB": Way("secure", {"BOOT_WAY": "shim"}),
}


def macs(name: str, runs: int) -> list[str]:
    """Return a MAC address for each start; what is still sent to the last one must not count for the next."""
    return [f"52:54:00:67:{0x20 + list(WAYS).index(name):02x}:{run:02x}" for run in range(runs)]


def start(server: Server, name: str, mac: str) -> float:
    """Switch a machine on; return the seconds from its first packet, or file, to its kernel's first line."""
    client = power_on(server.session, server.lan, WAYS[name].firmware, mac=mac)
    began = time.monotonic()
    try:
        while client.traffic().bytes_in < FILE if WAYS[name].waits else client.traffic().bytes_out == 0:
            time.sleep(LOOK)
        first = time.monotonic() - began
        return client.expect(r"Linux version \d").time - first
    finally:
        client.off()


def measure(server: Server, name: str, runs: int) -> Figure:
    """Start the machine ``runs`` times and return its figure."""
    title = f"first {'file' if WAYS[name].waits else 'packet'} to kernel, {name}"
    seconds = []
    for mac in macs(name, runs):
        try:
            seconds.append(start(server, name, mac))
        except (TimeoutError, ConnectionError, RuntimeError) as error:
            return failed(title, str(error), SECONDS_MOST)
        say(f"{name}: {seconds[-1]:.1f} s")
    note = f"of {' '.join(f'{each:.1f}' for each in seconds)}"
    return Figure(title, median(seconds), SECONDS_MOST, " s", note, digits=1)


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/ways", description="Measure the time from a machine's first packet to its kernel."
    )
    parser.add_argument("--runs", type=int, default=3, help="starts of each machine (default: %(default)s)")
    runs = max(1, parser.parse_args().runs)
    with open_session() as session:
        lan = make_lan(session, router=False)
        server = start_server(session, lan, sources={product.IMAGE: "ltsp-client"}, name="product")
        lab.wait_until_up(server)
        lab.configure(
            server, {mac: dict(way.settings) for name, way in WAYS.items() for mac in macs(name, runs)}
        )
        product.build(server)
        figures = [measure(server, name, runs) for name in WAYS]
    return show(figures)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
