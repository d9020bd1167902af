"""What was applied, kept over restarts of the daemon; every version reads every older version's file."""

import json
import logging
import shlex
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ltspd.model.output import Command, Output, Unit
from ltspd.paths import Paths
from ltspd.system.files import write_atomically

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Record:
    """What was applied: digest of each file, target of each link, the digest that each unit runs with.

    ``writing`` is kept before files are replaced: whatever interrupts that, both the old and the new
    content are then known as ours. A unit's digest is empty while it is not known to run with its files.
    ``commands`` leads from ``OUTPUT: UNDO`` to the command that this undoes, both as text for a shell.
    ``owners`` names the output that a file, a link, a unit or a command is part of; ``applied`` tells when an
    output changed last, in µs. Versions only ever add fields here, so each can read every other's record.
    """

    files: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)

    def own(self, output: Output) -> None:
        """Take note of what an output is going to consist of, before it does."""
        match output.activation:
            case Unit(name):
                self.units.setdefault(name, "")
            case Command(do):
                self.commands[output.key] = shlex.join(do)
        self.owners |= dict.fromkeys(_names(output), output.name)

    def left(self, known: Iterable[str], outputs: Iterable[Output], holding: Collection[str]) -> list[str]:
        """Return which of the paths, units or commands ``known`` no output needs any more.

        ``holding`` are the names of outputs that keep theirs all the same.
        """
        needed = {name for each in outputs if each.needed for name in _names(each)}
        return sorted(each for each in known if each not in needed and self.owners.get(each) not in holding)

    def keep_times(self, names: Iterable[str]) -> None:
        """Drop the times of outputs that are not among ``names`` and own nothing any more."""
        kept = {*names, *self.owners.values()}
        self.applied = {name: time for name, time in self.applied.items() if name in kept}

    def forget(self, name: str) -> None:
        """Drop a file, link, unit or command that is gone."""
        for slot in (self.files, self.writing, self.links, self.units, self.commands, self.owners):
            slot.pop(name, None)


class RecordFile:
    """The record in its file, which is written only when the record has changed."""

    def __init__(self, paths: Paths) -> None:
        """Use the record of an earlier run if there is one."""
        self._path = paths.state / "outputs.json"
        self.record = self._load()
        self._saved = self.dump()

    def save(self, data: bytes) -> None:
        """Write a record that was dumped if it differs from the last one; raises OSError."""
        if data != self._saved:
            write_atomically(self._path, data)
            self._saved = data

    def _load(self) -> Record:
        try:
            whole = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError) as error:
            whole = error
        # Only unreadable entries are dropped. A file without its entry is replaced, and a copy is kept.
        slots = whole if isinstance(whole, dict) else {}
        good = {
            each.name: _entries(slots.get(each.name, {}), int if each.name == "applied" else str)
            for each in fields(Record)
        }
        if slots is not whole or any(good[name] != slots[name] for name in good.keys() & slots.keys()):
            log.warning("%s is damaged; what can be read of it counts.", self._path)
        return Record(**good)

    def dump(self) -> bytes:
        """Return the record as it is now."""
        return json.dumps(asdict(self.record), indent=1, sort_keys=True).encode()


def _names(output: Output) -> list[str]:
    files, links = (each.path for each in output.files), (each.path for each in output.links)
    return [*files, *links, *([output.key] if output.key else [])]


def _entries(slot: object, kind: type) -> dict[str, Any]:
    found = slot.items() if isinstance(slot, dict) else ()
    return {name: value for name, value in found if isinstance(value, kind)}
