"""The page Network: what ltspctl says, at once; serving, set-ups of cards, and other DHCP servers."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.lab import cockpit, product
from tests.lab.browser import open_browser
from tests.lab.cards import OUTSIDE, WAN, Cards, cards
from tests.lab.cockpit import PERSON, Cockpit, Visit
from tests.lab.dhcp import Cable, Machine
from tests.lab.net import ip
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Milliseconds after which news is on the page, of a server that has said it already.
SOON = 1000
RIVAL = "192.168.67.254"


def rows(visit: Visit, table: str) -> list[list[str]]:
    """Return the texts of a table's cells, row by row."""
    return list(
        visit.frame.evaluate(
            """table => [...document.querySelectorAll(`${table} tbody tr`)].map(
                row => [...row.children].map(cell => cell.innerText.trim()))""",
            table,
        )
    )


def press(visit: Visit, name: str, within: str = "main") -> None:
    visit.frame.locator(within).get_by_role("button", name=name, exact=True).click()


def links(desk: Cockpit) -> list[Any]:
    return list(json.loads(desk.server.run("ltspctl link list --json")))


def states(desk: Cockpit) -> dict[str, str]:
    words = {"down": "Down", "up": "Up", "routable": "Up, leads outside"}
    return {each["Name"]: words[each["State"]] for each in links(desk)}


def is_said(desk: Cockpit, name: str, word: str) -> bool:
    return states(desk)[name] == word


def test_the_page_shows_what_ltspctl_says(desk: Cockpit) -> None:
    with desk.visit("network") as visit:
        visit.wait_for_text("#links", "lan0")
        found = {each[0]: each for each in rows(visit, "#links")}
        said = links(desk)
        assert set(found) == {each["Name"] for each in said}
        for each in said:
            name, state, addresses, role = found[each["Name"]]
            assert (state, addresses) == (states(desk)[name], ", ".join(each["Addresses"]) or "–")
            assert role.split()[0] == each["Dhcp"]
        assert "gives addresses and boots clients" in found["lan0"][3]
        visit.picture("cockpit-network-quiet")
        assert visit.faults() == []


def test_a_link_that_goes_down_shows_at_once(desk: Cockpit) -> None:
    desk.server.run("ip link add spare0 type bridge; ip link set spare0 up")
    try:
        with desk.visit("network") as visit:
            visit.wait_for_text("#links", "spare0")
            for state, word in (("down", "Down"), ("up", "Up")):
                desk.server.run(f"ip link set spare0 {state}")
                desk.server.wait_for(partial(is_said, desk, "spare0", word))
                visit.wait_for_text("#links tr", f"spare0\\s+{word}", timeout=SOON)
    finally:
        desk.server.run("ip link delete spare0")


def test_machines_get_no_answer_until_somebody_says_so(desk: Cockpit) -> None:
    with desk.visit("network") as visit:
        press(visit, "Stop answering")
        press(visit, "Stop answering", "dialog")
        visit.wait_for_text("#serving", "get no answer")
        assert product.status(desk.server)["Serving"] is False
        visit.wait_for_text("#links tr", "lan0.*off.*answers nothing")
        press(visit, "Answer machines")
        visit.wait_for_text("#serving", "are answered")
        visit.wait_for_text("#links tr", "lan0.*real")
        assert product.status(desk.server)["Serving"] is True


def test_an_unprivileged_person_sees_all_and_can_do_nothing(desk: Cockpit) -> None:
    with desk.visit("network", user=PERSON) as visit:
        visit.wait_for_text("#links", "lan0")
        visit.wait_for_text("main", "you may not change it")
        for name in ("Stop answering", "Show what would change"):
            button = visit.frame.locator("main").get_by_role("button", name=name, exact=True)
            assert button.get_attribute("aria-disabled") == "true"
            assert button.get_attribute("title") == "You are not allowed to do this."
            button.click(force=True)
        assert not visit.frame.locator("dialog").is_visible()
        # Who asks the daemon in another way is told the same.
        refused = visit.frame.evaluate(
            """async () => {
                const { Model } = await import("./bus.js");
                return new Model().manage("SetUp", "sa{sv}", ["dual", {}]).catch(error => error.message);
            }"""
        )
        assert "you are not authorized" in refused
        assert product.status(desk.server)["Serving"] is True
        assert visit.faults() == []


