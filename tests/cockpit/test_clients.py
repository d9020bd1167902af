"""The page's clients, as people see them: what ltspctl says, news at once, orders, and who may give them."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import cockpit, product
from tests.lab.cockpit import Cockpit, Visit
from tests.lab.reporter import Reporter, reporters
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Milliseconds after which news is on the page, of a server that has said it already.
SOON = 1000
BIG, SMALL = (1280, 1400), (360, 1200)
HOSTILE = "<img src=x onerror=alert(1)> $0 &amp; no room."
# The rule of docs/control.md, for somebody who is here.
PAGE = (Path(__file__).parents[2] / "docs/control.md").read_text()
RULE = PAGE.partition("```js\n")[2].partition("```")[0]
TEACHER = "ada"


@pytest.fixture(scope="module")
def school(desk: Cockpit) -> Iterator[list[Reporter]]:
    """Have three machines in lab1 and one in no room; three boots, one of them slow, and one that failed."""
    desk.server.write("/etc/polkit-1/rules.d/60-lab1.rules", RULE)
    desk.server.run(f"id {TEACHER} 2>/dev/null || useradd --create-home --shell /bin/bash {TEACHER}")
    desk.server.run("chpasswd", stdin=f"{TEACHER}:{cockpit.PASSWORD}\n")
    with (
        reporters(desk.server, "pc01", "pc02", "pc10", "hall7") as found,
        product.configured(desk.server, {"room:lab1": {"MEMBERS": "pc*"}}),
    ):
        for each, wait in zip(found, (0.2, 0.2, 1.5), strict=False):
            each.report("network")
            time.sleep(wait)
            each.report("root")
            time.sleep(wait)
            each.report("login")
            product.wait_for_stage(desk.server, each.mac, "login")
        found[3].report("failed", error=HOSTILE)
        product.wait_for_stage(desk.server, found[3].mac, "failed")
        yield found
    product.forget_clients(desk.server)
    product.settled(desk.server)


def known(desk: Cockpit) -> list[Any]:
    return list(json.loads(desk.server.run("ltspctl client list --json")))


def rows(visit: Visit) -> list[str]:
    """Return the text of each client's row that can be seen, in the order of the page."""
    return visit.frame.locator(".clients tbody tr:not(.room):visible").all_inner_texts()


def names(visit: Visit) -> list[str]:
    return [each.split()[0] for each in rows(visit)]


def enabled(visit: Visit, selector: str) -> list[str]:
    """Return the texts of the buttons there that can be pressed."""
    return visit.frame.locator(f"{selector} button:visible:not([aria-disabled])").all_inner_texts()


@pytest.mark.usefixtures("school")
def test_it_shows_what_ltspctl_says_by_room(desk: Cockpit) -> None:
    said = {each["Hostname"]: each for each in known(desk)}
    with desk.visit("clients", size=BIG) as visit:
        assert names(visit) == ["pc01", "pc02", "pc10", "hall7"]
        for row in rows(visit):
            of = said[row.split()[0]]
            assert of["Address"] in row
            assert of["Mac"] in row
            assert of["Image"] in row
            assert of["Error"] in row
            assert {"login": "Ready", "failed": "Can't boot"}[of["Stage"]] in row
        lab1 = visit.frame.locator("tbody[data-room=lab1]")
        assert "Room lab1 3 clients" in lab1.locator(".room").inner_text()
        assert lab1.locator("tr").count() == 4
        # What a client says is text, whatever it looks like.
        assert HOSTILE in visit.text("tbody[data-room='']")
        assert visit.frame.locator("main img").count() == 0


@pytest.mark.usefixtures("school")
def test_filters(desk: Cockpit) -> None:
    with desk.visit("clients") as visit:
        visit.frame.get_by_label("Search").fill("pc 67.71")
        assert names(visit) == ["pc02"]
        assert visit.text("[role=status].sr-only").startswith("1 of 4 clients")
        visit.frame.get_by_label("Search").fill("")
        visit.frame.get_by_label("Only with problems").check()
        assert names(visit) == ["hall7"]
        visit.frame.get_by_label("Only with problems").uncheck()
        visit.frame.get_by_role("combobox", name="Room").select_option("lab1")
        assert names(visit) == ["pc01", "pc02", "pc10"]
        visit.frame.get_by_role("combobox", name="Stage").select_option("off")
        assert names(visit) == []
        assert "No client fits these filters." in visit.text()


