"""People at lightdm's greeter: each state an account can be in, and what the screen says."""

import re
from dataclasses import dataclass

import pytest

from tests.lab.desk import Desk
from tests.lab.greeter import is_in, try_greeter
from tests.lab.people import LENA, PEOPLE, code

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_FRESH = "Fresh-Mouse-12"


@dataclass(frozen=True, slots=True)
class Case:
    """Who types which password, what the screen says of it, and whether a session begins.

    ``before`` and ``after`` are commands on the server.
    """

    name: str
    password: str
    said: str
    inside: bool = False
    before: str = ":"
    after: str = ":"


def _right(name: str) -> str:
    return PEOPLE[name].password


_AWAY = "mv /home/bert /home/away", "mv /home/away /home/bert"
CASES = {
    "wrong": Case("bert", "wrong", "password is incorrect"),
    "locked": Case("locked", _right("locked"), "password is incorrect"),
    "expired": Case(
        "gone", _right("gone"), "Your account has expired; please contact your system administrator"
    ),
    "nologin": Case("nora", _right("nora"), "nora may not log in"),
    "no home": Case("bert", _right("bert"), "does not exist on the server", False, *_AWAY),
    "ages": Case("wanda", _right("wanda"), "password will expire in 3 days", True),
    "directory": Case("lena", LENA.password, "", True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_greeter_says_it(desk: Desk, case: Case) -> None:
    desk.server.run(case.before)
    try:
        _, said = try_greeter(desk, case.name, case.password)
    finally:
        desk.server.run(case.after)
    assert case.said in said
    assert is_in(desk) == case.inside
    if case.inside:
        assert case.name in desk.enter(case.name).do("id -un").split()
        desk.leave(case.name)


def test_no_server(desk: Desk) -> None:
    desk.server.run("systemctl stop ltspd-login")
    try:
        # Nobody is asked for a password.
        (said,) = try_greeter(desk, "bert")
    finally:
        desk.server.run("systemctl start ltspd-login")
    assert re.search("The login server can.t be reached.*Please try again later", said), said
    _, said = try_greeter(desk, "nora", "wrong")
    assert "password is incorrect" in said


def test_a_one_time_code(desk: Desk) -> None:
    _, asked, said = try_greeter(desk, "otto", _right("otto"), "000000")
    assert "One-time password" in asked
    assert "password is incorrect" in said
    _, asked, _ = try_greeter(desk, "otto", _right("otto"), code(desk.server))
    assert is_in(desk)
    desk.enter("otto")
    desk.leave("otto")


def test_an_expired_password_is_changed(desk: Desk) -> None:
    server, stale = desk.server, _right("stale")
    before = server.run("getent shadow stale").split(":")
    _, current, new, weak, again, _ = try_greeter(desk, "stale", stale, stale, "abc", _FRESH, _FRESH)
    assert "You are required to change your password" in current
    assert "Current password" in current
    assert "New password" in new
    assert "BAD PASSWORD" in weak
    assert "New password" in weak
    assert "Retype new password" in again
    after = server.run("getent shadow stale").split(":")
    assert after[1] != before[1]
    assert (before[2], after[2] != "0") == ("0", True)
    desk.enter("stale")
    desk.leave("stale")