@contextmanager
def rival(desk: Cockpit) -> Iterator[None]:
    """Have another DHCP server in the room."""
    session, lan = desk.server.session, desk.server.lan
    netns = f"{session.name}-rival"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        ip(lan.switch, f"link add port-rival type veth peer name rival0 netns {netns}")
        ip(lan.switch, "link set port-rival master lan up")
        ip(netns, "link set lo up", f"address add {RIVAL}/24 dev rival0", "link set rival0 up")
        dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]
        dnsmasq += ["--interface=rival0", "--bind-interfaces", "--pid-file=", "--log-facility=-", "--no-ping"]
        dnsmasq += ["--dhcp-range=192.168.67.251,192.168.67.253,1h", "--dhcp-authoritative"]
        dnsmasq += [f"--dhcp-leasefile={session.directory}/rival.leases"]
        process = session.start(dnsmasq, log="rival.log", netns=netns)
        yield
        process.terminate()
        process.wait(PATIENCE)
    finally:
        subprocess.run(["ip", "netns", "delete", netns], check=True)
        # They remember it for an hour, and other tests have the same server.
        desk.server.run("systemctl stop ltspd-listener ltspd && systemctl start ltspd")
        product.settled(desk.server)


def test_leases_and_other_dhcp_servers_are_shown(desk: Cockpit) -> None:
    machine = Machine(0x67, broadcast=True)
    with desk.visit("network") as visit, closing(Cable(desk.server.lan.switch, "lan")) as cable:
        visit.wait_for_text("#links", "lan0")
        answer = cable.lease_at_last(machine)
        visit.wait_for_text("#leases", answer.address)
        known = next(
            each
            for each in json.loads(desk.server.run("ltspctl client list --json"))
            if each["Lease"] == answer.address
        )
        (row,) = (each for each in rows(visit, "#leases") if each[2] == answer.address)
        assert [row[1], row[4], row[5]] == [known["Mac"], known["LeaseServer"], "lan0"]
        with rival(desk):

            def heard() -> Any:
                # It takes a moment to start, so machines ask until it is heard.
                cable.discover(Machine(0x68, broadcast=True), Machine(0x69, broadcast=True))
                return next(each for each in links(desk) if each["Name"] == "lan0")["Servers"]

            desk.server.wait_for(heard)
            visit.wait_for_text("#rivals", RIVAL)
            (other,) = rows(visit, "#rivals")
            said = heard()
            assert [other[0], other[2], other[3]] == [RIVAL, "lan0", "gives addresses"]
            assert [each["Address"] for each in said] == [RIVAL]
            visit.picture("cockpit-network")
            assert visit.faults() == []


def test_lines_for_another_server_are_those_of_ltspctl(desk: Cockpit) -> None:
    with desk.visit("network") as visit:
        visit.wait_for_text("#links", "lan0")
        assert not visit.frame.locator("#foreign").is_visible()
        with product.configured(desk.server, {"server": {"DHCP_LINKS": "lan0=foreign"}}):
            visit.wait_for_text("#foreign h2", "another DHCP server")
            for kind in ("kea", "windows"):
                visit.frame.locator("#foreign-server").select_option(kind)
                shown = visit.frame.locator("#foreign-lines").text_content() or ""
                assert shown.strip() == desk.server.run(f"ltspctl foreign lan0 {kind}").strip()
            press(visit, "Copy")
            visit.wait_for_text(".toasts", "Copied")
            visit.frame.locator("#foreign").scroll_into_view_if_needed()
            visit.picture("cockpit-network-foreign")
            assert visit.faults() == []
        visit.frame.wait_for_selector("#foreign", state="hidden")


@pytest.mark.parametrize(
    ("dark", "size", "language"),
    [(True, (1280, 900), "de-DE"), (False, (360, 740), "fr-FR")],
    ids=["dark", "narrow"],
)
def test_it_can_be_read_in_the_dark_and_on_a_narrow_screen(
    desk: Cockpit, dark: bool, size: tuple[int, int], language: str
) -> None:
    with desk.visit("network", dark=dark, size=size, language=language) as visit:
        visit.wait_for_text("#links", "lan0")
        visit.picture(f"cockpit-network-{'dark' if dark else 'narrow'}")
        assert visit.faults() == []
        assert visit.frame.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


