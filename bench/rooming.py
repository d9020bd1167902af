"""A room that boots at once, from LTSP and from ltspd: simulated clients that do what a real one did."""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import link, peer, product
from bench.boot import PEER_ROOT, PRODUCT_ROOT, boot
from bench.figures import Figure, show
from bench.measure import TROUBLE, say
from bench.recording import Recorded, record
from bench.room_files import Machine, Outcome, Room
from bench.room_report import HURRIED, LAST_OF, THEIRS, Run, figures
from bench.spending import spending
from bench.steps import Found, plan, steps
from tests.lab.net import SERVER_ADDRESS
from tests.lab.product import configure
from tests.lab.server import Server
from tests.lab.session import Session, open_session

# A network of 22 bits has an address for each of 250 clients and more.
PREFIX = 22
_THEIR_RANGE = "192.168.64.20,192.168.67.250"
# Somebody switches a room on by one switch, or a class sits down: all within so many seconds.
WITHIN = 2.0
_SEED = 13
# Real clients among simulated ones, and how many there are in all.
REAL, AMONG = 2, 30
_REAL_MACS = ("52:54:00:67:be:11", "52:54:00:67:be:12")
_TFTP = Path(__file__).with_name("tftp.c")


@dataclass(slots=True)
class Side:
    """A server, its room, and what was recorded there, by the name of the root."""

    server: Server
    netns: str
    machines: list[Machine]
    tftp: Path
    recorded: dict[str, Recorded] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)

    def keep(self, root: str, recorded: Recorded, mac: str) -> None:
        """Take a recording apart, and tell what it consists of."""
        found = steps(recorded.packets.read_bytes(), mac, SERVER_ADDRESS, recorded.login)
        recorded.packets.unlink()
        self.recorded[root], self.found[root] = recorded, found
        ways: dict[str, int] = {}
        for step in found.steps:
            ways[step.way] = ways.get(step.way, 0) + 1
        told = ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))
        left = f"; left out: {', '.join(sorted(set(found.left)))}" if found.left else ""
        say(f"{root}: {recorded.boot.words()}; steps: {told}{left}")


def compiled(session: Session) -> Path:
    """Return the program for TFTP."""
    made = session.directory / "tftp"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(made), str(_TFTP)], check=True)
    return made


def seated(undo: ExitStack, server: Server, many: int, recorded: Sequence[str]) -> Side:
    """Give a server its room. Each client has the address that an earlier boot has left it."""
    netns, cards = undo.enter_context(link.room(server.lan, many, PREFIX))
    machines = []
    for number, card in enumerate(cards):
        mac = link.mac(number)
        address = link.lease(netns, card, mac)
        subprocess.run(["ip", "-n", netns, "address", "add", f"{address}/{PREFIX}", "dev", card], check=True)
        machines.append(Machine(card, mac, address))
    # So have the real ones; the first answer to a stranger comes late.
    for mac in recorded:
        link.lease(netns, cards[0], mac)
    return Side(server, netns, machines, compiled(server.session))


def serve_theirs(server: Server, files: int) -> None:
    """Have LTSP serve, to as many clients as we have; ``files`` by TFTP at a time, 0: as LTSP sets it up."""
    peer.serve(server)
    if files:
        server.write("/etc/dnsmasq.d/more-files.conf", f"tftp-max={files}\n")
    server.run(
        f"sed -i 's/^dhcp-range=192.168.67.20.*/dhcp-range={_THEIR_RANGE},12h/' "
        "/etc/dnsmasq.d/ltsp-dnsmasq.conf && "
        "systemctl restart dnsmasq"
    )


