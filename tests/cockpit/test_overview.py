"""The page's overview, as people see it: what ltspctl says, news at once, a daemon that comes back."""

import json

import pytest

from tests.cockpit.conftest import SOURCE
from tests.lab import cockpit, product
from tests.lab.cockpit import Cockpit

pytestmark = [pytest.mark.lab, pytest.mark.slow]
# Milliseconds after which news is on the page, of a server that has said it already.
SOON = 1000
# What anybody can type in the browser.
PAST_THE_PAGE = """async () => {
    const client = cockpit.dbus("org.ltsp.Server1", { bus: "system", superuser: "try" });
    const words = ["/org/ltsp/Server1", "org.ltsp.Server1.Manager", "Serve", [false], { type: "b" }];
    try {
        await client.call(...words);
        return "done";
    } catch (error) {
        return error.message;
    }
}"""
BIG, SMALL = (1280, 1500), (360, 1200)


def test_it_shows_what_ltspctl_says(desk: Cockpit) -> None:
    said = product.status(desk.server)
    with desk.visit(size=BIG) as visit:
        shown = visit.text()
        # The subject of a problem stands apart.
        problems = [each.replace(": ", " ", 1) for each in said["Problems"]]
        for value in (said["Version"], said["BaseDirectory"], said["TftpDirectory"], *problems):
            assert value in shown
        for each in said["Links"]:
            row = visit.text(f"#links tr:has-text('{each['Name']}')")
            assert all(address in row for address in each["Addresses"])
        for each in said["Images"]:
            assert (each["Current"] or "Not built yet") in visit.text(
                f"#images tr:has-text('{each['Name']}')"
            )


