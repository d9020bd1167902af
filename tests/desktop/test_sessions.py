"""SESSION: the screen shows one thing alone, in place of the display manager that the image has."""

import re

import pytest

from tests.lab.desk import Desk
from tests.lab.people import PEOPLE
from tests.lab.school import School

# A window as large as the screen, in which somebody can type.
PROGRAM = (
    'xterm -geometry "$((WIDTH / 20))x20+0+0" -fa Mono -fs 24 -e sh -c "echo Welcome to the library; exec sh"'
)
pytestmark = [pytest.mark.lab, pytest.mark.slow]


def read(desk: Desk, pattern: str) -> None:
    """Wait until the screen has words that fit a pattern."""
    desk.keep(
        re.sub(r"\W+", "-", pattern), until=lambda: re.search(pattern, desk.client.screen.look().words())
    )


def test_a_shell_on_the_server(school: School) -> None:
    server = school.server
    desk = school.switch_on("terminal", "52:54:00:67:f8:03", SESSION="terminal")
    read(desk, "This console works on the server .*Name:")
    desk.type("bert")
    read(desk, "[Pp]assword:")
    desk.type("wrong")
    read(desk, "Permission denied.*Press Enter")
    desk.type("")
    read(desk, "This console works on the server .*Name:")
    server.run("systemctl stop ssh")
    desk.client.shell("systemctl restart ltsp-session")
    read(desk, "The server .* does not answer")
    server.run("systemctl start ssh")
    read(desk, "This console works on the server .*Name:")
    desk.type("bert")
    read(desk, "[Pp]assword:")
    desk.type(PEOPLE["bert"].password)
    server.wait_for("pgrep -u bert bash")
    desk.type("touch by-terminal; echo secret letter")
    server.wait_for("[ $(stat -c %U /home/bert/by-terminal) = bert ]")
    read(desk, "secret letter")
    assert desk.client.shell("systemctl is-active display-manager || :").strip() == "inactive"
    desk.type("exit")
    read(desk, "This console works on the server .*Name:")
    # Nothing of the person before is on the screen.
    assert "secret" not in desk.client.screen.look().words()
    assert desk.client.shell(
        "grep -E 'CapBnd|NoNewPrivs' /proc/$(pgrep -ou ltsp-session)/status"
    ).split() == [
        *("CapBnd:", "0000000000000000"),
        *("NoNewPrivs:", "1"),
    ]
    desk.client.off()
    server.run("rm /home/bert/by-terminal")


def test_a_program_alone_on_the_screen(school: School) -> None:
    desk = school.switch_on("kiosk", "52:54:00:67:f8:04", SESSION="kiosk", KIOSK_COMMAND=PROGRAM)
    read(desk, "Welcome to the library")
    assert desk.client.shell("systemctl is-active display-manager || :").strip() == "inactive"
    status = desk.client.shell("cat /proc/$(pgrep -u ltsp-session -x xterm)/status")
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    # What somebody has left is gone when it begins again.
    desk.type("touch left /tmp/left; sleep 4711 &")
    desk.wait_for(
        "[ -e /run/kiosk/left ] && ls /tmp/systemd-private-*/tmp/left && pgrep -u ltsp-session -x sleep"
    )
    desk.client.shell("pkill -u ltsp-session -x xterm")
    desk.wait_for("[ ! -e /run/kiosk/left ] && pgrep -u ltsp-session -x xterm")
    read(desk, "Welcome to the library")
    assert "left" not in desk.client.screen.look().words()
    assert not desk.client.shell(
        "ls /tmp/systemd-private-*/tmp/left 2>/dev/null; pgrep -u ltsp-session -x sleep || :"
    ).strip()
    assert desk.client.shell("grep -c ' /run/kiosk ' /proc/mounts").strip() == "1"
    # It can be ended by whoever administers the client.
    desk.client.shell("systemctl stop ltsp-session")
    desk.wait_for("! pgrep -u ltsp-session")
    desk.client.off()
