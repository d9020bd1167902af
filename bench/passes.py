"""A pass of the daemon with thousands of clients in ltsp.conf: its cost, and how long it blocks the bus."""

import asyncio
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface
from statistics import median

from bench.figures import Figure
from bench.served import school
from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.model.image import Image
from ltspd.model.network import Link, LinkKind
from ltspd.outputs import outputs
from tests.worlds.bus import get_all
from tests.worlds.daemon import World, open_world
from tests.worlds.planning import programs, world

CLIENTS, TIMES, CHANGES = 2000, 5, 5
CONF = "/etc/ltsp/ltsp.conf"


def conf(mark: int = 0) -> str:
    """Return an ltsp.conf with a section for each client; another ``mark`` makes another file."""
    sections = (
        f"[52:54:00:00:{n >> 8:02x}:{n & 255:02x}]\nHOSTNAME=pc{n}\nKERNEL_PARAMETERS='mark={mark} pc={n}'\n"
        for n in range(CLIENTS)
    )
    return "[clients]\nSEARCH_DOMAIN=school.example\nDNS_SERVER=10.0.0.1\n" + "".join(sections)


def figures() -> Iterator[Figure]:
    """Yield the figures; needs root, for a network of the daemon's own."""
    took = [_pass(number) for number in range(TIMES)]
    note = f"of a processor, median of {TIMES}, worst {max(took):.2f} s; reading, planning and rendering"
    yield Figure("a pass with 2,000 clients in ltsp.conf", median(took), 0.3, " s", note, 2)
    worst, reads = asyncio.run(_waiting())
    note = f"worst of {reads} reads of a property while {CHANGES} such files come into force in turn"
    yield Figure("the event loop is blocked at most", worst * 1000, 50, " ms", note, 1)


def _pass(mark: int) -> float:
    images = tuple(Image(each.name, each.generations, each.current) for each in school().images)
    link = Link("eth0", 2, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface("192.168.67.1/24"),))
    facts = Facts(links=(link,), images=images, programs=programs("dnsmasq", "ganesha.nfsd"))
    began = time.process_time()
    outputs(world(load({CONF: conf(mark)}), facts))
    return time.process_time() - began


async def _waiting() -> tuple[float, int]:
    """Return the time of the slowest read of a property while files came into force, and how many reads."""
    async with open_world() as world:
        world.publish("x86_64", 1)
        await world.ready()
        await world.settled()
        worst, reads = 0.0, 0
        for mark in range(CHANGES):
            world.write(CONF, conf(mark))
            while f"mark={mark} " not in _menu(world):
                began = time.perf_counter()
                await get_all(world.bus, "Manager")
                worst = max(worst, time.perf_counter() - began)
                reads += 1
        return worst, reads


def _menu(world: World) -> str:
    """Return the boot menu, which tells clients apart by their sections."""
    return (world.paths.tftp_dir / "ltsp.ipxe").read_text()
