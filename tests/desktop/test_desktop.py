"""Somebody types at a client's screen: at the greeter, in the session, at what asks for a password there.

What the screen showed is kept as pictures among the logs of the run.
"""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.desk import SCRIPT, Desk, Window
from tests.lab.net import make_lan
from tests.lab.people import PEOPLE, make_people
from tests.lab.server import start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PASSWORD, CURRENT = "[Pp]assword: ", "[Cc]urrent [Pp]assword: "
NEW, AGAIN = "(?<!Retype )[Nn]ew [Pp]assword: ", "Retype new password: "
FRESH = "Fresh-Mouse-11"
_WINDOW = f"xterm -geometry 80x24+40+40 -e script -qf {SCRIPT} &\nlxpolkit &\n"
_LIGHTDM = "/var/log/lightdm/lightdm.log"


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Boot a server with people, and a client of its release with a screen and lightdm."""
    mac = "52:54:00:67:f8:01"
    with open_session() as session:
        server = start_server(session, make_lan(session), tree="login-server", sources={"desktop": "desktop"})
        product.wait_until_up(server)
        make_people(server)
        # openbox alone shows nothing.
        server.write("/srv/ltsp/desktop/etc/xdg/openbox/autostart", _WINDOW)
        product.configure(server, {mac: {"DEFAULT_IMAGE": "desktop", "HOSTNAME": "desk"}})
        product.build(server, "desktop")
        client = power_on(session, server.lan, mac=mac, name="desk", memory=2048, screen=True)
        client.login_prompt()
        yield Desk(server, client)
    assert leftovers(session.name) == []


def at_lightdm(desk: Desk, name: str, *answers: str) -> None:
    """Type a name and answers at lightdm's greeter, each when it is asked for; the last one is right."""
    # It has come after whatever was there before.
    desk.wait_for(
        f"tac {_LIGHTDM} | grep -m 1 'Prompt greeter with\\|Running command' | grep 'Prompt greeter with'"
    )
    desk.keep(f"greeter-{name}")
    for number, each in enumerate((name, *answers), 1):
        last = number == len(answers) + 1
        asked = desk.lines(_LIGHTDM, "Running command" if last else "Prompt greeter with")
        desk.type(each)
        if last:
            desk.wait_until(asked)
        else:
            desk.keep(f"greeter-{name}-{number}", until=asked)


def enter(desk: Desk, name: str) -> Window:
    """Wait for the session of somebody who has just been let in, and for the shell in its window."""
    window = Window(desk, name)
    window.expect(r"\$ $")
    assert desk.client.shell(f"findmnt -n -o FSTYPE /home/{name}").strip() == "fuse.sshfs"
    desk.keep(f"session-of-{name}")
    return window


def leave(desk: Desk, name: str) -> None:
    """Log out; nothing of the person is left then."""
    desk.type("openbox --exit")
    desk.wait_for(f"! findmnt -n /home/{name} && ! pgrep -u {name} && [ ! -e /run/user/$(id -u {name}) ]")
    # Each session writes a new one, and its commands are new files.
    desk.server.run(f"cd /home/{name} && rm {SCRIPT} do-*")


def polkit(desk: Desk, window: Window, password: str) -> None:
    """Be asked by the session's agent of polkit, on the screen."""
    comes = desk.comes()
    window.begin("pkexec id -un")
    desk.keep("polkit", until=comes)
    desk.type(password)
    assert "root" in window.end().split()


def lock(desk: Desk, window: Window, password: str) -> None:
    """Lock the screen; a wrong password does not open it, the right one does."""
    comes = desk.comes()
    window.begin("i3lock --nofork --color=204060")
    desk.keep("locked", until=comes)
    for each in ("wrong", password):
        judged = desk.judged(window.name)
        assert desk.client.shell("pgrep -x i3lock")
        desk.type(each)
        desk.keep("locked-answered", until=judged)
    window.end()


def test_a_day_at_a_desktop(desk: Desk) -> None:
    server, password = desk.server, PEOPLE["anna"].password
    server.run("cd /home/anna && runuser -u anna -- mkdir -p .config/systemd/user")
    unit = "[Service]\nType=oneshot\nExecStart=touch by-unit\n"
    server.write("/home/anna/.config/systemd/user/by-unit.service", unit)
    at_lightdm(desk, "anna", "wrong", password)
    anna = enter(desk, "anna")
    anna.do("echo hello >letter; echo '* * * * * touch ~/by-cron' | crontab -")
    # The session has a bus and a manager of units.
    assert 's "' in anna.do("busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId")
    anna.do("systemctl --user start by-unit")
    assert server.run("stat -c %U /home/anna/by-unit").strip() == "anna"
    polkit(desk, anna, password)
    lock(desk, anna, password)
    # The server's sshd for logins goes and comes; who is in goes on.
    server.run("systemctl stop ltspd-login")
    anna.do("cat letter && echo more >>letter")
    server.run("systemctl start ltspd-login")
    server.wait_for("test -e /home/anna/by-cron")
    anna.do("crontab -r")
    before = server.run("getent shadow anna")
    anna.do("passwd", (PASSWORD, password), (CURRENT, password), (NEW, FRESH), (AGAIN, FRESH))
    assert server.run("getent shadow anna") != before
    lock(desk, anna, FRESH)
    leave(desk, "anna")
    at_lightdm(desk, "anna", FRESH)
    anna = enter(desk, "anna")
    assert "more" in anna.do("cat letter")
    # The login has opened the keyring, to which passwd has given the new password, so nobody is asked.
    anna.do("printf hidden-words | secret-tool store --label=lab key lab")
    assert "hidden-words" in anna.do("secret-tool lookup key lab")
    leave(desk, "anna")