def test_news_is_there_within_a_second_and_touches_one_row(desk: Cockpit, school: list[Reporter]) -> None:
    of = school[1]
    with desk.visit("clients") as visit:
        visit.frame.evaluate("""() => {
            window.touched = new Set();
            new MutationObserver(found => found.forEach(each => {
                const row = (each.target.closest ?? each.target.parentElement.closest).call(
                    each.target.closest ? each.target : each.target.parentElement, "tbody tr:not(.room)");
                if (row) window.touched.add(row.querySelector("a").textContent);
            })).observe(document.querySelector(".clients table"),
                        { subtree: true, childList: true, characterData: true, attributes: true });
        }""")
        row = "tbody[data-room=lab1] tr:has-text('pc02')"
        for stage, words in (("off", "Off"), ("network", "Starts its client"), ("login", "Ready")):
            of.report(stage)
            product.wait_for_stage(desk.server, of.mac, stage)
            visit.frame.locator(row, has_text=words).wait_for(timeout=SOON)
        # Times that go on by themselves are no news.
        assert visit.frame.evaluate("[...window.touched]") == ["pc02"]


def test_a_client_with_its_boot_beside_its_rooms(desk: Cockpit, school: list[Reporter]) -> None:
    slow = school[2]
    with desk.visit("clients", size=BIG) as visit:
        visit.frame.get_by_role("link", name="pc10").click()
        visit.wait_for_text("#boot", "Median of its room")
        said = next(each for each in known(desk) if each["Mac"] == slow.mac)
        assert {"network", "root", "login"} <= set(said["Stages"])
        took = (said["Stages"]["login"] - said["Stages"]["root"]) / 1e6
        row = visit.text("#boot tr:has(th:has-text('Ready'))")
        assert f"{took:.1f} s" in row
        assert visit.frame.locator("#boot svg").count() == 2
        # Bars are to scale: those of the slow boot are longer.
        widths = visit.frame.evaluate("""() => [...document.querySelectorAll('#boot svg')].map(drawn =>
            [...drawn.querySelectorAll('rect')].reduce((sum, one) => sum + +one.getAttribute('width'), 0))""")
        assert widths[0] > 2 * widths[1] > 0
        findings = json.loads(desk.server.run(f"ltspctl doctor {slow.mac} --json", check=False))
        for each in findings:
            visit.wait_for_text("#doctor", re.escape(each["Cause"].rpartition(" ")[2]))
        assert slow.address in visit.text("main")


def test_a_client_that_cannot_boot_says_why(desk: Cockpit, school: list[Reporter]) -> None:
    with desk.visit(f"clients/{school[3].mac}", size=BIG) as visit:
        assert visit.text(".trouble") == HOSTILE
        visit.wait_for_text("#doctor", "it can't boot")
        assert visit.frame.locator("main img").count() == 0
        school[3].report("login", error="")
        product.wait_for_stage(desk.server, school[3].mac, "login")
        visit.wait_for_text("main header", "Ready", timeout=SOON)
        school[3].report("failed", error=HOSTILE)
        product.wait_for_stage(desk.server, school[3].mac, "failed")


def test_a_client_is_rebooted_and_the_page_follows(
    desk: Cockpit, school: list[Reporter], tmp_path: Path
) -> None:
    with school[0].obeying(tmp_path) as obeyed, desk.visit(f"clients/{school[0].mac}", size=BIG) as visit:
        visit.frame.get_by_role("button", name="Reboot", exact=True).click()
        dialog = visit.frame.locator("dialog")
        assert "Reboot pc01?" in dialog.inner_text()
        # Nothing is done before it is confirmed.
        dialog.get_by_role("button", name="Cancel").click()
        assert "reboot" not in obeyed.read_text()
        visit.frame.get_by_role("button", name="Reboot", exact=True).click()
        visit.picture("client-reboot")
        assert visit.faults() == []
        dialog.get_by_role("button", name="Reboot").click()
        desk.server.wait_for(lambda: "reboot" in obeyed.read_text())
        visit.wait_for_text("main", "Restarting.*Done")
        visit.go("clients")
        visit.frame.locator("tr:has-text('pc01')", has_text="Obeyed").wait_for()


