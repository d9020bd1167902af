"""One output after the other: its files checked and written where they differ, then its unit. Edits stay."""

import logging
import time
from collections.abc import Iterable

from ltspd.apply.files import digest, digest_of, link, unwritten, write_atomically
from ltspd.apply.record import RecordFile
from ltspd.apply.units import Units
from ltspd.desired import File, Output
from ltspd.errors import ToolFailed
from ltspd.model import OutputState, OutputStatus
from ltspd.paths import Paths
from ltspd.run import run
from ltspd.services import Systemd

log = logging.getLogger(__name__)

# No event tells that a disk has room again, or that systemd answers: what couldn't be written, and what is
# not known of a unit, is looked at again after so many seconds.
RETRY = 10.0


class Applier:
    """Brings the disk and the units in line with outputs, and remembers what it wrote."""

    def __init__(self, paths: Paths, systemd: Systemd) -> None:
        """Use the record of an earlier run if there is one."""
        self._paths = paths
        self._file = RecordFile(paths.state / "outputs.json")
        self._record = self._file.record
        self._units = Units(paths, systemd, self._record)
        self._unwritten = False

    @property
    def again(self) -> float | None:
        """Seconds after which to look again though nothing may wake us; None: there is no need."""
        waits = [each for each in (RETRY if self._open else None, self._units.over_in) if each]
        return min(waits, default=None)

    @property
    def _open(self) -> bool:
        return self._unwritten or self._units.unanswered

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
            self._units.forgive()
        self._unwritten = self._units.unanswered = False
        statuses = []
        for output in outputs:
            state, message = await self._one(output, force)
            statuses.append(self._status(output, state, message))
            try:
                self._file.save()
            except OSError as error:
                self._unwritten = True
                log.warning("What was applied can't be recorded; it will be tried again: %s", error)
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
            await self._units.keep_running(output)
            names = ", ".join(edited)
            # A file of before the first pass was nobody's change of ours.
            how = "was changed by hand" if output.name in self._record.applied else "was there before ltspd"
            why = f"{names} {how} and is left alone; 'ltspctl apply --force' replaces it."
            return OutputState.EDITED, why
        try:
            await self._write(output)
        except ToolFailed as error:
            await self._units.keep_running(output)
            return OutputState.FAILED, f"not written, the last good one stays: {error}"
        except OSError as error:
            self._unwritten = True
            await self._units.keep_running(output)
            return OutputState.FAILED, unwritten(error)
        return await self._units.follow(output) if output.unit else (OutputState.IN_SYNC, "")

    def _changes(self, output: Output) -> list[File]:
        return [file for file in output.files if self._on_disk(file) != digest(file.data)]

    def _on_disk(self, file: File) -> str:
        return digest_of(self._paths.at(file.path))

    def _edited(self, file: File) -> bool:
        found = self._on_disk(file)
        ours = (self._record.files.get(file.path), self._record.writing.get(file.path))
        return found not in ("", digest(file.data), *ours)

    async def _write(self, output: Output) -> None:
        changes = self._changes(output)
        for file in changes:
            await self._check(output, file)
        if changes:
            self._record.writing |= {file.path: digest(file.data) for file in changes}
            self._file.save()
        for file in changes:
            write_atomically(self._paths.at(file.path), file.data, file.mode)
            log.info("Wrote %s (%s)", file.path, output.name)
        changed = bool(changes)
        for each in output.links:
            changed |= link(self._paths.at(each.path), each.target)
        for file in output.files:
            self._record.files[file.path] = digest(file.data)
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
