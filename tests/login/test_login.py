"""Somebody types at a client's consoles: every state that an account of the server can be in, in one boot."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.lab.client import Client, power_on
from tests.lab.homes import cut
from tests.lab.people import PEOPLE
from tests.lab.person import PASSWORD, Person, at_console
from tests.lab.product import configured
from tests.lab.server import Server
from tests.lab.sitting import everybody
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Seconds that a client's cable is out: TCP has to send again, and waits about as long once more.
CUT = 5


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


def test_people_log_in(school: Server, client: Client) -> None:
    everybody(school, client)


def test_a_cable_may_be_out_before_the_name_or_the_password(client: Client) -> None:
    bert = Person("bert", client.consoles[0], asked=True)
    cut(client, off=True)
    visit = bert.log_in()
    assert "The login server can't be reached" in visit.text
    cut(client, off=False)
    bert.console.type("bert\n")
    bert.console.expect(PASSWORD, PATIENCE)
    cut(client, off=True)
    bert.console.type(f"{PEOPLE['bert'].password}\n")
    time.sleep(CUT)
    cut(client, off=False)
    bert.console.expect(r"^bert@\S+ ?\$ $", PATIENCE)
    assert bert.do("findmnt -n -o FSTYPE ~").strip() == "fuse.sshfs"
    bert.log_out()


def test_one_person_logs_in_twice_at_the_same_moment(client: Client) -> None:
    # Her last session has just ended.
    anna, other = at_console(client, "anna"), Person("anna", client.consoles[0], asked=True)
    password = (PASSWORD, PEOPLE["anna"].password)
    assert anna.log_in(password).inside
    anna.log_out()
    with ThreadPoolExecutor() as pool:
        visits = list(pool.map(lambda each: each.log_in(password), (anna, other)))
    assert [each.inside for each in visits] == [True, True], visits
    anna.do("echo both >meeting")
    assert other.do("cat meeting") == "both\n"
    other.log_out()
    assert anna.do("cat meeting") == "both\n"
    anna.log_out()
