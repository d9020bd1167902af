"""Greeters besides lightdm's own: people log in, and are logged in without a password."""

from dataclasses import dataclass, field

import pytest

from tests.lab.desk import SCRIPT, Desk
from tests.lab.people import PEOPLE
from tests.lab.school import School, enter_again

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Greeter:
    """How a display manager's greeter asks for a name and a password, and what it says to whom it refuses.

    ``after`` ends the name, ``back`` are keys that lead from a refused password to the next name. ``mute``:
    the release of Debian in which it does not show what PAM says before a session.
    """

    asks: str
    asks_secret: str
    refused: tuple[str, str, str]
    mute: str = ""
    after: str = "\n"
    back: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    def say(self, desk: Desk, name: str, password: str, *, again: bool = False) -> None:
        """Type a name and a password."""
        desk.shows(self.asks)
        for keys in self.back if again else ():
            desk.client.screen.press(*keys.split("+"))
        desk.type(name, self.after)
        desk.shows(self.asks_secret)
        desk.type(password)


# The field for the name is empty and has the focus, and the theme has one. Qt 6 would have the emulated
# processor do the work of a graphics card.
_SDDM = """[Users]
RememberLastUser=false
[Theme]
Current=maldives
[General]
GreeterEnvironment=QT_QUICK_BACKEND=software"""
# Letters that are read from a screen may be others that look like them.
GREETERS = {
    "sddm": Greeter(
        *("User ?name", "Pass.+ord", ("bert", "wrong", "Login fa.+ed")),
        mute="12",
        after="\t",
        back=("shift+tab", "ctrl+a"),
        settings={"SDDM_CONF": _SDDM},
    ),
    "greetd": Greeter(
        *(r"login ?:\W*$|User ?name", r"Pass\w+ ?:\W*$"),
        ("gone", PEOPLE["gone"].password, "account has expired"),
    ),
}


@pytest.mark.parametrize("manager", GREETERS)
def test_people_log_in(school: School, manager: str) -> None:
    greeter = GREETERS[manager]
    settings = {"AUTOLOGIN": "bert", "RELOGIN": "0", **greeter.settings}
    desk = school.switch_on("one", "52:54:00:67:f8:05", manager, **settings)
    bert = desk.enter("bert")
    assert "bert" in bert.do("id -un").split()
    desk.leave("bert")
    name, password, words = greeter.refused
    greeter.say(desk, name, password)
    desk.shows(words)
    greeter.say(desk, "wanda", PEOPLE["wanda"].password, again=True)
    said = desk.watch("wanda", desk.server.path(f"/home/wanda/{SCRIPT}").exists)
    release = desk.client.shell(". /etc/os-release; echo $VERSION_ID").strip()
    assert ("will expire in 3 days" in said) == (greeter.mute != release)
    assert "wanda" in desk.enter("wanda").do("id -un").split()
    desk.leave("wanda")
    desk.client.off()


def test_sddm_logs_somebody_in_again_and_again(school: School) -> None:
    # The image has a session of Wayland as well, which comes first.
    enter_again(school, "sddm", "pgrep -u otto -x openbox", SDDM_CONF="Session=openbox")


def test_greetd_logs_somebody_in_again_and_again(school: School) -> None:
    enter_again(school, "greetd", "pgrep -u otto -x sway")
