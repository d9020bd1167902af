"""The page Settings: findings as one types, saved as a whole, the version before, nobody overwritten."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.lab import product
from tests.lab.cockpit import PERSON, Cockpit, Visit

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CONF = "/etc/ltsp/ltsp.conf"
START = """# A room
[server]
HTTP_PORT=80

[clients]
LANG=de_DE.UTF-8
PASSWORDS_x="guest/Secret-Word-9"

[pc01]
KIOSK_URL=https://one.example
"""
# Milliseconds after which news is on the page, of a server that has said it already.
SOON = 1000


@pytest.fixture
def conf(desk: Cockpit) -> Iterator[Cockpit]:
    """Start with a file of root's alone, and leave the server as it was."""
    before = desk.server.path(CONF).read_text()
    desk.server.write(CONF, START)
    desk.server.run(f"chmod 600 {CONF}; ltspctl reload")
    yield desk
    desk.server.write(CONF, before)
    desk.server.run(f"chmod 644 {CONF}; ltspctl reload")


def text_of(visit: Visit) -> str:
    return visit.frame.locator("#conf").input_value()


def type_at_end(visit: Visit, text: str) -> None:
    visit.frame.locator("#conf").click()
    visit.page.keyboard.press("Control+End")
    visit.page.keyboard.type(text)


def shown(visit: Visit, text: str) -> None:
    visit.frame.wait_for_function("text => document.getElementById('conf').value === text", arg=text)


def marked(visit: Visit) -> dict[int, str]:
    """Return the lines with marks, and how they are marked."""
    return {
        int(line): kind
        for line, kind in visit.frame.evaluate(
            "() => [...document.querySelectorAll('.gutter > *')].map((each, at) => [at + 1, each.className])"
        )
        if kind
    }


def press(visit: Visit, name: str, within: str = "main") -> None:
    visit.frame.locator(within).get_by_role("button", name=name, exact=True).click()


