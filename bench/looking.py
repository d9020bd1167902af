"""bench/cockpit: how soon the page in Cockpit is there, and what one client's news costs it."""

import argparse
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from bench.figures import Figure
from tests.lab import cockpit, product
from tests.lab.browser import open_browser
from tests.lab.cockpit import Cockpit
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import open_session

CLIENTS, IMAGES = 500, 20
ROOMS = 5
# The bars: milliseconds from the page's load to its first view, and of script for a change of one client.
FIRST_VIEW, SCRIPT = 1000.0, 200.0
# Milliseconds in which a page comes to rest after its first view, or after news.
REST = 1500
_TIMES = """() => {
    const [load] = performance.getEntriesByType("navigation"), [view] = performance.getEntriesByName("view");
    return view.startTime - load.loadEventEnd;
}"""


def prepare(server: Server) -> list[dict[str, str | int]]:
    """Have the server know the clients, in rooms, and sources of images; return what the clients report."""
    rooms = {f"room:lab{each}": {"MEMBERS": f"pc{each}*"} for each in range(ROOMS)}
    names = " ".join(f"/srv/ltsp/many{each:02}/usr/lib" for each in range(IMAGES))
    server.run(f"mkdir -p {names}")
    product.configure(server, rooms)
    clients = cockpit.room(CLIENTS)
    cockpit.report(server, clients)
    server.wait_for(lambda: len(product.status(server)["Clients"]) >= CLIENTS)
    server.wait_for(lambda: len(product.status(server)["Images"]) >= IMAGES)
    return clients


def measure(desk: Cockpit, runs: int) -> Iterator[Figure]:
    """Visit each page, time after time; yield its two figures."""
    clients = prepare(desk.server)
    with desk.visit() as visit:
        tabs = [each.get_attribute("href") or "" for each in visit.frame.locator(".tabs a").all()]
    pages = {each.removeprefix("#/"): each.removeprefix("#/") or "overview" for each in tabs}
    took, script = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for number in range(runs):
        for place, name in pages.items():
            with desk.visit(place) as visit:
                took[name].append(float(visit.frame.evaluate(_TIMES)))
                visit.page.wait_for_timeout(REST)
                visit.scripts()
                visit.page.wait_for_timeout(REST)
                # Cockpit's own pages do something now and then, such as showing that somebody has logged in.
                for again in range(3):
                    before = visit.scripts()
                    error = f"It runs short of memory in run {number}, {name} ({again})."
                    cockpit.report(desk.server, [{**clients[7], "Stage": "failed", "Error": error}])
                    desk.server.wait_for(f"ltspctl client list --json | grep -q {shlex.quote(error)}")
                    visit.page.wait_for_timeout(REST)
                    script[name].append((visit.scripts() - before) * 1000)
                cockpit.report(desk.server, [{**clients[7], "Stage": "login", "Error": ""}])
    for name in pages.values():
        note = f"median of {_list(took[name])}; {CLIENTS} clients, {IMAGES} images"
        yield Figure(f"{name}: first view after load", median(took[name]), FIRST_VIEW, " ms", note, 0)
        note = f"median of {_list(script[name])}; scripts of Cockpit included"
        yield Figure(
            f"{name}: script for a change of one client", median(script[name]), SCRIPT, " ms", note, 0
        )


def _list(values: list[float]) -> str:
    return " ".join(f"{each:.0f}" for each in values)


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(prog="bench/cockpit", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="visits of each page (default: %(default)s)")
    parser.add_argument(
        "--tree", default="cockpit-server", help="the server's root tree (default: Debian 12's)"
    )
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    missed = False
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=options.tree)
        product.wait_until_up(server)
        cockpit.start(server)
        # The browser's profile goes with the run.
        profiles = session.directory / "profiles"
        profiles.mkdir()
        os.environ["TMPDIR"] = str(profiles)
        with open_browser(session, server.lan.server) as browser:
            for figure in measure(Cockpit(server, browser), max(1, options.runs)):
                print(figure.line(), flush=True)
                missed |= figure.missed
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
