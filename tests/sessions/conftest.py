"""Servers of two releases with people, and for each an image of what screens without a desktop need.

What the screens showed is kept as pictures among the logs of the run.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.desk import Desk
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session
from tests.patience import PATIENCE

# Root trees of a server, and of images for its clients: the first one is of the same release.
DEBIAN_12 = "session-server", ("sessions",)
DEBIAN_13 = "trixie-session-server", ("trixie-sessions", "sessions")
NAME, PASSWORD = "anna", "Blue-Whale-7"
# What a session of hers is: one window, under the pointer, because there is no window manager.
_SHOWN = "sh -c 'echo Session on the server for $USER; exec sh'"
_XSESSION = f"exec xterm -geometry 79x24+0+0 -fa Mono -fs 20 -e {_SHOWN}\n"

# What a screen of a library shows, in another language than that of its browser.
PAGE = """\
<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Timetable</title>
<style>
  body { margin: 60px; background: white; font: bold 40px sans-serif }
  small { font: 16px sans-serif }
</style></head>
<body><p>Timetable of the library</p><p>Monday 8:15 Mathematics</p><p id="size">No script</p>
<small>Bitte bringen Sie Ihre Bücher rechtzeitig zurück, denn nach den Ferien werden sie von anderen
Schülerinnen und Schülern gebraucht. Am Montag beginnt der Unterricht um acht Uhr fünfzehn, danach folgt die
große Pause.</small>
<script>
  onresize = tell
  function tell() {
    document.getElementById("size").textContent = "Window " + innerWidth + " x " + innerHeight
  }
  tell()
</script></body></html>
"""


@dataclass(frozen=True, slots=True)
class Hall:
    """A server whose clients show sessions that run elsewhere; ``image`` is what they have."""

    server: Server
    image: str
    built: set[str] = field(default_factory=set)

    @contextmanager
    def switched_on(
        self,
        mac: str,
        *,
        image: str = "",
        memory: int = 2048,
        extra: tuple[str, ...] = (),
        **settings: str,
    ) -> Iterator[Desk]:
        """Switch a client on, and wait until its session has begun; it goes off in the end.

        ``image`` is another one than the hall's, ``memory`` is in MiB, ``extra`` are words for QEMU.
        """
        server, kind, image = self.server, settings["SESSION"], image or self.image
        if image not in self.built:
            product.build(server, image)
            self.built.add(image)
        product.configure(server, {mac: {"DEFAULT_IMAGE": image, "HOSTNAME": kind, **settings}})
        name = f"{kind}-{mac[-2:]}-{image}"
        client = power_on(
            server.session, server.lan, mac=mac, name=name, memory=memory, screen=True, extra=extra
        )
        try:
            client.login_prompt()
            desk = Desk(server, client)
            desk.wait_for("systemctl is-active ltsp-session")
            yield desk
        finally:
            client.off()


def reads(desk: Desk, pattern: str, name: str, timeout: float = PATIENCE) -> str:
    """Wait until the screen has words that fit a pattern, keep the picture, and return all its words."""
    words = ""

    def there() -> bool:
        nonlocal words
        words = desk.client.screen.look().words()
        return re.search(pattern, words) is not None

    try:
        desk.wait_until(there, timeout)
    except TimeoutError:
        said = desk.client.shell("journalctl --no-pager -q -b -n 80")
        raise TimeoutError(f"{pattern!r} is not on the screen, but {words!r}; the journal: {said}") from None
    finally:
        desk.client.screen.look().save(desk.server.session.logs / f"{desk.client.name}-{name}.png")
    return words


def lets_in(desk: Desk, asked: str, name: str, password: str = PASSWORD) -> None:
    """Type name and password when the screen asks for them."""
    # At the end of all words, as what was answered before may still be there for a moment.
    reads(desk, f"{asked}.*Name:.{{0,3}}$", name)
    desk.type(NAME)
    reads(desk, "[Pp]assword:", f"{name}-password")
    desk.type(password)


@pytest.fixture(scope="package", params=[DEBIAN_12, DEBIAN_13], ids=["bookworm", "trixie"])
def hall(request: pytest.FixtureRequest) -> Iterator[Hall]:
    tree, images = request.param
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=tree, sources={each: each for each in images})
        product.wait_until_up(server)
        product.configure(server, {})
        server.run(f"useradd --create-home --shell /bin/bash {NAME} && echo {NAME}:{PASSWORD} | chpasswd")
        # Programs look for the display that sshd makes at this name.
        server.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        server.write(f"/home/{NAME}/.xsession", _XSESSION)
        yield Hall(server, images[0])
    assert leftovers(session.name) == []
