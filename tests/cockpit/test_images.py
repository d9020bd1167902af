"""The images of the page, as people see them: what ltspctl says, builds, generations, who may do what."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cockpit.conftest import SOURCE
from tests.lab import cockpit, product
from tests.lab.cockpit import Cockpit, Visit
from tests.lab.reporter import reporters

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Milliseconds after which news is on the page, of a server that has said it already.
SOON = 1000
BIG, SMALL = (1280, 1400), (360, 1200)
CARD = f"[data-image={SOURCE}]"
USELESS = "opt/there-is-nothing-here"
# Somebody who may build one image, and nothing else.
BUILDER = "bea"
RULE = f"""
polkit.addRule(function(action, subject) {{
    if (action.id == "org.ltsp.Server1.build-image" && action.lookup("image") == "{SOURCE}"
        && subject.user == "{BUILDER}") return polkit.Result.YES;
}});
"""


def image(desk: Cockpit) -> Any:
    return product.image(desk.server, SOURCE)


@pytest.fixture(scope="module")
def built(desk: Cockpit) -> Iterator[Cockpit]:
    """Have two generations, the older one with a note; afterwards the image was never built."""
    server = desk.server
    server.write("/etc/polkit-1/rules.d/70-builder.rules", RULE)
    server.run(f"id {BUILDER} 2>/dev/null || useradd --create-home --shell /bin/bash {BUILDER}")
    server.run("chpasswd", stdin=f"{BUILDER}:{cockpit.PASSWORD}\n")
    server.write("/etc/ltsp/image.excludes", USELESS + "\n")
    build_by_the_page(desk)
    server.run(f"rm /etc/ltsp/image.excludes; echo changed >/srv/ltsp/{SOURCE}/etc/changed")
    product.build(server, SOURCE)
    yield desk
    server.run(f"systemctl stop ltspd; rm -rf /srv/ltsp/images/{SOURCE} /srv/ltsp/{SOURCE}/etc/changed")
    server.run("systemctl start ltspd")
    product.wait_until_up(server)


def build_by_the_page(desk: Cockpit) -> None:
    """Cancel one build and have another one go to its end, as a person does."""
    with desk.visit("images", size=BIG) as visit:
        assert "Never built" in visit.text(CARD)
        begin(visit)
        visit.frame.locator(CARD).get_by_role("button", name="Cancel").click()
        visit.wait_for_text(f"{CARD} .jobs", "Cancelled")
        assert image(desk)["Current"] == ""
        begin(visit)
        # It tells bytes, and goes on.
        visit.wait_for_text(f"{CARD} .jobs", r": [\d.]+ of [\d.]+ [MG]B")
        bar = visit.frame.locator(f"{CARD} [role=progressbar]").first
        before = int(bar.get_attribute("aria-valuenow") or 0)
        visit.picture("images-build")
        assert visit.faults() == []
        visit.frame.wait_for_function(
            "([card, before]) => +document.querySelector(`${card} [role=progressbar]`).ariaValueNow > before",
            arg=[CARD, before],
        )
        visit.wait_for_text(f"{CARD} .jobs", "Building the image.*Done")
        current = image(desk)["Current"]
        assert current
        visit.wait_for_text(f"{CARD} tbody", re.escape(current), timeout=SOON)


def begin(visit: Visit) -> None:
    visit.frame.get_by_role("button", name=f"Build…: {SOURCE}").click()
    visit.frame.locator("dialog").get_by_role("button", name="Build", exact=True).click()
    visit.frame.locator(f"{CARD} .jobs", has_text="Running").wait_for()


def row(visit: Visit, generation: str) -> Any:
    return visit.frame.locator(f"{CARD} tr[data-generation='{generation}']")


def enabled(visit: Visit, selector: str) -> list[str]:
    """Return the texts of the buttons there that can be pressed."""
    return visit.frame.locator(f"{selector} button:visible:not([aria-disabled])").all_inner_texts()


def test_it_shows_what_ltspctl_says(built: Cockpit) -> None:
    said = image(built)
    old, new = said["Generations"]
    page = built.server.run(f"ltspctl image show {SOURCE}")
    with built.visit("images", size=BIG) as visit:
        shown = visit.text(CARD)
        for value in (said["Current"], said["Kernel"], said["Source"], "Up to date", "2 generations"):
            assert value in shown
        # The newest is the first.
        ids = visit.frame.locator(f"{CARD} tbody tr").evaluate_all(
            "of => of.map(each => each.dataset.generation)"
        )
        assert ids == [new["Id"], old["Id"]]
        for each in (old, new):
            text = row(visit, each["Id"]).inner_text()
            assert each["Summary"] in text
            assert ("Current" in text) == (each["Id"] == said["Current"])
            (size,) = re.findall(rf"{each['Id']}.*? ([\d.]+ [kMG]?B) ", page)
            assert size in text
        assert any(USELESS in note for note in old["Notes"])
        row(visit, old["Id"]).locator("summary").click()
        for note in old["Notes"]:
            assert note in row(visit, old["Id"]).inner_text()


def test_who_uses_a_generation(built: Cockpit) -> None:
    generation = image(built)["Current"]
    with reporters(built.server, "pc01") as (of,), built.visit("images") as visit:
        assert row(visit, generation).locator("td[data-label=Clients]").inner_text() == "0"
        of.report("login", image=SOURCE, generation=generation)
        product.wait_for_stage(built.server, of.mac, "login")
        visit.frame.locator(
            f"tr[data-generation='{generation}'] td[data-label=Clients]", has_text=re.compile(r"^1$")
        ).wait_for(timeout=SOON)
    product.forget_clients(built.server)
    product.settled(built.server)


@pytest.mark.parametrize("language", ["en-US", "de-DE"])
def test_pictures_of_a_school(built: Cockpit, language: str) -> None:
    """Take what the documentation shows: one client is slow, one can't boot, one is off."""
    found = image(built)
    desk = {"Image": SOURCE, "Generation": found["Current"], "Transport": "nbd"}
    began = time.time_ns() // 1000 - 40 * 60_000_000
    rooms = {"room:library": {"MEMBERS": "lib*"}, "room:room12": {"MEMBERS": "r12*"}}
    names = [*(f"lib-{each:02}" for each in range(1, 5)), *(f"r12-{each:02}" for each in range(1, 9))]
    with product.configured(built.server, rooms):
        for number, name in enumerate(names):
            each = {
                **desk, "Mac": f"52:54:00:12:00:{number:02x}", "Address": f"192.168.67.{100 + number}",
                "Hostname": name,
            }  # fmt: skip
            pace = 3_000_000 if name == "r12-07" else 900_000 + 40_000 * number
            stages = ["network", "root", "login"]
            if name == "r12-05":
                stages = ["network", "failed"]
            elif name == "lib-04":
                stages.append("off")
            for at, stage in enumerate(stages):
                error = "The server does not answer at its NBD port." if stage == "failed" else ""
                seen = began + number * 2_000_000 + at * (at + 1) * pace
                told = {**each, "Stage": stage, "Error": error, "LastSeen": seen}
                cockpit.report(built.server, [told])
        with built.visit("clients", size=(1280, 1100), language=language) as visit:
            visit.wait_for_text("main", "r12-08")
            visit.picture(f"cockpit-clients-{language[:2]}")
            assert visit.faults() == []
            visit.frame.get_by_role("link", name="r12-07").click()
            visit.wait_for_text("#doctor", r"\d")
            assert visit.frame.locator("#boot .label.warning").count() >= 1
            visit.picture(f"cockpit-client-{language[:2]}")
            assert visit.faults() == []
            visit.go("images")
            visit.wait_for_text(CARD, re.escape(found["Current"]))
            visit.picture(f"cockpit-images-{language[:2]}")
            assert visit.faults() == []
            if language == "de-DE":
                assert "Clients" in visit.text(".tabs")
                assert "Stände" in visit.text(CARD)
    product.forget_clients(built.server)
    product.settled(built.server)


