"""Somebody at lightdm's greeter on a client's screen: types a name and answers, and reads what is said."""

from tests.lab.desk import Desk

_LOG = "/var/log/lightdm/lightdm.log"
# It asks, or says something; the greeter or the person's session begins; PAM has judged.
_ASKED, _BEGINS = "Prompt greeter with", "Running command"
_JUDGED = "Authentication complete with return value"


def try_greeter(desk: Desk, name: str, *answers: str) -> list[str]:
    """Type a name and answers at the greeter, each when it is asked for; return what it said after each.

    Returns when PAM has judged. What a greeter said before it made room for a session is there, too.
    """
    # It has come after whatever was there before.
    desk.wait_for(f"tac {_LOG} | grep -m 1 '{_ASKED}\\|{_BEGINS}' | grep '{_ASKED}'")
    desk.client.screen.put_pointer_away()
    desk.keep(f"greeter-{name}")
    said = []
    if "for" in _last(desk, f"{_BEGINS}\\|start authentication for").split():
        # Back from the answer to the name, which is selected then: what is typed takes its place.
        desk.client.screen.press("shift", "tab")
    for number, each in enumerate((name, *answers), 1):
        picture = f"greeter-{name}-{number}"
        happened = desk.lines(_LOG, _ASKED if number <= len(answers) else _JUDGED)
        desk.type(each)
        if number <= len(answers):
            said.append(desk.keep(picture, until=happened).words())
        else:
            said.append(desk.watch(picture, until=happened))
    if not is_in(desk):
        said[-1] = desk.keep(f"greeter-{name}-refused").words()
    return said


def is_in(desk: Desk) -> bool:
    """Tell whether PAM has let the last one in."""
    return f"{_JUDGED} 0" in _last(desk, _JUDGED)


def _last(desk: Desk, words: str) -> str:
    return desk.client.shell(f"tac {_LOG} | grep -m 1 '{words}' || :")
