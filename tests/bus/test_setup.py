"""``ltspctl setup``: roles, what LTSP left, the first image; and undoing the move from LTSP."""

import os
from dataclasses import replace

import pytest

from ltspd.errors import ToolFailed
from ltspd.model.facts import Leftover
from ltspd.model.image import ImageState
from ltspd.model.state import ConfigFinding
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import Ltspctl, on_terminal

BUILT = ImageState("x86_64", "/", "g1")
DNSMASQ = Leftover("/etc/dnsmasq.d/ltsp-dnsmasq.conf", "answers DHCP", "run 'ltspctl setup'", True, True)
IMAGE = Leftover("/srv/ltsp/images/a.img", "is an image of LTSP", "remove it", False, False)


NEVER_BUILT = ImageState("x86_64", "/", "")


async def test_setup_builds_the_first_image_and_then_only_says_so(
    ltspctl: Ltspctl, running: FakeServer
) -> None:
    running.set(images=(NEVER_BUILT,), problems=())
    asked = await ltspctl("setup")
    assert (asked.status, "add --yes" in asked.err) == (1, True)
    running.go.set()
    ran = await ltspctl("setup", "--yes")
    assert running.calls == [("build", "x86_64", {}, os.getuid())]
    assert "eth0  real  10.0.0.1/24  gives addresses and boots clients" in ran.out
    assert "build of x86_64: done in" in ran.out
    # The stand-in publishes no image for its build; a server does.
    assert ran.status == 1
    running.set(images=(ImageState("x86_64", "/", "g1"),))
    again = await ltspctl("setup", "--yes")
    assert (again.status, len(running.calls)) == (0, 1)
    assert "boots from the network at eth0; it gets x86_64" in again.out
    found = (await ltspctl("setup", "--json")).json
    assert (found["Ready"], found["Job"], found["Links"][0]["Dhcp"]) == (True, None, "real")


