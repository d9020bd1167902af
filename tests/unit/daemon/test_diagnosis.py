"""What the doctor looks up, and what the daemon goes on doing meanwhile."""

import json
import threading
from pathlib import Path
from typing import cast

import pytest

from ltspd.daemon.diagnosis import RULESET, Diagnosis
from ltspd.dbus.systemd import Systemd
from ltspd.doctor import server
from ltspd.doctor.server import Look
from ltspd.model.facts import Facts
from ltspd.model.finding import Finding
from ltspd.model.state import State
from ltspd.paths import Paths
from tests.worlds.planning import conf, world


class Unit:
    """Reads no rules, but leaves those that the unit would leave."""

    def __init__(self, root: Path, text: str) -> None:
        self.file, self.text = root / RULESET.lstrip("/"), text

    async def act(self, _method: str, _unit: str) -> str:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.text)
        return "done"


@pytest.mark.parametrize(("text", "rules"), [(json.dumps({"nftables": []}), {"nftables": []}), ("", None)])
async def test_rules_are_weighed_beside_the_daemons_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, rules: object
) -> None:
    looks: list[tuple[threading.Thread, Look]] = []

    def about(look: Look) -> tuple[Finding, ...]:
        looks.append((threading.current_thread(), look))
        return ()

    monkeypatch.setattr(server, "about", about)
    unit = Unit(tmp_path, text)
    doctor = Diagnosis(Paths(tmp_path), cast(Systemd, unit))
    state = State(version="", base_directory="", tftp_directory="")
    assert await doctor.of("", state, world(conf(), Facts()), Facts(), (), ()) == ()
    ((thread, look),) = looks
    assert thread is not threading.main_thread()
    assert look.ruleset == rules
    assert not unit.file.exists()