@pytest.mark.parametrize(("name", "size"), [("wide", BIG), ("narrow", SMALL)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(desk: Cockpit, name: str, size: tuple[int, int], dark: bool) -> None:
    with desk.visit(size=size, dark=dark) as visit:
        visit.picture(f"overview-{name}-{'dark' if dark else 'light'}")
        assert visit.faults() == []
        # Nothing is cut off at the side of a narrow screen.
        assert visit.frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.frame.click("#problems button")
        visit.frame.wait_for_selector("dialog[open]")
        visit.picture(f"doctor-{name}-{'dark' if dark else 'light'}")
        assert visit.faults() == []


def test_first_steps_take_over_from_ltsp_and_give_back(desk: Cockpit) -> None:
    aside = "/etc/dnsmasq.d/ltsp-dnsmasq.conf"
    unit = "/usr/lib/systemd/system/dnsmasq.service"
    desk.server.run(f"mkdir -p /etc/dnsmasq.d && echo port=0 >{aside}")
    desk.server.write(unit, "[Service]\nExecStart=/bin/sleep infinity\n")
    # A service sees a directory that is newer than itself as read-only.
    desk.server.run("systemctl daemon-reload; systemctl restart ltspd; ltspctl reload")
    try:
        with desk.visit(size=BIG) as visit:
            visit.wait_for_text("#first", f"What an earlier LTSP left.*{aside}")
            visit.wait_for_text("#problems", aside)
            visit.picture("overview-leftovers")
            assert visit.faults() == []
            visit.frame.get_by_role("button", name="Take over from LTSP").click()
            visit.picture("overview-takeover")
            assert visit.faults() == []
            visit.frame.locator("dialog").get_by_role("button", name="Take over").click()
            visit.wait_for_text("#first", f"Moved aside: {aside}")
            assert product.status(desk.server)["SetAside"] == [aside]
            visit.wait_for_text("#problems", "nothing that you should know")
            assert product.problems(desk.server) == []
            visit.frame.get_by_role("button", name="Put it back").click()
            visit.wait_for_text("#problems", aside)
            assert product.status(desk.server)["SetAside"] == []
    finally:
        desk.server.run(
            f"rm -f {aside} {aside}.before-ltspd~ {unit}; systemctl daemon-reload; ltspctl reload"
        )


def test_the_doctor_tells_causes_and_steps_to_a_keyboard(desk: Cockpit) -> None:
    found = json.loads(desk.server.run("ltspctl serve off >/dev/null; ltspctl doctor --json", check=False))
    try:
        with desk.visit() as visit:
            visit.frame.locator("body").press("Tab")
            for _ in range(40):
                if visit.frame.evaluate("document.activeElement.textContent") == "Look for causes":
                    break
                visit.page.keyboard.press("Tab")
            visit.page.keyboard.press("Enter")
            visit.frame.wait_for_selector("dialog[open]")
            visit.picture("overview-doctor")
            shown = visit.text("dialog")
            assert visit.faults() == []
            assert found
            for each in found:
                assert each["Cause"] in shown
                assert each["Step"] in shown
            assert visit.frame.evaluate("!!document.activeElement.closest('dialog')")
            visit.frame.locator("dialog").press("Escape")
            visit.frame.wait_for_selector("dialog", state="detached")
            assert visit.frame.evaluate("document.activeElement.textContent") == "Look for causes"
    finally:
        desk.server.run("ltspctl serve on")


def test_it_speaks_german(desk: Cockpit) -> None:
    with desk.visit(language="de-DE", size=BIG) as visit:
        assert "Übersicht" in visit.text(".tabs")
        assert visit.frame.evaluate("document.documentElement.lang") == "de"
        assert "Netzwerkstart" in visit.page.locator("#host-apps").inner_text()
        visit.picture("overview-german")


def test_news_is_there_within_a_second(desk: Cockpit) -> None:
    with desk.visit() as visit:
        visit.wait_for_text("#server", "are answered")
        visit.frame.evaluate("window.sameAsBefore = true")
        try:
            desk.server.run("ltspctl serve off")
            visit.wait_for_text("#server", "get no answer", timeout=SOON)
        finally:
            desk.server.run("ltspctl serve on")
        visit.wait_for_text("#server", "are answered", timeout=SOON)
        desk.server.run("ip link add news0 type veth peer name news1 && ip link set news0 up")
        try:
            desk.server.wait_for(lambda: "news0" in str(product.status(desk.server)["Links"]))
            visit.wait_for_text("#links", "news0", timeout=SOON)
        finally:
            desk.server.run("ip link delete news0")
        assert visit.frame.evaluate("window.sameAsBefore")


def test_a_build_is_cancelled_and_another_one_goes_to_its_end(desk: Cockpit) -> None:
    with desk.visit(size=BIG) as visit:
        build = visit.frame.locator(f"#images tr:has-text('{SOURCE}') button")
        build.click()
        visit.frame.locator("#jobs li").first.get_by_role("button", name="Cancel").click()
        visit.wait_for_text("#jobs", "Cancelled")
        assert product.image(desk.server, SOURCE)["Current"] == ""
        build.click()
        bar = visit.frame.locator("#jobs li").first.locator("[role=progressbar]")
        # It tells bytes, and goes on.
        visit.wait_for_text("#jobs", r": [\d.]+ of [\d.]+ [MG]B")
        before = int(bar.get_attribute("aria-valuenow") or 0)
        visit.picture("overview-build")
        visit.frame.wait_for_function(
            "before => +document.querySelector('#jobs li [role=progressbar]').ariaValueNow > before",
            arg=before,
        )
        assert visit.faults() == []
        visit.wait_for_text("#jobs li", "Building the image.*Done")
        current = product.image(desk.server, SOURCE)["Current"]
        assert current
        visit.wait_for_text("#images", current, timeout=SOON)
        visit.wait_for_text(".toasts", "Building the image.*Done", timeout=SOON)
        # The first steps go once there is a client, as other tests of this server may have had.
        if json.loads(desk.server.run("ltspctl client list --json")):
            visit.frame.wait_for_selector("#first", state="hidden")
        else:
            visit.wait_for_text("#first", f"Clients get {SOURCE}")


def test_a_daemon_that_leaves_and_comes_back(desk: Cockpit) -> None:
    with desk.visit() as visit:
        visit.frame.evaluate("window.sameAsBefore = true")
        desk.server.run("systemctl stop ltspd")
        visit.wait_for_text(".banner", "The daemon is away")
        visit.picture("overview-away")
        assert visit.faults() == []
        desk.server.run("systemctl start ltspd")
        product.wait_until_up(desk.server)
        visit.frame.wait_for_selector(".banner:empty", state="attached")
        # It is alive again, not only there.
        desk.server.run("ltspctl serve off")
        visit.wait_for_text("#server", "get no answer")
        desk.server.run("ltspctl serve on")
        visit.wait_for_text("#server", "are answered")
        assert visit.frame.evaluate("window.sameAsBefore")


def test_an_error_is_shown_by_its_sentence(desk: Cockpit) -> None:
    desk.server.run("mkdir -p /srv/ltsp/empty/etc /srv/ltsp/empty/usr/bin && ltspctl reload")
    try:
        told = desk.server.run("ltspctl image build empty", check=False).strip()
        with desk.visit() as visit:
            visit.frame.locator("#images tr:has-text('empty') button").click()
            visit.wait_for_text(".toasts .danger", ".")
            assert visit.text(".toasts .danger span") in told
            visit.picture("overview-error")
            assert visit.faults() == []
    finally:
        desk.server.run("rm -r /srv/ltsp/empty && ltspctl reload")


def test_who_may_nothing_sees_all_and_is_told_why(desk: Cockpit) -> None:
    with desk.visit(user=cockpit.PERSON, size=BIG) as visit:
        assert product.status(desk.server)["Version"] in visit.text("#server")
        visit.wait_for_text("main", "You can look at everything here")
        for name in ("Stop answering", "Apply again", "Build the image x86_64"):
            button = visit.frame.get_by_role("button", name=name).first
            assert button.get_attribute("aria-disabled") == "true"
            assert button.get_attribute("title") == "You are not allowed to do this."
        # Whoever presses it all the same gets nowhere, and neither does a call past the page.
        visit.frame.get_by_role("button", name="Stop answering").dispatch_event("click")
        told = visit.frame.evaluate(PAST_THE_PAGE)
        assert "org.ltsp.Server1.configure: you are not authorized" in told
        assert visit.frame.locator("dialog").count() == 0
        visit.picture("overview-refused")
        assert visit.faults() == []
    assert product.status(desk.server)["Serving"]


def test_administrative_access_lets_a_person_act(desk: Cockpit) -> None:
    # Without a network there is no package of it, but the client's tree has one.
    client = f"/srv/ltsp/{SOURCE}"
    desk.server.run(f"cp -a {client}/usr/bin/sudo /usr/bin/; cp -a {client}/usr/libexec/sudo /usr/libexec/")
    desk.server.run(f"cp -a {client}/etc/pam.d/sudo /etc/pam.d/; mkdir -p /etc/sudoers.d")
    desk.server.run(f"printf '{cockpit.PERSON} ALL=(ALL:ALL) ALL\n' >/etc/sudoers; chmod 440 /etc/sudoers")
    try:
        with desk.visit(user=cockpit.PERSON) as visit:
            visit.page.get_by_role("button", name="Limited access").first.click()
            visit.page.locator("input[type=password]:visible").fill(cockpit.PASSWORD)
            visit.page.get_by_role("button", name="Authenticate").click()
            visit.page.get_by_text("Administrative access").first.wait_for()
            visit.picture("overview-administrative")
            # The page has loaded anew, with a connection that may.
            visit.frame.wait_for_selector("main p:has-text('You can look')", state="hidden")
            visit.frame.get_by_role("button", name="Stop answering").click()
            visit.frame.locator("dialog").get_by_role("button", name="Stop answering").click()
            visit.wait_for_text("#server", "get no answer")
            assert not product.status(desk.server)["Serving"]
    finally:
        desk.server.run("ltspctl serve on; rm -rf /usr/bin/sudo /usr/libexec/sudo /etc/sudoers")