def test_keep_go_back_and_remove(built: Cockpit) -> None:
    old, new = (each["Id"] for each in image(built)["Generations"])
    with built.visit("images", size=BIG) as visit:
        dialog = visit.frame.locator("dialog")
        row(visit, old).get_by_role("button", name=f"Keep: {old}").click()
        visit.wait_for_text(f"{CARD} tr[data-generation='{old}']", "Kept")
        assert image(built)["Generations"][0]["Kept"]
        remove = row(visit, old).get_by_role("button", name="Remove")
        assert remove.get_attribute("title") == "It is kept."
        row(visit, old).get_by_role("button", name="Keep no longer").click()
        visit.frame.locator(f"tr[data-generation='{old}']:not(:has-text('Kept'))").wait_for()

        row(visit, old).get_by_role("button", name="Boot this one").click()
        dialog.get_by_role("button", name="Boot this one").click()
        visit.wait_for_text(f"{CARD} tr[data-generation='{old}']", "Current")
        assert image(built)["Current"] == old
        # What was current until now may be needed by a client that starts: the daemon's own words say so.
        row(visit, new).get_by_role("button", name="Remove").click()
        dialog.get_by_role("button", name="Remove").click()
        dialog.locator(".alert.danger").wait_for(state="visible")
        told = built.server.run(f"ltspctl image remove {SOURCE} {new}", check=False)
        assert dialog.locator(".alert.danger").inner_text() in told
        visit.picture("images-refused")
        visit.page.keyboard.press("Escape")
        # Another one does it, and the page follows.
        built.server.run(f"ltspctl image revert {SOURCE} {new}")
        visit.wait_for_text(f"{CARD} tr[data-generation='{new}']", "Current", timeout=SOON)


