"""What the bench tells the program that simulates a room, and what that tells back: files of JSON."""

import json
import resource
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bench.steps import Planned, Step


@dataclass(frozen=True, slots=True)
class Machine:
    """A client: its card in the namespace, its addresses, and the seconds until it is switched on."""

    device: str
    mac: str
    address: str
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """All clients, and what each does.

    ``recorded`` is the real client; ``tail`` the seconds from its last answer to its login prompt. Times to
    think count ``think``-fold. ``tftp`` is the program for TFTP. A boot fails after ``patience`` seconds.
    So many clients get a large file by HTTP at the same time as ``at_once`` says; 0: all.
    """

    server: str
    recorded: Machine
    machines: tuple[Machine, ...]
    steps: tuple[Planned, ...]
    tail: float
    tftp: str
    think: float = 1.0
    patience: float = 900.0
    at_once: int = 0

    def changes(self, machine: Machine) -> Iterator[tuple[bytes, bytes]]:
        """Yield what differs in each client's questions and has one length: addresses of cards and hosts."""
        old, new = self.recorded, machine
        for change in (str, str.upper):
            for between in (":", "%3A", "-", ""):
                words = [change(each.mac).replace(":", between).encode() for each in (old, new)]
                yield words[0], words[1]
        yield bytes.fromhex(old.mac.replace(":", "")), bytes.fromhex(new.mac.replace(":", ""))
        yield IPv4Address(old.address).packed, IPv4Address(new.address).packed

    def names(self, machine: Machine) -> Iterator[tuple[bytes, bytes]]:
        """Yield what else is another client's in texts."""
        yield self.recorded.address.encode(), machine.address.encode()
        last = [each.address.rpartition(".")[2] for each in (self.recorded, machine)]
        yield f"hostname=ltsp{last[0]}\n".encode(), f"hostname=ltsp{last[1]}\n".encode()

    def save(self, file: Path) -> None:
        """Write it."""
        steps = [(_words(each.step), each.needs, each.think) for each in self.steps]
        rest = {
            name: getattr(self, name) for name in ("server", "tail", "tftp", "think", "patience", "at_once")
        }
        machines = [asdict(each) for each in self.machines]
        file.write_text(
            json.dumps({**rest, "recorded": asdict(self.recorded), "machines": machines, "steps": steps})
        )

    @staticmethod
    def load(file: Path) -> "Room":
        """Read it, and let the process open as many files as there may be."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        data: dict[str, Any] = json.loads(file.read_text())
        data["recorded"] = Machine(**data["recorded"])
        data["machines"] = tuple(Machine(**each) for each in data["machines"])
        data["steps"] = tuple(
            Planned(_step(step), tuple(needs), think) for step, needs, think in data["steps"]
        )
        return Room(**data)


@dataclass(slots=True)
class Outcome:
    """What came of one client: seconds to its login prompt since it was switched on, and since the room was.

    ``failed`` says why it never got there. ``waited`` is seconds for answers of each way, ``again`` the
    questions by UDP that were asked again, ``unheard`` the reports that nobody took.
    """

    login: float | None = None
    last: float | None = None
    failed: str = ""
    waited: dict[str, float] = field(default_factory=dict)
    again: int = 0
    unheard: int = 0

    def as_json(self) -> Mapping[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def _words(step: Step) -> dict[str, Any]:
    found = asdict(step)
    return found | {
        "said": step.said.hex(),
        "answer": step.answer.hex(),
        "tokens": [each.hex() for each in step.tokens],
    }


def _step(words: dict[str, Any]) -> Step:
    words["said"] = bytes.fromhex(words["said"])
    words["answer"] = bytes.fromhex(words["answer"])
    words["tokens"] = tuple(bytes.fromhex(each) for each in words["tokens"])
    return Step(**words)