def test_a_message_to_a_room_says_who_did_not_obey(
    desk: Cockpit, school: list[Reporter], tmp_path: Path
) -> None:
    with school[0].obeying(tmp_path) as obeyed, desk.visit("clients", size=BIG) as visit:
        visit.frame.get_by_role("button", name="Message: Room lab1").click()
        visit.frame.get_by_label("Text").fill("It is <b>ten</b>.")
        visit.frame.locator("dialog").get_by_role("button", name="Send").click()
        visit.wait_for_text(".jobs", "A message to room lab1")
        visit.frame.locator("tr:has-text('pc01')", has_text="Obeyed").wait_for()
        assert "message It is <b>ten</b>.\n" in obeyed.read_text()
        visit.frame.locator("tr:has-text('pc02')", has_text="Waits for its answer").wait_for()
        visit.picture("clients-order")
        visit.frame.get_by_role("button", name="Cancel: A message to room lab1").click()
        visit.wait_for_text(".jobs", "Cancelled")
        visit.frame.locator("tr:has-text('pc02')", has_text="Has not answered").wait_for(timeout=SOON)


def test_who_may_nothing_sees_all_and_can_press_nothing(desk: Cockpit, school: list[Reporter]) -> None:
    with desk.visit("clients", user=cockpit.PERSON, size=BIG) as visit:
        visit.wait_for_text("main", "you may not change it")
        assert names(visit) == ["pc01", "pc02", "pc10", "hall7"]
        assert enabled(visit, "tbody") == []
        visit.go(f"clients/{school[0].mac}")
        visit.wait_for_text("main", "you may not change it")
        assert school[0].address in visit.text()
        assert enabled(visit, "main header") == ["Look again"]
        # A button that can't be pressed does nothing, and says why.
        reboot = visit.frame.get_by_role("button", name="Reboot", exact=True)
        assert reboot.get_attribute("title") == "You are not allowed to do this."
        reboot.click(force=True)
        assert visit.frame.locator("dialog").count() == 0


def test_the_master_of_one_room_can_do_just_that(
    desk: Cockpit, school: list[Reporter], tmp_path: Path
) -> None:
    verbs = ["Message", "Log out", "Reboot", "Switch off", "Switch on"]
    with school[1].obeying(tmp_path) as obeyed, desk.visit("clients", user=TEACHER, size=BIG) as visit:
        visit.frame.locator("tbody[data-room=lab1] button:not([aria-disabled])").first.wait_for()
        assert enabled(visit, "tbody[data-room=lab1]") == verbs
        visit.go(f"clients/{school[3].mac}")
        visit.wait_for_text("main", "you may not change it")
        assert enabled(visit, "main header") == ["Look again"]
        visit.go(f"clients/{school[1].mac}")
        logout = visit.frame.locator("main header button:not([aria-disabled])", has_text="Log out")
        logout.click()
        visit.frame.locator("dialog").get_by_role("button", name="Log out").click()
        visit.wait_for_text("main", "Logging out at.*Done")
        assert obeyed.read_text() != ""
        journal = desk.server.journal("ltspd")
        assert re.search(rf"Client.Order \(.*logout.*\({TEACHER}, .*allowed: polkit", journal)


@pytest.mark.parametrize(("name", "size"), [("wide", BIG), ("narrow", SMALL)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(
    desk: Cockpit, school: list[Reporter], name: str, size: tuple[int, int], dark: bool
) -> None:
    style = "dark" if dark else "light"
    with desk.visit("clients", size=size, dark=dark) as visit:
        visit.wait_for_text("main", "pc10")
        visit.picture(f"clients-{name}-{style}")
        assert visit.faults() == []
        assert visit.frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.go(f"clients/{school[2].mac}")
        visit.wait_for_text("#doctor", r"\d")
        visit.picture(f"client-{name}-{style}")
        assert visit.faults() == []
        assert visit.frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_client_that_is_forgotten_is_gone(desk: Cockpit, school: list[Reporter]) -> None:
    with desk.visit("clients/52:54:00:00:00:01") as visit:
        visit.wait_for_text("main", "No such client is known")
        visit.frame.get_by_role("link", name="All clients").click()
        visit.wait_for_text("main", school[0].hostname, timeout=PATIENCE * 1000)
