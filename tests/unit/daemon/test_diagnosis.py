"""What the doctor looks up, and what the daemon goes on doing meanwhile."""

import json
import threading
from pathlib import Path
from typing import cast

import pytest

from ltspd.daemon.diagnosis import RULESET, Diagnosis
from ltspd.dbus.systemd import Systemd
from ltspd.doctor import server
from ltspd.doctor.firewall import Ufw
from ltspd.doctor.server import Look
from ltspd.model.facts import Facts
from ltspd.model.finding import Finding
from ltspd.model.state import State
from ltspd.paths import Paths
from tests.worlds.planning import conf, link, world


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
    assert (look.ufw, look.saved) == (None, "")


@pytest.mark.parametrize(
    ("policy", "before", "ufw"),
    [
        ("DROP", "", Ufw("rules\n")),
        ("ACCEPT", "", Ufw("rules\n", drops=False, drops_routed=False)),
        # Rules that somebody wrote for what goes through, as ufw's manual says.
        ("DROP", "-A ufw-before-forward -i lan0 -j ACCEPT", Ufw("rules\n", drops_routed=False)),
        ("DROP", "-A ufw-before-forward -p icmp --icmp-type echo-request -j ACCEPT", Ufw("rules\n")),
    ],
)
async def test_ufw_and_the_saved_rules_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, before: str, ufw: Ufw
) -> None:
    looks: list[Look] = []

    def about(look: Look) -> tuple[Finding, ...]:
        looks.append(look)
        return ()

    monkeypatch.setattr(server, "about", about)
    for name, text in {
        "ufw/ufw.conf": "ENABLED=yes",
        "default/ufw": f'DEFAULT_INPUT_POLICY="{policy}"\nDEFAULT_FORWARD_POLICY="{policy}"',
        "ufw/before.rules": before,
        "ufw/user.rules": "rules",
        "nftables.conf": "flush ruleset",
    }.items():
        file = tmp_path / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    doctor = Diagnosis(Paths(tmp_path), cast(Systemd, Unit(tmp_path, "")))
    state = State(version="", base_directory="", tftp_directory="")
    await doctor.of("", state, world(conf(), Facts()), Facts(), (), ())
    assert [(each.ufw, each.saved) for each in looks] == [(ufw, "flush ruleset\n")]


# A socket of UDP at an address, as /proc/net/udp shows it.
SOCKET = "  1: {}:0FAB 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 {} 2 0 0"


async def test_who_has_a_port_at_another_address_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Look] = []

    def about(look: Look) -> tuple[Finding, ...]:
        looks.append(look)
        return ()

    monkeypatch.setattr(server, "about", about)
    # 127.0.0.53, 192.168.122.1, and the server's own address.
    addresses = ("3500007F", "017AA8C0", "0143A8C0")
    rows = [SOCKET.format(each, number) for number, each in enumerate(addresses)]
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/udp").write_text("\n".join(["header", *rows]))
    for number in range(len(addresses)):
        (tmp_path / f"proc/{number}/fd").mkdir(parents=True)
        (tmp_path / f"proc/{number}/fd/3").symlink_to(f"socket:[{number}]")
    doctor = Diagnosis(Paths(tmp_path), cast(Systemd, Unit(tmp_path, "")))
    state = State(version="", base_directory="", tftp_directory="")
    facts = Facts(links=(link("lan0", "192.168.67.1/24"),))
    await doctor.of("", state, world(conf(), facts), facts, (), ())
    assert [[each.pid for each in one.holders] for one in looks] == [[2]]
