"""Each release's browsers as SESSION=kiosk starts them: on a real X, as an account that has nothing.

No machine is emulated here, because browsers are slow there.
"""

import functools
import http.server
import re
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.lab import trees
from tests.lab.screen import Picture
from tests.lab.session import Session, leftovers, open_session
from tests.patience import PATIENCE
from tests.sessions.conftest import PAGE

pytestmark = [pytest.mark.lab, pytest.mark.slow]
SIZE = 1280, 800
# Seconds after which Chromium has offered to translate a page, if it does.
_SOON = 10.0
HOME = "--tmpfs=/run/kiosk:mode=700,uid=61100,gid=61100"
SCRIPTS = "/live/session.sh /live/session-screen.sh /live/session-kiosk.sh"


def look(screen: Path) -> Picture:
    """Read what Xvfb keeps in its file: numbers of 32 bits, a table of colors, four bytes a pixel."""
    data = screen.read_bytes()
    header = struct.unpack(">25I", data[:100])
    start, (width, height), line, colors = header[0], header[4:6], header[12], header[19]
    rows = [data[start + 12 * colors + line * row :][: 4 * width] for row in range(height)]
    pixels = bytearray(3 * width * height)
    for color in range(3):
        pixels[color::3] = b"".join(row[2 - color :: 4] for row in rows)
    return Picture(width, height, bytes(pixels))


@pytest.fixture
def run() -> Iterator[Session]:
    with open_session() as session:
        yield session
    assert leftovers(session.name) == []


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Serve the page, and return its address."""
    (tmp_path / "index.html").write_text(PAGE)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("tree", "browser"),
    [("sessions", "chromium"), ("kiosks", "firefox-esr"), ("trixie-sessions", "firefox-esr")],
)
def test_a_page_fills_the_screen(run: Session, page: str, tree: str, browser: str) -> None:
    screen = run.directory / "Xvfb_screen0"
    number = f":{100 + run.directory.stat().st_ino % 50000}"
    size = "x".join(map(str, SIZE))
    run.start(["Xvfb", number, "-screen", "0", f"{size}x24", "-fbdir", f"{run.directory}"], log="x.log")
    known = f"DISPLAY={number} WIDTH={SIZE[0]} HEIGHT={SIZE[1]} HOME=/run/kiosk USER=ltsp-session"
    box = f"--register=no --keep-unit --as-pid2 --volatile=overlay --bind-ro=/bin/busybox:/busybox {HOME}"
    # All that its unit takes from it.
    nothing = "--reuid=61100 --regid=61100 --clear-groups --bounding-set=-all --no-new-privs"
    script = f'for each in {SCRIPTS}; do . "$each"; done; cd "$HOME"; browse "$1"'
    place = [f"--directory={trees.tree(tree)}", f"--bind-ro={REPOSITORY}/client/live:/live"]
    shown = run.start(
        [
            *("systemd-nspawn", "--quiet", f"--machine={run.name}", *box.split(), *place),
            *("env", *known.split(), f"browser=/usr/bin/{browser}"),
            *("setpriv", *nothing.split(), "/busybox", "sh", "-c", script, "sh", page),
        ],
        log="browser.log",
    )
    # Chromium's window is one point larger.
    wanted = r"Timetable of the library.*Window 128[01] x 80[01]\b"
    deadline, words, picture = time.monotonic() + PATIENCE, "", Picture(0, 0, b"")
    while not re.search(wanted, words):
        assert shown.poll() is None, (run.logs / "browser.log").read_text()
        assert time.monotonic() < deadline, words
        time.sleep(1)
        if screen.exists():
            picture = look(screen)
            words = picture.words()
    # Whatever a browser has to say beside the page, it says soon.
    time.sleep(_SOON)
    picture = look(screen)
    picture.save(run.logs / f"{tree}-{browser}.png")
    assert not re.search("German|English", picture.words())
    # Nothing of the browser is around the page.
    assert set(picture.rows()[0]) == set(picture.rows()[-1]) == {255}
