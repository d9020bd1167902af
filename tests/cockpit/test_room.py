"""Five hundred clients and twenty images: each page is there at once, and one client's news costs little."""

import shlex
from collections.abc import Iterator
from statistics import median

import pytest

from tests.lab import cockpit, product
from tests.lab.cockpit import Cockpit

pytestmark = [pytest.mark.lab, pytest.mark.slow]
CLIENTS, IMAGES = 500, 20
# Milliseconds from the page's load to its first view, and of script for a change of one client.
FIRST_VIEW, SCRIPT = 1000, 200
_LOADED = """() => {
    const [load] = performance.getEntriesByType("navigation"), [view] = performance.getEntriesByName("view");
    return [load.loadEventEnd, view.startTime];
}"""


@pytest.fixture(scope="module")
def room(desk: Cockpit) -> Iterator[list[dict[str, str | int]]]:
    """Have the server know that many clients and images."""
    names = " ".join(f"/srv/ltsp/many{each:02}/usr/lib" for each in range(IMAGES))
    desk.server.run(f"mkdir -p {names} && ltspctl reload")
    clients = cockpit.room(CLIENTS)
    cockpit.report(desk.server, clients)
    desk.server.wait_for(lambda: len(product.status(desk.server)["Clients"]) >= CLIENTS)
    yield clients
    desk.server.run("rm -r /srv/ltsp/many*")
    product.forget_clients(desk.server)


def test_each_page_is_there_at_once(desk: Cockpit, room: list[dict[str, str | int]]) -> None:
    assert len(product.status(desk.server)["Images"]) >= IMAGES
    with desk.visit() as visit:
        tabs = [each.get_attribute("href") or "" for each in visit.frame.locator(".tabs a").all()]
    took: dict[str, int] = {}
    script: dict[str, int] = {}
    for tab in tabs:
        place = tab.removeprefix("#/")
        with desk.visit(place) as visit:
            loaded, seen = visit.frame.evaluate(_LOADED)
            took[place] = round(seen - loaded)
            visit.page.wait_for_timeout(1000)
            spent = []
            # Cockpit's own pages do something now and then, such as showing that somebody has logged in.
            for number in range(3):
                before = visit.scripts()
                error = f"It runs short of memory on {place or 'overview'} ({number})"
                cockpit.report(desk.server, [{**room[7], "Stage": "failed", "Error": error}])
                desk.server.wait_for(f"ltspctl client list --json | grep -q {shlex.quote(error)}")
                visit.page.wait_for_timeout(1000)
                spent.append(visit.scripts() - before)
            script[place] = round(median(spent) * 1000)
    print(f"first view after load, ms: {took}; script for one client, ms: {script}")
    assert max(took.values()) <= FIRST_VIEW
    assert 0 < max(script.values()) <= SCRIPT
