"""Whether servers answer: when they are asked, what silence becomes, and that nobody asks at rest."""

import asyncio
from typing import cast

import pytest

from ltspd.apply import Applier, answers
from ltspd.dbus.systemd import Systemd, UnitStatus
from ltspd.errors import Unanswered
from ltspd.model.output import Output, OutputState
from ltspd.paths import Paths
from tests.worlds.applying import UNIT, FakeSystemd, apply, served

QUESTIONS = ("proxy:eth0:10.0.3.2", "real:eth1:192.168.67.1")


class Asked(FakeSystemd):
    """Systemd that knows the probes, too; those of ``silent`` links get no answer."""

    def __init__(self) -> None:
        super().__init__()
        self.probes: list[str] = []
        self.silent: set[str] = set()
        self.broken = ""
        self.invocation = "first"
        # After so many more calls it gives no answer.
        self.silent_after = 1000

    def _call(self, unit: str) -> None:
        self.silent_after -= 1
        if self.silent_after < 0:
            raise Unanswered(f"systemd does not say how {unit} is.")

    async def status(self, unit: str) -> UnitStatus:
        self._call(unit)
        found = await super().status(unit)
        return UnitStatus(unit, found.active, found.sub, found.result, invocation=self.invocation)

    async def act(self, method: str, unit: str) -> str:
        self._call(unit)
        if not unit.startswith("ltspd-probe@"):
            return await super().act(method, unit)
        assert method == "StartUnit"
        question = unit.removeprefix("ltspd-probe@").removesuffix(".service")
        self.probes.append(question)
        return self.broken or ("failed" if question.split(":")[1] in self.silent else "done")

    def asked(self) -> list[str]:
        """Return what was asked since the last time."""
        probes, self.probes = self.probes, []
        return probes


class Server:
    """An applier whose one output has questions; ``woken`` counts how often it asked for a look."""

    def __init__(self, paths: Paths) -> None:
        self.systemd = Asked()
        self.woken = 0
        self.applier = Applier(paths, cast(Systemd, self.systemd), self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def look(self, *outputs: Output) -> tuple[OutputState, str]:
        """Look once, and wait until all that is asked then has its answer."""
        status = await apply(self.applier, *(outputs or (served(questions=QUESTIONS),)))
        await asyncio.sleep(0)
        while tasks := [each for each in self.applier.answers._tasks.values() if not each.done()]:
            await asyncio.wait(tasks)
        return status.state, status.message


@pytest.fixture
def server(paths: Paths) -> Server:
    return Server(paths)


async def test_a_server_is_asked_once_it_runs_and_not_again_at_rest(server: Server) -> None:
    assert await server.look() == (OutputState.IN_SYNC, "")
    assert server.systemd.asked() == list(QUESTIONS)
    for _ in range(3):
        assert await server.look() == (OutputState.IN_SYNC, "")
    assert (server.systemd.asked(), server.woken, server.applier.again) == ([], 0, None)
    # systemd has started it anew, or it has something else to serve.
    server.systemd.invocation = "second"
    await server.look()
    assert server.systemd.asked() == list(QUESTIONS)
    await server.look(served(questions=QUESTIONS[:1]))
    assert server.systemd.asked() == list(QUESTIONS[:1])


async def test_silence_is_a_failure_that_names_the_unit_the_question_and_the_step(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.systemd.silent = {"eth1"}
    await server.look()
    assert server.woken == 1
    state, message = await server.look()
    assert state is OutputState.FAILED
    assert message.startswith(f"{UNIT} runs but does not answer DHCP on eth1 (192.168.67.1, port 67)")
    assert "eth0" not in message
    assert f"'systemctl restart {UNIT}'" in message
    # It is looked at again by itself, but not at every look.
    server.systemd.asked()
    assert server.applier.again == answers.PAUSE
    await server.look()
    assert server.systemd.asked() == []
    server.systemd.silent = set()
    monkeypatch.setattr(answers, "PAUSE", 0.0)
    await server.look()
    assert server.systemd.asked() == list(QUESTIONS)
    assert server.woken == 2
    assert await server.look() == (OutputState.IN_SYNC, "")


async def test_who_could_not_be_asked_is_not_silent(server: Server) -> None:
    for result in ("done", "canceled", "Unit ltspd-probe@x.service not found."):
        server.systemd.broken = result
        server.systemd.invocation = result
        await server.look()
        assert await server.look() == (OutputState.IN_SYNC, "")


async def test_a_clients_trouble_has_them_asked_again_but_not_all_the_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.look()
    server.systemd.asked()
    trouble = [{"Mac": "52:54:00:00:00:01", "Error": "no root"}]
    server.applier.answers.heard(trouble)
    await server.look()
    assert server.systemd.asked() == []
    assert server.woken == 0
    monkeypatch.setattr(answers, "PAUSE", 0.0)
    server.applier.answers.heard([{"Mac": "52:54:00:00:00:01", "Stage": "login"}])
    assert server.woken == 0
    server.applier.answers.heard(trouble)
    assert server.woken == 1
    await server.look()
    assert server.systemd.asked() == list(QUESTIONS)


async def test_what_does_not_run_is_not_asked(server: Server) -> None:
    server.systemd.result = "failed"
    await server.look()
    await server.look(served(questions=QUESTIONS, wanted=False))
    assert server.systemd.asked() == []


async def test_it_can_be_stopped_while_it_asks(server: Server) -> None:
    await apply(server.applier, served(questions=QUESTIONS))
    await server.applier.answers.stop()


@pytest.mark.parametrize("silent_after", range(4))
async def test_a_systemd_that_stops_answering_meanwhile_ends_nothing(
    server: Server, silent_after: int
) -> None:
    """It executes itself anew after an upgrade, at any moment of a pass."""
    server.systemd.silent_after = silent_after
    state, message = await server.look()
    assert (state, "systemd does not say" in message) in (
        (OutputState.PENDING, True), (OutputState.IN_SYNC, False),
    )  # fmt: skip
    assert all(task.exception() is None for task in server.applier.answers._tasks.values())
    server.systemd.silent_after = 1000
    server.systemd.asked()
    assert await server.look() == (OutputState.IN_SYNC, "")
    assert server.systemd.asked() == list(QUESTIONS)
