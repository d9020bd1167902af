"""``ltspctl image test`` and tested builds against a daemon whose machine is a fake."""

from ltspd.errors import TestFailed as Refused
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import Ltspctl


async def test_a_test_that_ends_well(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.go.set()
    ran = await ltspctl("image", "test", "x86_64", "g1")
    assert ran.status == 0
    assert "login after 24 s (KVM)" in ran.out
    assert running.calls[-1][:3] == ("test", "x86_64", "g1")


async def test_a_test_that_fails_shows_the_consoles_end_line_by_line(
    ltspctl: Ltspctl, running: FakeServer
) -> None:
    running.build_error = Refused("It did not boot, and ends with:\n  Kernel panic\x1b[2J\n  the end")
    running.go.set()
    ran = await ltspctl("image", "test", "x86_64")
    assert ran.status == 1
    assert ran.err.endswith("ends with:\n  Kernel panic?[2J\n  the end\n")


async def test_it_can_be_started_only(ltspctl: Ltspctl, running: FakeServer) -> None:
    ran = await ltspctl("image", "test", "x86_64", "--no-wait", "--json")
    (job,) = running.jobs.all
    assert (job.kind, ran.json["Id"]) == ("test", job.id)
    assert (await ltspctl("job", "cancel", job.id)).status == 0


async def test_a_build_says_whether_it_wants_a_test(ltspctl: Ltspctl, running: FakeServer) -> None:
    running.go.set()
    for words, wanted in (([], {}), (["--test"], {"test": True}), (["--no-test"], {"test": False})):
        assert (await ltspctl("image", "build", "x86_64", *words)).status == 0
        assert running.calls[-1][2] == wanted