# ---- set-ups of cards -------------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> Iterator[tuple[Cards, Cockpit]]:
    """Make a server with two cards that systemd-networkd has; the second one has an address of its own."""
    with cards("cockpit-server", "systemd-networkd", outside=False) as found:
        path, text = OUTSIDE["systemd-networkd"]
        found.server.write(path, text)
        found.server.write(
            "/etc/systemd/network/60-room.network", "[Match]\nName=lan0\n[Network]\nAddress=10.7.0.2/24\n"
        )
        found.server.run("networkctl reload")
        found.server.wait_for("ip -4 address show lan0 | grep -q 10.7.0.2", 60)
        found.server.wait_for(f"ip -4 address show {WAN} | grep -q 10.0.3.", 60)
        found.server.wait_for("ltspctl status | grep -q 10.7.0.2", 60)
        cockpit.start(found.server)
        with open_browser(found.session, found.lan.server) as browser:
            yield found, Cockpit(found.server, browser)


def address_of(found: Cards) -> str:
    return found.server.run("ip -4 -o address show lan0")


def propose(visit: Visit) -> None:
    visit.frame.locator("#kind-dual").check()
    visit.frame.locator("#wan").select_option(WAN)
    visit.frame.locator("#lan").select_option("lan0")
    press(visit, "Show what would change")
    visit.frame.wait_for_selector("dialog .changes")


def test_two_cards_are_set_up_after_their_differences_and_undone(fresh: tuple[Cards, Cockpit]) -> None:
    found, desk = fresh
    run = found.server.run
    with desk.visit("network") as visit:
        visit.wait_for_text("#links", "lan0")
        propose(visit)
        said = json.loads(run("ltspctl setup dual --wan ext0 --lan lan0 --dry-run --json"))
        assert visit.frame.locator("dialog .changes li").all_inner_texts() == said["Changes"]
        assert "A card loses an address by this" in visit.text("dialog")
        visit.picture("cockpit-network-setup")
        assert visit.faults() == []
        assert "10.7.0.2" in address_of(found)
        # Nothing is done by looking.
        press(visit, "Cancel", "dialog")
        assert json.loads(run("ltspctl status --json"))["Cards"] == ""
        propose(visit)
        press(visit, "Set it up", "dialog")
        visit.wait_for_text("#waiting", "Does all still work.*undone in [0-9]+ s")
        visit.picture("cockpit-network-waiting")
        assert visit.faults() == []
        assert "192.168.67.1" in address_of(found)
        press(visit, "Keep it")
        visit.frame.wait_for_selector("#waiting:empty", state="attached")
        visit.wait_for_text("#cards", "The set-up with two cards is in force")
        status = json.loads(run("ltspctl status --json"))
        assert (status["Cards"], status["CardsWait"]) == ("dual", False)
        visit.wait_for_text("#links tr", "lan0.*192.168.67.1/24.*real")
        press(visit, "Undo the set-up")
        press(visit, "Undo the set-up", "dialog")
        visit.wait_for_text("#cards", "No set-up of this kind")
        found.server.wait_for("ip -4 address show lan0 | grep -q 10.7.0.2", 60)
        assert json.loads(run("ltspctl status --json"))["Cards"] == ""


def test_a_set_up_that_nobody_confirms_is_undone_also_for_who_loads_the_page_anew(
    fresh: tuple[Cards, Cockpit],
) -> None:
    found, desk = fresh
    found.server.run("ltspctl setup dual --wan ext0 --lan lan0 </dev/null")
    with desk.visit("network") as visit:
        visit.wait_for_text("#waiting", "It is undone within a minute")
        visit.wait_for_text("#cards", "No set-up of this kind", 150_000)
        visit.frame.wait_for_selector("#waiting:empty", state="attached")
        assert "10.7.0.2" in address_of(found)
        # And by a button at once.
        propose(visit)
        press(visit, "Set it up", "dialog")
        press(visit, "Undo it now")
        visit.wait_for_text("#cards", "No set-up of this kind")
        found.server.wait_for("ip -4 address show lan0 | grep -q 10.7.0.2", 60)