def test_a_test_that_is_not_possible_here_says_why(built: Cockpit) -> None:
    told = built.server.run(f"ltspctl image test {SOURCE}", check=False)
    with built.visit("images") as visit:
        visit.frame.get_by_role("button", name=f"Test: {SOURCE}").click()
        visit.frame.locator(".toasts .danger").wait_for()
        assert visit.text(".toasts .danger span") in told


@pytest.mark.parametrize(("name", "size"), [("wide", BIG), ("narrow", SMALL)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(built: Cockpit, name: str, size: tuple[int, int], dark: bool) -> None:
    style = "dark" if dark else "light"
    with built.visit("images", size=size, dark=dark) as visit:
        visit.wait_for_text(f"{CARD} tbody", "Current")
        visit.picture(f"images-{name}-{style}")
        assert visit.faults() == []
        assert visit.frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.frame.get_by_role("button", name=f"Build…: {SOURCE}").click()
        visit.frame.locator("dialog").wait_for()
        visit.picture(f"images-dialog-{name}-{style}")
        assert visit.faults() == []


def test_who_may_nothing_sees_all_and_can_press_nothing(built: Cockpit) -> None:
    with built.visit("images", user=cockpit.PERSON, size=BIG) as visit:
        visit.wait_for_text("main", "you may not change it")
        assert image(built)["Current"] in visit.text(CARD)
        assert enabled(visit, "main") == []


def test_who_may_build_one_image_can_do_just_that(built: Cockpit) -> None:
    with built.visit("images", user=BUILDER, size=BIG) as visit:
        visit.frame.locator(f"{CARD} button:not([aria-disabled])").first.wait_for()
        assert enabled(visit, f"{CARD} > header") == ["Build…", "Test"]
        assert set(enabled(visit, f"{CARD} tbody")) == {"Test"}
        assert enabled(visit, "main > .view > .tools") == []
