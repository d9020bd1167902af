"""SESSION=x11: people are asked once, and see a session of the server."""

import pytest

from tests.lab.desk import Desk
from tests.sessions.conftest import DEBIAN_13, NAME, Hall, lets_in, reads

pytestmark = [pytest.mark.lab, pytest.mark.slow]
ASKED = "This screen shows a session of the server"
# The client's side of connections to its display.
_PLAIN = "ss -Htn state established '( sport = :6000 )'"
_LISTENS = "ss -Htln '( sport = :6000 )'"


def work(desk: Desk) -> None:
    """Type in the session that has begun, and end it; nothing of it stays."""
    reads(desk, f"Session on the server for {NAME}", "session")
    desk.type("echo secret letter; touch by-x11")
    desk.server.wait_for(f"[ $(stat -c %U /home/{NAME}/by-x11) = {NAME} ]")
    reads(desk, "(?i)secret letter", "letter")
    desk.type("exit")
    assert "secret" not in reads(desk, f"{ASKED}.*Name:", "name-after")
    desk.server.wait_for(f"! pgrep -u {NAME} -x xterm")
    desk.server.run(f"rm /home/{NAME}/by-x11")


def test_a_session_of_the_server(hall: Hall) -> None:
    server = hall.server
    with hall.switched_on("52:54:00:67:f7:20", SESSION="x11") as desk:
        lets_in(desk, ASKED, "name", "wrong")
        reads(desk, "Permission denied.*Press Enter", "denied")
        desk.type("")
        lets_in(desk, ASKED, "name-again")
        server.wait_for(f"pgrep -u {NAME} -x xterm")
        # Who listens on the network reads nothing of it.
        assert not desk.client.shell(f"{_PLAIN}; {_LISTENS}").strip()
        work(desk)
        # The server goes away, and comes back.
        lets_in(desk, ASKED, "name-third")
        assert "secret" not in reads(desk, "Session on the server", "session-again")
        # Since OpenSSH 9.8 a program of another name has the session.
        server.run(f"systemctl stop ssh; pkill -u {NAME} -x 'sshd|sshd-session'")
        reads(desk, "The server .* does not answer.*refused", "away")
        server.run("systemctl start ssh")
        reads(desk, f"{ASKED}.*Name:", "back")


@pytest.mark.parametrize("hall", [pytest.param(DEBIAN_13, id="trixie")], indirect=True)
def test_a_session_that_the_network_can_read(hall: Hall) -> None:
    with hall.switched_on("52:54:00:67:f7:21", SESSION="x11", X11_UNENCRYPTED="1") as desk:
        lets_in(desk, ASKED, "name")
        hall.server.wait_for(f"pgrep -u {NAME} -x xterm")
        assert desk.client.shell(_PLAIN).strip()
        assert desk.client.shell(_LISTENS).strip()
        work(desk)