def test_a_mistake_is_marked_at_its_line_and_not_saved(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        visit.wait_for_text("#findings-said", "warning|no mistakes")
        type_at_end(visit, "MENU_TIMEOUT=soon\n[server]\nHTTP_PORT=many\n")
        visit.wait_for_text("#findings-said", "2 errors")
        marks = marked(visit)
        assert marks == {7: "warning", 11: "error", 12: "warning", 13: "error"}
        found = json.loads(conf.server.run("ltspctl config check - --json || :", stdin=text_of(visit)))
        assert set(marks) == {each["Line"] for each in found}
        for each in found:
            assert each["Message"] in visit.text("#findings")
        assert visit.frame.locator("#conf").get_attribute("aria-invalid") == "true"
        visit.picture("cockpit-settings")
        assert visit.faults() == []
        press(visit, "Save")
        visit.wait_for_text(
            "#notice", "Nothing is saved.*ltsp.conf:11: error: MENU_TIMEOUT.*:13: error: HTTP_PORT"
        )
        assert conf.server.path(CONF).read_text() == START
        # By the keyboard to the line of the first error.
        press(visit, "Line 13")
        assert visit.frame.evaluate(
            "() => { const at = document.activeElement; "
            "return at.value.slice(at.selectionStart, at.selectionEnd); }"
        ) == ("HTTP_PORT=many")
        press(visit, "Discard changes")
        shown(visit, START)


def test_a_right_text_is_saved_and_in_force_and_the_one_before_comes_back(conf: Cockpit) -> None:
    new = f"{START}KIOSK_COMMAND=xterm\n"
    with conf.visit("settings", language="de-DE") as visit:
        shown(visit, START)
        type_at_end(visit, "KIOSK_COMMAND=xterm\n")
        visit.wait_for_text("#status", "Noch nicht gespeichert")
        press(visit, "Speichern")
        visit.wait_for_text(".toasts", "Gespeichert und in Kraft")
        visit.wait_for_text("#status", "Wie gespeichert")
        assert conf.server.path(CONF).read_text() == new
        assert conf.server.run(f"stat -c '%a %U' {CONF}").split() == ["600", "root"]
        settings = json.loads(conf.server.run("ltspctl config show pc01 --json"))
        assert ("KIOSK_COMMAND", "xterm") in {(each["Name"], each["Value"]) for each in settings}
        press(visit, "Vorige Fassung")
        visit.wait_for_text("dialog .difference", "KIOSK_COMMAND")
        assert visit.frame.locator("dialog .removed code").all_inner_texts() == ["KIOSK_COMMAND=xterm"]
        visit.picture("cockpit-settings-former")
        assert visit.faults() == []
        press(visit, "Zu ihr zurückkehren", "dialog")
        shown(visit, START)
        conf.server.wait_for(lambda: conf.server.path(CONF).read_text() == START)
        # And forth again, because what was replaced is kept.
        assert conf.server.run("ltspctl config text --former") == new


def test_what_counts_for_a_machine_is_what_ltspctl_says(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        visit.frame.locator("#who").fill("pc01")
        press(visit, "Show")
        visit.wait_for_text("#explained table", "KIOSK_URL")
        rows = visit.frame.locator("#explained tbody tr").all()
        told = [[cell.inner_text().strip() for cell in row.locator("th, td").all()] for row in rows]
        said = json.loads(conf.server.run("ltspctl config show pc01 --json"))
        expected = [
            [each["Name"], "(withheld)" if each["Withheld"] else each["Value"], f"Line {each['Line']}"]
            for each in said
        ]
        assert told == expected
        visit.picture("cockpit-settings-values")
        # A change of the file shows in the values, too.
        conf.server.write(CONF, START.replace("one.example", "two.example"))
        visit.wait_for_text("#explained table", "two.example")


def is_another(conf: Cockpit, tag: str) -> bool:
    return bool(product.status(conf.server)["ConfigTag"] != tag)


def test_a_change_by_somebody_else_shows_at_once(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        for number in range(2):
            text, tag = f"# {number}\n{START}", product.status(conf.server)["ConfigTag"]
            conf.server.write(CONF, text)
            conf.server.wait_for(partial(is_another, conf, tag))
            visit.frame.wait_for_function(
                "text => document.getElementById('conf').value === text", arg=text, timeout=SOON
            )


def test_a_change_by_somebody_else_is_not_overwritten(conf: Cockpit) -> None:
    theirs = START.replace("one.example", "theirs.example")
    with conf.visit("settings") as visit:
        shown(visit, START)
        type_at_end(visit, "# mine\n")
        conf.server.write(CONF, theirs)
        visit.wait_for_text("#notice", "Somebody else has changed ltsp.conf meanwhile")
        assert text_of(visit) == f"{START}# mine\n"
        visit.picture("cockpit-settings-clash")
        assert visit.faults() == []
        press(visit, "Save")
        visit.wait_for_text("#notice", "changed by somebody else since it was read")
        assert conf.server.path(CONF).read_text() == theirs
        press(visit, "Show the difference")
        assert visit.frame.locator("dialog .added code").all_inner_texts() == [
            "KIOSK_URL=https://one.example",
            "# mine",
        ]
        press(visit, "Close", "dialog")
        press(visit, "Take theirs")
        shown(visit, theirs)


def test_who_takes_their_own_text_saves_it_over_the_other(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        type_at_end(visit, "# mine\n")
        conf.server.write(CONF, START.replace("one.example", "theirs.example"))
        press(visit, "Show the difference")
        press(visit, "Take mine", "dialog")
        press(visit, "Save")
        visit.wait_for_text(".toasts", "Saved and in force")
        assert conf.server.path(CONF).read_text() == f"{START}# mine\n"


def test_what_is_typed_stays_when_the_daemon_starts_again_or_another_tab_is_open(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        type_at_end(visit, "NO_SUCH_NAME=1\n")
        # A question that is under way would have the bus start the daemon again.
        visit.wait_for_text("#findings-said", "2 warnings")
        conf.server.run("systemctl stop ltspd")
        visit.wait_for_text(".banner", "The daemon is away")
        conf.server.run("systemctl start ltspd")
        visit.frame.wait_for_selector(".banner:empty", state="attached")
        shown(visit, f"{START}NO_SUCH_NAME=1\n")
        visit.go("network")
        visit.frame.wait_for_selector("#links")
        visit.go("settings")
        shown(visit, f"{START}NO_SUCH_NAME=1\n")
        visit.wait_for_text("#status", "Not saved yet")
        press(visit, "Discard changes")
        shown(visit, START)


def test_an_unprivileged_person_reads_no_secret_and_changes_nothing(conf: Cockpit) -> None:
    with conf.visit("settings", user=PERSON) as visit:
        visit.wait_for_text("#notice", "ltsp.conf can't be shown.*you are not authorized.*may hold passwords")
        assert text_of(visit) == ""
        assert not visit.frame.locator("#conf").is_editable()
        assert visit.frame.get_by_role("button", name="Save", exact=True).is_disabled()
        visit.frame.locator("#who").fill("pc01")
        press(visit, "Show")
        visit.wait_for_text("#explained-wrong", "you are not authorized")
        assert "Secret-Word-9" not in visit.frame.content()
        visit.picture("cockpit-settings-unprivileged")
        assert visit.faults() == []


@pytest.mark.parametrize(("dark", "size"), [(True, (1280, 900)), (False, (360, 740))], ids=["dark", "narrow"])
def test_it_can_be_read_in_the_dark_and_on_a_narrow_screen(
    conf: Cockpit, dark: bool, size: tuple[int, int]
) -> None:
    with conf.visit("settings", dark=dark, size=size) as visit:
        shown(visit, START)
        visit.wait_for_text("#findings-said", "warning|no mistakes")
        visit.picture(f"cockpit-settings-{'dark' if dark else 'narrow'}")
        assert visit.faults() == []
        # Nothing but the text itself is wider than the screen.
        assert visit.frame.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_the_difference_of_two_texts(desk: Cockpit) -> None:
    with desk.visit() as visit:
        found = visit.frame.evaluate(
            """async () => {
                const { difference, pieces } = await import("./difference.js");
                const kinds = (a, b) => difference(a, b).map(each => each.kind[0] + each.text).join(" ");
                const long = Array.from({ length: 3000 }, (_, at) => `line ${at}`);
                const turned = [...long].reverse();
                const changed = long.map((each, at) => at === 9 || at === 2000 ? "x" : each);
                return [
                    kinds("a\\nb\\nc\\n", "a\\nx\\nc\\n"), kinds("", "a\\n"), kinds("a\\n", ""),
                    kinds("a\\nb", "b\\na"), pieces("a\\n", "a\\n").length,
                    pieces(long.join("\\n"), changed.join("\\n")).map(each => each.length),
                    difference(long.join("\\n"), turned.join("\\n")).length,
                ];
            }"""
        )
        assert found[:5] == ["sa rb ax sc", "aa", "ra", "ra sb aa", 0]
        assert found[5:] == [[8, 8], 6000]


def test_a_keyboard_reaches_everything(conf: Cockpit) -> None:
    with conf.visit("settings") as visit:
        shown(visit, START)
        visit.frame.locator("#conf").focus()
        reached = []
        for _ in range(30):
            visit.page.keyboard.press("Tab")
            reached.append(
                visit.frame.evaluate("() => document.activeElement.id || document.activeElement.textContent")
            )
            if "who" in reached:
                break
        assert "who" in reached