async def test_setup_follows_the_build_that_is_under_way(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.set(images=(NEVER_BUILT,))
    job = await running.builds.start("x86_64", {}, 0)
    running.set(images=(replace(NEVER_BUILT, job=job),))
    running.go.set()
    assert "build of x86_64: done" in (await ltspctl("setup", "--yes")).out
    assert len(running.calls) == 1


@pytest.mark.parametrize(
    ("sources", "built"),
    [
        (("/", "/srv/ltsp/a"), "i1"),
        (("/srv/ltsp/a", "/srv/ltsp/b"), ""),
        (("/", "/srv/ltsp/a", "/srv/ltsp/b"), ""),
        (("/",), "i0"),
        ((), ""),
    ],
)
async def test_setup_builds_only_what_nobody_must_choose(
    ltspctl: Ltspctl, running: FakeServer, sources: tuple[str, ...], built: str
) -> None:
    running.set(images=tuple(ImageState(f"i{at}", path, "") for at, path in enumerate(sources)))
    ran = await ltspctl("setup", "--yes", "--no-wait")
    assert ran.status == 0
    assert [call[1] for call in running.calls] == ([built] if built else [])
    assert ("being built" in ran.out) == bool(built)


async def test_setup_fails_with_the_build(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.set(images=(NEVER_BUILT,))
    running.build_error = ToolFailed("No space left")
    running.go.set()
    ran = await ltspctl("setup", "--yes")
    assert (ran.status, "No space left" in ran.err) == (1, True)
    assert "Correct what the build said" in ran.out


async def test_setup_asks_on_a_terminal(running: FakeServer, bus_address: str) -> None:
    running.set(images=(NEVER_BUILT,))
    text = await on_terminal(bus_address, "setup", answer=b"n\n", status=1)
    assert "Build the image x86_64 now? [Y/n]" in text
    assert running.calls == []


async def test_setup_reports_what_ltsp_left_and_takes_over(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.set(images=(BUILT,), leftovers=(DNSMASQ, IMAGE))
    running.findings = (ConfigFinding("warning", "/etc/ltsp/ltsp.conf", 9, 0, "no effect yet: NAT"),)
    asked = await ltspctl("setup")
    assert (asked.status, running.calls) == (1, [("check",)])
    assert "Files of LTSP are to be moved aside, and nobody can be asked" in asked.err
    ran = await ltspctl("setup", "--yes")
    assert ran.status == 0
    assert running.calls[1:] == [("check",), ("take over",)]
    assert "/etc/dnsmasq.d/ltsp-dnsmasq.conf\n    answers DHCP; it is to be moved aside.\n" in ran.out
    assert "/srv/ltsp/images/a.img\n    is an image of LTSP; remove it.\n" in ran.out
    assert "line 9: no effect yet: NAT" in ran.out
    assert "Moved aside: /etc/dnsmasq.d/ltsp-dnsmasq.conf. 'ltspctl setup --undo' undoes that." in ran.out
    again = await ltspctl("setup", "--yes")
    assert "/etc/dnsmasq.d/ltsp-dnsmasq.conf of LTSP: moved aside" in again.out
    assert running.calls[3:] == []


async def test_json_takes_over_only_if_told_so(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.set(images=(BUILT,), leftovers=(DNSMASQ,))
    found = (await ltspctl("setup", "--json")).json
    assert (found["Moved"], found["Remains"][0]["Harms"], running.calls) == ([], True, [])
    found = (await ltspctl("setup", "--json", "--yes")).json
    assert (found["Moved"], found["Remains"]) == (["/etc/dnsmasq.d/ltsp-dnsmasq.conf"], [])


async def test_a_person_is_asked_before_anything_moves(running: FakeServer, bus_address: str) -> None:
    running.set(images=(BUILT,), leftovers=(DNSMASQ,))
    text = await on_terminal(bus_address, "setup", answer=b"n\n")
    assert "Machines that LTSP booted and that still run may lose their roots" in text
    assert "Take over from LTSP now? [Y/n]" in text
    assert running.calls == [("check",)]
    await on_terminal(bus_address, "setup", answer=b"\n")
    assert running.calls[2:] == [("take over",)]


async def test_undo_puts_back_and_nothing_else(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.set(images=(NEVER_BUILT,), set_aside=("/etc/a", "/etc/b"))
    ran = await ltspctl("setup", "--undo")
    assert (ran.status, ran.out.startswith("Put back: /etc/a, /etc/b. Services")) == (0, True)
    assert running.calls == [("give back",)]
    assert "Nothing was moved aside" in (await ltspctl("setup", "--undo")).out
    assert (await ltspctl("setup", "--undo", "--json")).json == {"Restored": [], "SetAside": []}


# ---- the server's cards ------------------------------------------------------------------------------

DUAL = ("setup", "dual", "--wan", "eth0", "--lan", "eth1")


async def test_cards_are_set_up_by_one_command(ltspctl: Ltspctl, running: FakeServer) -> None:
    shown = await ltspctl(*DUAL, "--address", "10.0.5.1/24", "--dry-run")
    words = {"kind": "dual", "lan": "eth1", "wan": "eth0", "address": "10.0.5.1/24"}
    assert (shown.status, running.calls) == (0, [("set up", "plan", words)])
    assert "+ a file\n+ a rule\nNothing was changed." in shown.out
    assert "Note: eth1 has no cable." in shown.err
    running.calls.clear()
    assert "'ltspctl setup undo' undoes it" in (await ltspctl("setup", "single", "--dns")).out
    assert running.calls[0] == ("set up", "make", {"kind": "single", "dns": True})
    assert (await ltspctl("setup", "single", "--json")).json["Changes"] == ["+ a file", "+ a rule"]


async def test_a_card_that_is_not_there_is_named(ltspctl: Ltspctl, running: FakeServer) -> None:
    ran = await ltspctl("setup", "single", "--lan", "eth9")
    assert (ran.status, ran.err) == (
        1,
        "ltspctl: There is no card 'eth9'; 'ltspctl link list' shows the cards.\n",
    )


async def test_what_may_cut_a_connection_is_kept_by_a_word_only(
    ltspctl: Ltspctl, running: FakeServer
) -> None:
    running.confirm = True
    assert "'ltspctl setup confirm' keeps it" in (await ltspctl(*DUAL)).out
    assert [call[1] for call in running.calls if call[0] == "set up"] == ["make"]
    await ltspctl(*DUAL, "--yes")
    await ltspctl("setup", "confirm")
    verbs = [call[1] for call in running.calls if call[0] == "set up"]
    assert verbs == ["make", "make", "confirm", "confirm"]


async def test_undoing_says_what_it_took_away(ltspctl: Ltspctl, running: FakeServer) -> None:
    assert "There is no set-up" in (await ltspctl("setup", "undo")).out
    running.set(set_up="dual")
    assert "+ a rule" in (await ltspctl("setup", "undo")).out
