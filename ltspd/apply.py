"""Files -> disk, and units that follow them: atomic, checked, only what differs, edits never lost."""

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ltspd.desired import File, Output
from ltspd.errors import ToolFailed
from ltspd.model import OutputState, OutputStatus
from ltspd.paths import Paths
from ltspd.run import run
from ltspd.services import Systemd
from ltspd.trouble import Troubles

log = logging.getLogger(__name__)

# No event tells that a disk has room again, so what couldn't be written is tried again after so many seconds.
RETRY = 10.0


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


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file by rename, so that readers see the old or the new one and never a part."""
    try:
        _write_atomically(path, data, mode)
    except OSError as error:
        # A full disk is noticed when data is written, which doesn't say of what file.
        error.filename = error.filename or str(path)
        raise


def _write_atomically(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with ExitStack() as undo:
        undo.callback(temporary.unlink, missing_ok=True)
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        undo.pop_all()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _unwritten(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"not written, the last good one stays: no space is left for {error.filename or 'it'}. "
            "Make room on that file system; it is tried again by itself."
        )
    return f"not written, the last good one stays, and it is tried again: {error}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Applier:
    """Brings the disk and the units in line with outputs, and remembers what it wrote."""

    def __init__(self, paths: Paths, systemd: Systemd) -> None:
        """Use the record of an earlier run if there is one."""
        self._paths = paths
        self._systemd = systemd
        self._record_path = paths.state / "outputs.json"
        self._record = self._load()
        self._saved = self._dump()
        # What a unit was last asked to run with: one that failed with it is systemd's to retry.
        self._asked: dict[str, str] = {}
        self._troubles = Troubles(paths)
        self._unwritten = False

    @property
    def again(self) -> float | None:
        """Seconds after which to look again though nothing may wake us; None: there is no need."""
        waits = [each for each in (RETRY if self._unwritten else None, self._troubles.over_in) if each]
        return min(waits, default=None)

    def pending(self, outputs: Iterable[Output]) -> bool:
        """Return whether applying would write any file."""
        return any(self._changes(output) for output in outputs if not output.missing)

    async def apply(
        self, outputs: Iterable[Output], *, force: bool = False, retry: bool = False
    ) -> tuple[OutputStatus, ...]:
        """Apply each output on its own, so that one that fails takes no other along.

        ``retry`` starts units again that failed with their present files; ``force`` also overwrites edits.
        """
        if force or retry:
            self._asked.clear()
        self._unwritten = False
        statuses = []
        for output in outputs:
            state, message = await self._one(output, force)
            statuses.append(self._status(output, state, message))
            try:
                self._save()
            except OSError as error:
                self._unwritten = True
                log.warning("%s can't be written; it will be tried again: %s", self._record_path, error)
        return tuple(statuses)

    def preview(self, output: Output) -> str:
        """Return what applying would change: the wanted text of each file that differs."""
        parts = []
        for file in self._changes(output):
            text = (
                file.data.decode(errors="replace")
                if b"\0" not in file.data
                else f"({len(file.data)} bytes)\n"
            )
            parts.append(f"--- {file.path}\n{text}")
        return "".join(parts) or "Nothing would change.\n"

    def _status(self, output: Output, state: OutputState, message: str) -> OutputStatus:
        paths = tuple(file.path for file in output.files) + tuple(link.path for link in output.links)
        applied = self._record.applied.get(output.name, 0)
        return OutputStatus(output.name, paths, output.unit, state, message, applied)

    async def _one(self, output: Output, force: bool) -> tuple[OutputState, str]:
        if output.missing:
            return (OutputState.FAILED if output.wanted else OutputState.DISABLED), output.missing
        edited = [] if force else [file.path for file in output.files if self._edited(file)]
        if edited:
            await self._keep_running(output)
            names = ", ".join(edited)
            # A file of before the first pass was nobody's change of ours.
            how = "was changed by hand" if output.name in self._record.applied else "was there before ltspd"
            why = f"{names} {how} and is left alone; 'ltspctl apply --force' replaces it."
            return OutputState.EDITED, why
        try:
            await self._write(output)
        except ToolFailed as error:
            await self._keep_running(output)
            return OutputState.FAILED, f"not written, the last good one stays: {error}"
        except OSError as error:
            self._unwritten = True
            await self._keep_running(output)
            return OutputState.FAILED, _unwritten(error)
        return await self._run(output) if output.unit else (OutputState.IN_SYNC, "")

    def _changes(self, output: Output) -> list[File]:
        return [file for file in output.files if self._on_disk(file) != _digest(file.data)]

    def _on_disk(self, file: File) -> str:
        try:
            return _digest(self._paths.at(file.path).read_bytes())
        except OSError:
            return ""

    def _edited(self, file: File) -> bool:
        found = self._on_disk(file)
        ours = (self._record.files.get(file.path), self._record.writing.get(file.path))
        return found not in ("", _digest(file.data), *ours)

    async def _write(self, output: Output) -> None:
        changes = self._changes(output)
        for file in changes:
            await self._check(output, file)
        if changes:
            self._record.writing |= {file.path: _digest(file.data) for file in changes}
            self._save()
        for file in changes:
            write_atomically(self._paths.at(file.path), file.data, file.mode)
            log.info("Wrote %s (%s)", file.path, output.name)
        changed = bool(changes)
        for link in output.links:
            changed |= self._link(link.path, link.target)
        for file in output.files:
            self._record.files[file.path] = _digest(file.data)
            self._record.writing.pop(file.path, None)
        if changed or output.name not in self._record.applied:
            self._record.applied[output.name] = time.time_ns() // 1000

    async def _check(self, output: Output, file: File) -> None:
        if not output.check:
            return
        # Not beside the file: that directory is watched, and a candidate that fails would wake us for ever.
        candidate = self._paths.run / f"{output.name}.candidate"
        try:
            write_atomically(candidate, file.data, 0o600)
            await run([part.replace("{}", str(candidate)) for part in output.check])
        finally:
            candidate.unlink(missing_ok=True)

    def _link(self, path: str, target: str) -> bool:
        place = self._paths.at(path)
        if place.is_symlink() and str(place.readlink()) == target:
            return False
        if place.exists() and not place.is_symlink():
            return False  # somebody's own file or directory serves as well; it is not ours to remove
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.rename(place)
        return True

    async def _run(self, output: Output) -> tuple[OutputState, str]:
        unit = output.unit
        if not self._systemd.present:
            if not output.wanted:
                return OutputState.DISABLED, ""
            return OutputState.FAILED, f"{unit} can't be started: systemd is not reachable."
        await self._systemd.watch([unit])
        status = await self._systemd.status(unit)
        if not output.wanted:
            self._asked.pop(unit, None)
            ours = self._record.units.pop(unit, None) is not None
            if status.active not in ("inactive", "failed") and (ours or not output.shared):
                await self._systemd.act("ReloadUnit" if output.shared else "StopUnit", unit)
            return OutputState.DISABLED, ""
        digest = _digest(b"".join(file.data for file in output.files))
        asked = self._asked.get(unit) == digest
        ailing = self._troubles.keeps_ending(status)
        if ailing and asked:
            return OutputState.FAILED, await self._troubles.why(output, status)
        if status.active == "active" and (output.follows or asked or self._record.units.get(unit) == digest):
            self._record.units[unit] = self._asked[unit] = digest
            return OutputState.IN_SYNC, ""
        starting = status.active == "activating" and status.sub != "auto-restart"
        # Between two runs it is dead for a moment, with systemd's job to start it waiting.
        if asked and (starting or (status.active == "inactive" and status.job)):
            return OutputState.PENDING, f"{unit} is starting."
        if status.active != "active" and asked:
            # Started once with these very files: what ended it since was systemd's to mend (Restart=), or
            # somebody's wish. Starting it at every wake-up would hammer it.
            return OutputState.FAILED, await self._troubles.why(output, status)
        self._asked[unit] = digest
        reload = output.reload and status.active == "active"
        result = await self._systemd.act("ReloadUnit" if reload else "RestartUnit", unit)
        if result != "done":
            self._record.units.pop(unit, None)
            if reload:
                self._asked.pop(unit)
            status = await self._systemd.status(unit)
            return OutputState.FAILED, await self._troubles.why(output, status, result)
        log.info("%s %s (%s)", "Reloaded" if reload else "Started", unit, output.name)
        self._record.units[unit] = digest
        self._record.applied[output.name] = time.time_ns() // 1000
        return OutputState.IN_SYNC, ""

    async def _keep_running(self, output: Output) -> None:
        """Start a unit as its files are, once, when those could not be brought up to date."""
        if not (output.unit and output.wanted and self._systemd.present):
            return
        if output.unit in self._asked or not all(map(self._on_disk, output.files)):
            return
        await self._systemd.watch([output.unit])
        if (await self._systemd.status(output.unit)).active == "inactive":
            self._asked[output.unit] = ""
            await self._systemd.act("StartUnit", output.unit)

    def _load(self) -> Record:
        try:
            whole = json.loads(self._record_path.read_bytes())
            return Record(**{name: dict(whole[name]) for name in Record.__slots__})
        except (OSError, ValueError, KeyError, TypeError):
            return Record()  # a first run; files that differ count as edited by somebody, nothing is lost

    def _dump(self) -> bytes:
        return json.dumps(asdict(self._record), indent=1, sort_keys=True).encode()

    def _save(self) -> None:
        data = self._dump()
        if data != self._saved:
            write_atomically(self._record_path, data)
            self._saved = data
