"""A client whose display manager logs somebody in, and nobody types a password."""

import pytest

from tests.desktop.conftest import School

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_a_session_begins_without_a_password(school: School) -> None:
    server = school.server
    desk = school.switch_on("kiosk", "52:54:00:67:f8:02", AUTOLOGIN="bert")
    # At the boot, and again after a logout.
    for _ in range(2):
        window = desk.enter("bert")
        assert "bert" in window.do("id -un").split()
        window.do("echo more >>visits")
        desk.forget("bert")
        desk.type("openbox --exit")
    desk.enter("bert")
    assert server.run("cat /home/bert/visits").split() == ["more"] * 2
    assert server.run("stat -c %U /home/bert/visits").strip() == "bert"
    # No greeter has come in between.
    assert not desk.client.shell("grep 'greeter session' /var/log/lightdm/lightdm.log* || :").strip()
    desk.client.off()
    # The key of the client has opened the home, and it is no password.
    ways = server.run("journalctl -q -u ltspd-login | grep -oE 'Accepted [a-z/-]+ for bert' | sort -u")
    assert ways.splitlines() == ["Accepted publickey for bert"]
    server.run("rm /home/bert/visits")
    desk.forget("bert")