def simulate(
    side: Side,
    root: str,
    many: int,
    think: float,
    at_once: int = 0,
    real: Callable[[], None] | None = None,
) -> Run:
    """Have so many simulated clients boot; return what was seen. ``real`` is run meanwhile.

    ``think`` and ``at_once`` are those of `Room`.
    """
    session, recorded, found = side.server.session, side.recorded[root], side.found[root]
    chance = random.Random(_SEED)
    machines = tuple(
        Machine(each.device, each.mac, each.address, chance.uniform(0, WITHIN) if many > 1 else 0.0)
        for each in side.machines[:many]
    )
    latest = max((step.end or step.start for step in found.steps), default=found.began)
    room = Room(
        server=SERVER_ADDRESS,
        recorded=Machine("", _mac(root), found.address),
        machines=machines,
        steps=tuple(plan(found.steps)),
        tail=recorded.login - latest,
        tftp=str(side.tftp),
        think=think,
        at_once=at_once,
    )
    file, told = session.directory / "room.json", session.directory / "room-told.json"
    room.save(file)
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.simulating", str(file), str(told)]
    before, idle = link.carried(side.server.lan), _idle()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with spending(side.server) as spent:
        process = session.start(command, log=f"room-{root}-{many}.log", netns=side.netns)
        if real is not None:
            real()
        process.wait()
    seconds = time.monotonic() - began
    if not told.exists():
        raise RuntimeError(
            f"the simulated room ended by itself: {_end(session.logs / f'room-{root}-{many}.log')}"
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(told.read_text())
    run = Run(
        root=root,
        clients=many,
        think=think,
        outcomes=tuple(Outcome(**each) for each in answer["outcomes"]),
        carried=link.carried(side.server.lan) - before,
        processors=spent.processors,
        units=spent.units,
        memory=spent.most - spent.before,
        resent=answer["resent"],
        simulator=after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        idle=(_idle() - idle) / (seconds * (os.cpu_count() or 1)),
    )
    say(run.words())
    return run


def among(side: Side, root: str, place: str) -> Figure:
    """Have real clients boot among simulated ones; return how they compare."""
    logins: list[float] = []

    def real() -> None:
        with ThreadPoolExecutor(REAL) as pool:
            boots = [
                pool.submit(boot, side.server, place, f"real-{root.partition(' ')[0]}-{number}", mac)
                for number, mac in enumerate(_REAL_MACS)
            ]
            logins.extend(each.result().login for each in boots)

    run = simulate(side, root, AMONG - REAL, 1.0, real=real)
    first = side.found[root].began - side.recorded[root].began
    simulated = [each.login + first for each in run.outcomes if each.login is not None]
    alone = side.recorded[root].boot.login
    note = f"{_list(logins)} s beside {median(simulated):.1f} s; alone {alone:.1f} s; {run.words()}"
    return Figure(
        f"real clients over simulated ones, {root}, {REAL} among {AMONG - REAL}",
        median(logins) / median(simulated),
        note=note,
    )


def _list(values: Sequence[float]) -> str:
    return " ".join(f"{each:.1f}" for each in values)


def _mac(root: str) -> str:
    return product.TRANSPORTS.get(root, peer.MAC)


def _idle() -> float:
    """Return the seconds that processors had nothing to do (proc_stat(5))."""
    words = Path("/proc/stat").read_text().split(maxsplit=6)
    return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")


def _end(log: Path) -> str:
    return log.read_text()[-500:]


def recordings(theirs: Side, ours: Side, roots: Sequence[str], hurried: bool) -> Iterator[tuple[str, Side]]:
    """Record a real client of each kind; yield the names of what is there, with its side."""
    theirs.keep(THEIRS, record(theirs.server, PEER_ROOT, "peer", peer.MAC), peer.MAC)
    yield THEIRS, theirs
    for root in roots:
        mac = product.TRANSPORTS[root]
        ours.keep(root, record(ours.server, PRODUCT_ROOT, f"product-{root}", mac), mac)
        yield root, ours
    if hurried:
        with peer.hurried(theirs.server):
            theirs.keep(HURRIED, record(theirs.server, PEER_ROOT, "peer-hurried", peer.MAC), peer.MAC)
        yield HURRIED, theirs


def measure(first: Session, second: Session, options: argparse.Namespace) -> Iterator[Figure]:
    """Measure; yield the figures."""
    clients = sorted({int(each) for each in options.clients.split(",")})
    roots = [each for each in options.roots.split(",") if each]
    theirs, ours = peer.start(first, prefix=PREFIX), product.start(second, prefix=PREFIX, testing=True)
    configure(ours, {mac: {"ROOT_TRANSPORT": roots[0]} for mac in _REAL_MACS})
    say(f"LTSP's image: {peer.build(theirs).words()}")
    say(f"ltspd's image: {product.build(ours).words()}")
    product.order(ours)
    say("ltspd's image was tested, and has its order")
    serve_theirs(theirs, options.tftp_max)
    runs: list[Run] = []
    wrong: dict[str, str] = {}
    with ExitStack() as undo:
        sides = [
            seated(undo, server, max([*clients, AMONG]), macs)
            for server, macs in (
                (theirs, [peer.MAC, *_REAL_MACS]),
                (ours, [*(product.TRANSPORTS[root] for root in roots), *_REAL_MACS]),
            )
        ]
        known = dict(recordings(sides[0], sides[1], roots, options.hurried))
        for side in sides:
            undo.enter_context(link.shaped(side.server.lan))
            reached = link.reached(side.server.lan, side.netns)
            yield Figure("one raw transfer over the shaped cable", reached * 8e-6, None, " Mb/s", digits=0)
        for _ in range(options.runs):
            for many in clients:
                for root, side in known.items():
                    if (root == "http" and many > options.http_most) or (root == HURRIED and many != LAST_OF):
                        continue
                    try:
                        with peer.hurried(side.server) if root == HURRIED else nullcontext():
                            runs.append(simulate(side, root, many, options.think, options.at_once))
                    except TROUBLE as error:
                        wrong[f"{root} {many}"] = f"{type(error).__name__}: {error}"
                        say(f"{root}, {many} clients: {error}")
        if options.real:
            yield among(sides[0], THEIRS, PEER_ROOT)
            yield among(sides[1], roots[0], PRODUCT_ROOT)
        recorded = {**sides[0].recorded, **sides[1].recorded}
    yield from figures(runs, recorded, wrong)


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/room",
        description="Boot a whole room at once, from LTSP and from ltspd, by a cable of 1 Gb/s.",
    )
    add = parser.add_argument
    add(
        "--clients",
        default="1,30,100,250",
        help="how many simulated clients, in turns (default: %(default)s)",
    )
    add("--roots", default="nfs", help="ltspd's transports, of nfs, nbd and http (default: %(default)s)")
    add("--runs", type=int, default=1, help="runs of each (default: %(default)s)")
    add(
        "--think",
        type=float,
        default=1.0,
        help="factor of the clients' times to think (default: %(default)s)",
    )
    add(
        "--at-once",
        type=int,
        default=0,
        help="clients that get a large file by HTTP at a time (default: all)",
    )
    add(
        "--tftp-max",
        type=int,
        default=0,
        help="files that LTSP's dnsmasq serves at a time (default: its own, 50)",
    )
    add("--http-most", type=int, default=100, help="most clients with a root by http (default: %(default)s)")
    add("--no-real", dest="real", action="store_false", help="no real clients among the simulated ones")
    add("--no-hurried", dest="hurried", action="store_false", help="LTSP only as it is")
    options = parser.parse_args()
    began = time.monotonic()
    with open_session() as first:
        # A session's logs are named after the second it was opened in.
        time.sleep(1)
        with open_session() as second:
            found = list(measure(first, second, options))
    minutes = (time.monotonic() - began) / 60
    load = f"load {os.getloadavg()[2]:.1f} on {os.cpu_count()} processors"
    print(f"{options.runs} run(s) of {options.clients} clients in {minutes:.0f} min, {load}")
    return show(found)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
