"""SESSION=x11: people are asked once, and see a session of the server."""

import pytest

from tests.sessions.conftest import NAME, Hall, lets_in, reads

pytestmark = [pytest.mark.lab, pytest.mark.slow]
ASKED = "This screen shows a session of the server"


@pytest.mark.parametrize(("image", "unencrypted"), [("sessions", "0"), ("trixie-sessions", "1")])
def test_a_session_of_the_server(hall: Hall, image: str, unencrypted: str) -> None:
    server, mac = hall.server, f"52:54:00:67:f7:2{unencrypted}"
    with hall.switched_on(image, mac, SESSION="x11", X11_UNENCRYPTED=unencrypted) as desk:
        lets_in(desk, ASKED, "name", "wrong")
        reads(desk, "Permission denied.*Press Enter", "denied")
        desk.type("")
        lets_in(desk, ASKED, "name-again")
        reads(desk, "Session on the server for anna", "session")
        server.wait_for(f"pgrep -u {NAME} -x xterm")
        # Who listens on the network reads all that is shown there, or nothing.
        plain = desk.client.shell("ss -Htn state established '( sport = :6000 )'")
        assert bool(plain.strip()) == (unencrypted == "1")
        assert bool(desk.client.shell("ss -Htln '( sport = :6000 )'").strip()) == (unencrypted == "1")
        desk.type("echo secret letter; touch by-x11")
        server.wait_for(f"[ $(stat -c %U /home/{NAME}/by-x11) = {NAME} ]")
        reads(desk, "(?i)secret letter", "letter")
        desk.type("exit")
        assert "secret" not in reads(desk, f"{ASKED}.*Name:", "name-after")
        server.wait_for(f"! pgrep -u {NAME} -x xterm")
        # The server goes away, and comes back.
        lets_in(desk, ASKED, "name-third")
        assert "secret" not in reads(desk, "Session on the server", "session-again")
        server.run(f"systemctl stop ssh; pkill -u {NAME} -x sshd")
        reads(desk, "The server .* does not answer.*refused", "away")
        server.run("systemctl start ssh")
        reads(desk, f"{ASKED}.*Name:", "back")
    server.run(f"rm /home/{NAME}/by-x11")
