"""What ltspctl does to an image besides building it: keeping generations, and choices of a build."""

import pytest

from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import Ltspctl


async def test_a_generation_is_kept_and_let_go(ltspctl: Ltspctl, running: FakeServer) -> None:
    assert (await ltspctl("image", "keep", "x86_64", "g1")).out == "x86_64: generation g1 is kept\n"
    shown = (await ltspctl("image", "show", "x86_64")).out
    (line,) = [each for each in shown.splitlines() if " kept " in each]
    assert line.split()[:2] == ["g1", "kept"]
    undone = await ltspctl("image", "keep", "x86_64", "g1", "--undo", "--json")
    assert undone.json == {"Name": "x86_64", "Generation": "g1", "Kept": False}
    generations = (await ltspctl("image", "show", "x86_64", "--json")).json["Generations"]
    assert [each["Kept"] for each in generations] == [False, False]
    assert (await ltspctl("image", "keep", "x86_64", "g7")).status == 1
    assert running.calls[0] == ("keep", "x86_64", "g1", True)


async def test_notes_on_what_was_built_are_shown(ltspctl: Ltspctl, running: FakeServer) -> None:
    text = "Notes on g2:\n  The exclude 'a b' leaves out nothing.\n"
    assert (await ltspctl("image", "show", "x86_64")).out.endswith("\n\n" + text)
    running.result = "g2"
    running.go.set()
    assert (await ltspctl("image", "build", "x86_64")).out.endswith(", g2\n" + text)
    running.result = "g1"
    assert "Notes" not in (await ltspctl("image", "build", "x86_64")).out


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--full"], {"full": True}),
        (["--kernel", "6.1.*"], {"kernel": "6.1.*"}),
        (["--kernel="], {"kernel": ""}),
        (["--full", "--background", "--kernel=*-lts"], {"full": True, "background": True, "kernel": "*-lts"}),
    ],
)
async def test_options_of_a_build_arrive(
    ltspctl: Ltspctl, running: FakeServer, options: list[str], sent: dict[str, object]
) -> None:
    assert (await ltspctl("image", "build", "x86_64", *options, "--no-wait")).status == 0
    assert running.calls[0][:3] == ("build", "x86_64", sent)
