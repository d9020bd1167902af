"""The program: what a client reads of its root until its login, and what of that it needs."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, show
from bench.measure import say
from bench.product import order
from ltspd.image import context, fold
from tests.lab import product, trees
from tests.lab.client import power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import open_session

IMAGE = "x86_64"
TREE = "ltsp-client"
TRANSPORTS: Mapping[str, str] = {"nfs": "52:54:00:67:be:14", "nbd": "52:54:00:67:be:13"}
_PAGES = Path(__file__).with_name("pages.c")
_PLACE = "/usr/local/sbin/pages"
_LAYERS = "/run/initramfs/ltsp/layers"
PAGE = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """A boot: bytes of the root that came until the login, bytes that were needed, seconds, memory."""

    received: int
    needed: int
    login: float
    available: int

    def words(self) -> str:
        """Return the boot in one line."""
        received, needed = (each / 1e6 for each in (self.received, self.needed))
        memory = f"{self.available >> 10} MiB of memory left"
        return f"login {self.login:.0f} s, root {received:.1f} MB, needed {needed:.1f} MB, {memory}"


def prepare(server: Server) -> None:
    """Have clients of both transports, an image that can tell its pages, and a first generation."""
    product.wait_until_up(server)
    # What a client reads ahead after its login is up is not for the login.
    clients = {"MASK_SYSTEM_SERVICES": "ltsp-ahead.service"}
    macs = {mac: {"ROOT_TRANSPORT": each} for each, mac in TRANSPORTS.items()}
    product.configure(server, {"server": {"TEST_MEMORY": "1024"}, "clients": clients, **macs})
    with TemporaryDirectory() as place:
        program = Path(place, "pages")
        subprocess.run(["cc", "-O2", "-static", "-o", program, _PAGES], check=True)
        target = server.path(f"/srv/ltsp/{IMAGE}{_PLACE}")
        target.write_bytes(program.read_bytes())
        target.chmod(0o755)
    product.build(server, IMAGE, timeout=900)


def boot(server: Server, transport: str, level: int) -> Seen:
    """Boot a client until its login; ``level`` is that of its base."""
    client = power_on(server.session, server.lan, name=f"root-{transport}", mac=TRANSPORTS[transport])
    try:
        client.login_prompt(900)
        marks = client.timeline()
        received = marks["login"].received - marks["network"].received
        available = client.shell("sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo", 600)
        listed = client.shell(f"cd {_LAYERS} && find * -xdev -type f | {_PLACE}", 900)
        needed = measure(listed, level)
        seen = Seen(received, needed, marks["login"].seconds, int(available))
    finally:
        client.off()
    say(f"{transport}: {seen.words()}")
    return seen


def pieces(listed: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield each file's path in the root and its pieces in bytes, of what pages.c prints below the layers."""
    for line in listed.splitlines():
        ranges, _, name = line.strip().partition(" ")
        found = [each.partition("-") for each in ranges.split(",")]
        yield name.partition("/")[2], [(int(a) * PAGE, int(b) * PAGE) for a, _, b in found]


def measure(listed: str, level: int) -> int:
    """Return the bytes of a squashfs of just the parts of files that are in memory, packed as a base is."""
    source = trees.tree(TREE)
    with TemporaryDirectory() as place:
        home = Path(place, "parts")
        for name, found in pieces(listed):
            if not (file := source / name).is_file() or file.is_symlink():
                continue
            target = home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "rb") as opened, open(target, "wb") as out:
                for start, end in found:
                    opened.seek(start)
                    out.write(opened.read(end - start))
        packed = Path(place, "packed")
        argv = ["mksquashfs", str(home), str(packed), "-quiet", "-no-progress", "-comp", "zstd"]
        subprocess.run(
            [*argv, "-Xcompression-level", str(level)], check=True, stdout=subprocess.DEVNULL, timeout=600
        )
        return packed.stat().st_size


def figures(before: Mapping[str, Seen], after: Mapping[str, Seen]) -> Iterator[Figure]:
    """Yield a line for each transport, without a test's list and with it."""
    for when, seen in (("never tested", before), ("after a test", after)):
        for transport, each in seen.items():
            bars = (1.3, 13.0) if seen is after else (None, None)
            ratio, name = each.received / max(1, each.needed), f"{transport}, {when}"
            yield Figure(f"bytes read of the root / bytes needed, {name}", ratio, bars[0], note=each.words())
            size = each.received / 1e6
            yield Figure(f"bytes of the root until login, {name}", size, bars[1], " MB", digits=1)


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/root", description="Boot clients before and after a test of their image, and count bytes."
    )
    parser.parse_args()
    began = time.monotonic()
    with open_session() as session:
        server = start_server(session, make_lan(session), tree="trial-server", sources={IMAGE: TREE})
        prepare(server)
        before = {each: boot(server, each, context.LEVEL) for each in TRANSPORTS}
        order(server)
        say(f"the base has its order, {time.monotonic() - began:.0f} s after the start")
        after = {each: boot(server, each, fold.ORDERED) for each in TRANSPORTS}
    print(f"one emulated client with 1 GB, load {os.getloadavg()[2]:.1f} on {os.cpu_count()} processors")
    return show(list(figures(before, after)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
