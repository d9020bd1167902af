"""Somebody works in a session on a client's screen, and is asked for the password there in many ways."""

import pytest

from tests.lab.desk import Desk, Window
from tests.lab.greeter import try_greeter
from tests.lab.people import PEOPLE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PASSWORD, CURRENT = "[Pp]assword: ", "[Cc]urrent [Pp]assword: "
NEW, AGAIN = "(?<!Retype )[Nn]ew [Pp]assword: ", "Retype new password: "
FRESH = "Fresh-Mouse-11"


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
    try_greeter(desk, "anna", password)
    anna = desk.enter("anna")
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
    before = server.run("getent shadow anna")
    anna.do("passwd", (PASSWORD, password), (CURRENT, password), (NEW, FRESH), (AGAIN, FRESH))
    assert server.run("getent shadow anna") != before
    lock(desk, anna, FRESH)
    desk.leave("anna")
    try_greeter(desk, "anna", FRESH)
    anna = desk.enter("anna")
    assert "more" in anna.do("cat letter")
    # The login has opened the keyring, to which passwd has given the new password, so nobody is asked.
    anna.do("printf hidden-words | secret-tool store --label=lab key lab")
    assert "hidden-words" in anna.do("secret-tool lookup key lab")
    desk.leave("anna")
