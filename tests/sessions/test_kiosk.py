"""SESSION=kiosk: a page of the server on a client's screen, shown again when its browser has ended."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.net import SERVER_ADDRESS, make_lan
from tests.lab.server import start_server
from tests.lab.session import leftovers, open_session
from tests.sessions.conftest import PAGE, Hall, reads

pytestmark = [pytest.mark.lab, pytest.mark.slow]
URL = f"http://{SERVER_ADDRESS}:8088/"
SERVE = "systemd-run --quiet --unit=lab-page python3 -m http.server 8088 --directory /srv/page"
SHOWN = "Timetable of the library.*Mathematics"
# Emulation carries a light browser; the command lines of the others are tested without a client.
COMMAND = f"exec netsurf-gtk --window_width=$WIDTH --window_height=$HEIGHT {URL}"


@pytest.fixture(scope="module")
def kiosks() -> Iterator[Hall]:
    with open_session() as session:
        server = start_server(session, make_lan(session), sources={"kiosks": "kiosks"})
        product.wait_until_up(server)
        product.configure(server, {})
        server.write("/srv/page/index.html", PAGE)
        server.run(SERVE)
        yield Hall(server, "kiosks")
    assert leftovers(session.name) == []


def test_a_page_in_a_light_browser(kiosks: Hall) -> None:
    with kiosks.switched_on(
        # A second processor draws while the first one works.
        "52:54:00:67:f7:50",
        memory=3072,
        extra=("-smp", "2"),
        SESSION="kiosk",
        KIOSK_COMMAND=COMMAND,
    ) as desk:
        reads(desk, SHOWN, "light")
        # What somebody has left is gone when it begins again.
        desk.client.shell("touch /run/kiosk/left && pkill -u ltsp-session -x netsurf-gtk")
        desk.wait_for("[ ! -e /run/kiosk/left ] && pgrep -u ltsp-session -x netsurf-gtk")
        reads(desk, SHOWN, "light-again")
