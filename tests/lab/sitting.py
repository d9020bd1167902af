"""Everybody of the lab's server logs in at a client's consoles: each state of an account, in one boot."""

from tests.lab.client import Client
from tests.lab.people import CLASS, LENA, PEOPLE, code
from tests.lab.person import PASSWORD, Person, Visit, at_console, at_next_console
from tests.lab.server import Server

# An account of the images themselves, which the server does not know.
OWN, OWN_PASSWORD = "keeper", "Iron-Badger-0"
CURRENT, NEW, AGAIN = "[Cc]urrent [Pp]assword: ", "(?<!Retype )[Nn]ew [Pp]assword: ", "Retype new password: "
_WHOLE = "Fresh-Mouse-11"


def add_own_account(school: Server, image: str) -> None:
    """Give the source of an image an account of its own, without a password."""
    school.run(f"chroot /srv/ltsp/{image} useradd --uid 900 --create-home --shell /bin/bash {OWN}")


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


def everybody(school: Server, client: Client) -> None:
    """Have everybody log in at a client that has two consoles, and shows its login prompt at the first."""
    # A late driver's words would stand beside a prompt.
    client.shell("dmesg -n 1")
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
