"""What was last applied, kept over restarts of the daemon. Decides nothing."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ltspd.apply.files import write_atomically


@dataclass(slots=True)
class Record:
    """What was last applied: digest of each file, the digest each unit runs with, times in µs.

    ``writing`` is kept before files are replaced: whatever interrupts that, both the old and the new
    content are then known as ours.
    """

    files: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)


class RecordFile:
    """The record in its file, which is written only when the record has changed."""

    def __init__(self, path: Path) -> None:
        """Use the record of an earlier run if there is one."""
        self._path = path
        self.record = self._load()
        self._saved = self._dump()

    def save(self) -> None:
        """Write the record if it changed; raises OSError."""
        data = self._dump()
        if data != self._saved:
            write_atomically(self._path, data)
            self._saved = data

    def _load(self) -> Record:
        try:
            whole = json.loads(self._path.read_bytes())
            return Record(**{name: dict(whole[name]) for name in Record.__slots__})
        except (OSError, ValueError, KeyError, TypeError):
            return Record()  # a first run; files that differ count as edited by somebody, nothing is lost

    def _dump(self) -> bytes:
        return json.dumps(asdict(self.record), indent=1, sort_keys=True).encode()
