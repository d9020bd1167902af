"""Set-ups of which something goes wrong on the way: everything is as it was, and who asked learns why."""

import fcntl
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pytest

from ltspd.dbus.caller import CallError, Client, Unreachable
from ltspd.errors import ToolFailed
from ltspd.model.network import Link
from ltspd.paths import Paths
from ltspd.setup import __main__ as program
from ltspd.setup import arrange
from ltspd.setup.arrange import Arranger
from ltspd.setup.managers import Undo
from ltspd.setup.request import Change, Request
from tests.patience import PATIENCE
from tests.worlds.planning import link

CARDS = (link("lan0", "10.0.3.2/24"), link("wan0", "192.168.1.2/24", index=3))
TWO = Request.of({"kind": "dual", "lan": "lan0", "wan": "wan0"})


class Bus:
    """A system bus where everybody does what he is asked; ``calls`` are those to systemd."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def bus(self, *_words: object) -> tuple[bool]:
        return (False,)

    def call(self, _path: str, _interface: str, member: str, *_words: object, **_more: object) -> list[Any]:
        self.calls.append(member)
        return []


class Manager:
    """Has all cards, and fails with ``error`` when it makes a change, or undoes one."""

    name = "NetworkManager"
    present = True

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.stuck: Exception | None = None
        self.undone: list[Undo] = []

    def has(self, _link: str) -> bool:
        return True

    def difference(self, change: Change) -> list[str]:
        return [f"+ {change.link.name}"]

    def prepare(self, change: Change) -> Undo:
        return {"manager": self.name, "link": change.link.name}

    def apply(self, _change: Change, _undo: Undo) -> None:
        if self.error:
            raise self.error

    def undo(self, undo: Undo) -> None:
        if self.stuck:
            raise self.stuck
        self.undone.append(undo)


class Server:
    """One whose two cards a stand-in has."""

    def __init__(self, root: Path) -> None:
        self.paths, self.bus, self.manager = Paths(root), Bus(), Manager()
        self.arranger = self.made(self.paths, cast(Client, self.bus))

    def made(self, paths: Paths, client: Client) -> Arranger:
        arranger = Arranger(paths, client)
        arranger._nm = self.manager  # type: ignore[assignment]
        return arranger

    @property
    def record(self) -> Any:
        file = self.paths.state / "setup.json"
        return json.loads(file.read_text()) if file.exists() else None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    def cards() -> tuple[Link, ...]:
        return CARDS

    monkeypatch.setattr(arrange, "cards", cards)
    (tmp_path / "run/ltspd").mkdir(parents=True)
    return Server(tmp_path)


@pytest.mark.parametrize(
    "error", [ToolFailed("no cable"), CallError("org.x", "no cable"), Unreachable("the bus is gone")]
)
def test_whatever_stops_a_set_up_it_is_undone(server: Server, error: Exception) -> None:
    server.manager.error = error
    with pytest.raises(type(error)):
        server.arranger.make(TWO)
    assert ([each["link"] for each in server.manager.undone], server.record) == (["lan0"], None)


def test_what_could_not_be_undone_is_undone_later(server: Server) -> None:
    server.arranger.make(TWO)
    server.manager.stuck = CallError("org.x", "it is busy")
    with pytest.raises(ToolFailed, match="it is busy"):
        server.arranger.undo()
    assert [each["link"] for each in server.record["steps"]] == ["lan0"]
    server.manager.stuck = None
    server.arranger.undo()
    assert server.record is None


def test_the_minute_begins_when_the_set_up_is_there(server: Server) -> None:
    assert server.arranger.make(TWO).confirm
    # The first one is for a set-up that never comes to its end.
    assert server.bus.calls == ["RestartUnit", "RestartUnit"]


@pytest.fixture
def ask(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    monkeypatch.setattr(program, "Paths", lambda: server.paths)
    monkeypatch.setattr(program, "Client", lambda: server.bus)
    monkeypatch.setattr(program, "Arranger", server.made)

    def run(verb: str) -> int:
        monkeypatch.setattr(sys, "argv", ["setup", verb])
        return program.main()

    return run


def test_the_timer_answers_nobody(server: Server, ask: Callable[[str], int]) -> None:
    server.arranger.make(TWO)
    answer = server.paths.run / "setup.answer"
    # Somebody has asked for something else, and has not read the answer yet.
    answer.write_text("{}")
    assert (ask("rollback"), server.record, answer.read_text()) == (0, None, "{}")
    assert ask("confirm") == 0
    assert "no set-up to confirm" in json.loads(answer.read_text())["message"]


@pytest.mark.parametrize("confirmed", [True, False])
def test_who_had_to_wait_for_a_set_up_has_the_minute_after_it(
    server: Server, ask: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, confirmed: bool
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if confirmed:
            server.arranger.confirm()

    tried, flock = threading.Event(), fcntl.flock

    def locked(file: IO[str], how: int) -> None:
        try:
            flock(file, how)
        except BlockingIOError:
            tried.set()
            raise

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(fcntl, "flock", locked)
    with open(server.paths.run / "setup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Thread(target=ask, args=("rollback",))
        timer.start()
        assert tried.wait(PATIENCE)
        server.arranger.make(TWO)
        fcntl.flock(lock, fcntl.LOCK_UN)
    timer.join()
    assert (slept == [60], bool(server.record)) == (True, confirmed)
