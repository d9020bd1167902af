"""Somebody types at a client's consoles: every state that an account of the server can be in, in one boot."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab.client import Client, power_on
from tests.lab.people import CLASS, LENA, PEOPLE, code
from tests.lab.person import PASSWORD, Person, Visit, at_console, at_next_console
from tests.lab.product import configured
from tests.lab.server import Server
from tests.login.conftest import OWN, OWN_PASSWORD

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CURRENT, NEW, AGAIN = "[Cc]urrent [Pp]assword: ", "(?<!Retype )[Nn]ew [Pp]assword: ", "Retype new password: "
_WHOLE = "Fresh-Mouse-11"


@pytest.fixture(scope="module")
def client(school: Server) -> Iterator[Client]:
    """Boot a client of the release that the server has, with a second console."""
    mac = "52:54:00:67:f7:01"
    (version,) = school.run("cut -d. -f1 /etc/debian_version").split()
    image = {"12": "bookworm", "13": "trixie"}[version]
    with ExitStack() as undo:
        undo.enter_context(configured(school, {mac: {"DEFAULT_IMAGE": image, "HOSTNAME": "pc"}}))
        client = power_on(school.session, school.lan, mac=mac, name=f"login-{image}", consoles=1)
        undo.callback(client.off)
        client.login_prompt()
        yield client


class Sitting:
    """One person after the other at a console."""

    def __init__(self, person: Person) -> None:
        self.person = person

    def tries(self, name: str, *answers: tuple[str, str]) -> Visit:
        """Try to log in, with the right password first unless other answers are given."""
        password = LENA.password if name == "lena" else PEOPLE[name].password if name in PEOPLE else "x"
        visit = self.person.log_in(*((PASSWORD, password), *answers), name=name)
        self.person.name = name
        return visit

    def leaves(self) -> None:
        self.person.log_out()


def test_people_log_in(school: Server, client: Client) -> None:
    # Images have no password hashes, so who wants one for an account of the image sets it at boot.
    client.shell(f"echo {OWN}:{OWN_PASSWORD} | chpasswd")
    # On a busy machine, somebody who is asked five times may need more than the ten minutes that login gives.
    client.shell("grep -qx 'LOGIN_TIMEOUT 600' /etc/login.defs && sed -i 's/ 600$/&0/' /etc/login.defs")
    anna = at_console(client, "anna")
    assert "incorrect" in anna.log_in((PASSWORD, "wrong")).text
    first = anna.log_in((PASSWORD, PEOPLE["anna"].password))
    assert first.inside, first.text
    # The home is the server's, and what is written there is seen there.
    assert anna.do("findmnt -n -o FSTYPE ~").strip() == "fuse.sshfs"
    anna.do("echo hello >letter")
    assert school.run("cat /home/anna/letter; stat -c %U /home/anna/letter").split() == ["hello", "anna"]
    sitting = Sitting(at_next_console(client, "bert"))
    _others(school, sitting)
    _at_work(anna)
    # What a login needs was read before that.
    assert "ltsp-ahead.service: Deactivated successfully" in client.shell("journalctl -b -u ltsp-ahead")
    anna.log_out()


def _others(school: Server, sitting: Sitting) -> None:
    """Everybody else, at a second console, while anna works at the first."""
    visit = sitting.tries("bert")
    assert visit.inside, visit.text
    assert sitting.person.do("id -un").strip() == "bert"
    sitting.leaves()
    for name, words in (
        ("locked", "incorrect"),
        ("gone", "Your account has expired; please contact your system administrator."),
        ("nora", "nora may not log in"),
        ("nobody-knows", "incorrect"),
    ):
        visit = sitting.tries(name)
        assert not visit.inside, name
        assert words in visit.text, (name, visit.text)
    visit = sitting.tries("wanda")
    assert visit.inside, visit.text
    assert "expire in 3 days" in visit.text
    sitting.leaves()
    visit = sitting.tries("otto", ("One-time password", code(school)))
    assert visit.inside, visit.text
    sitting.leaves()
    stale = PEOPLE["stale"].password
    before = school.run("getent shadow stale").split(":")
    visit = sitting.tries("stale", (CURRENT, stale), (NEW, "abc"), (NEW, _WHOLE), (AGAIN, _WHOLE))
    assert visit.inside, visit.text
    assert "BAD PASSWORD" in visit.text
    after = school.run("getent shadow stale").split(":")
    assert after[1] != before[1]
    assert before[2] == "0"
    assert after[2] != "0"
    sitting.leaves()
    visit = sitting.tries("lena")
    assert visit.inside, visit.text
    assert CLASS in sitting.person.do("id -Gn").split()
    sitting.person.do("touch ~/mine")
    assert school.run("stat -c %U /home/lena/mine").strip() == "lena"
    sitting.leaves()
    # Who wants to can use an account that the server does not know.
    sitting.person.name = OWN
    assert sitting.person.log_in((PASSWORD, OWN_PASSWORD)).inside
    sitting.leaves()


def _at_work(anna: Person) -> None:
    """Ask for the password in a session, in every way."""
    password = PEOPLE["anna"].password
    asked = ("password for anna: ", password)
    assert "root" in anna.do("sudo -k; sudo id -un", asked).split()
    assert "bert" in anna.do("su -c 'id -un' bert", (PASSWORD, PEOPLE["bert"].password)).split()
    # A program without privileges, as a screen locker is.
    anna.do("pamtester login anna authenticate", (PASSWORD, password))
    assert anna.run("pamtester login anna authenticate", (PASSWORD, "wrong"))[1] != 0
