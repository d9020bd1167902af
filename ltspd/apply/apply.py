"""Outputs: their files first, where they differ; then what none needs goes; then units and commands follow.

The disk is read and written in threads: a slow one must not keep anybody waiting for an answer on the bus.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from ltspd.apply.answers import Answers
from ltspd.apply.commands import RETRY, Commands, run_briefly
from ltspd.apply.record import RecordFile
from ltspd.apply.units import Units
from ltspd.dbus.systemd import Systemd
from ltspd.errors import ToolFailed, Unanswered
from ltspd.model.output import Command, File, Finding, Output, OutputState, OutputStatus, Unit
from ltspd.model.state import Problem
from ltspd.names import UNIT_PREFIX
from ltspd.paths import Paths
from ltspd.system.files import (
    digest,
    digest_of,
    is_open_to_more,
    leads_to,
    link,
    remove,
    unwritten,
    write_atomically,
)

log = logging.getLogger(__name__)


class Applier:
    """Brings the disk, units and commands in line with outputs, and remembers what it did."""

    def __init__(
        self,
        paths: Paths,
        systemd: Systemd,
        wake: Callable[[], None] = lambda: None,
        units: Iterable[str] = (),
    ) -> None:
        """Use the record of an earlier run if there is one; ``wake`` asks for another look.

        Those of ``units`` that are ours alone are stopped where no output needs them, recorded or not.
        """
        self._paths = paths
        self._ours = {each for each in units if each.startswith(UNIT_PREFIX)}
        self._file = RecordFile(paths)
        self._record = self._file.record
        self._units = Units(paths, systemd, self._record)
        self._commands = Commands(paths, self._record)
        self.answers = Answers(systemd, wake)
        self._recording = asyncio.Lock()
        self._unwritten = False
        # What no output needs any more and could not be undone, or was changed by hand since.
        self.left: tuple[Problem, ...] = ()

    @property
    def again(self) -> float | None:
        """Seconds after which to look again though nothing may wake us; None: there is no need."""
        waits = (RETRY if self._open else None, self._units.over_in, self.answers.again)
        return min((each for each in waits if each), default=None)

    @property
    def _open(self) -> bool:
        return self._unwritten or self._units.unanswered or self._commands.failing

    def pending(self, outputs: Iterable[Output]) -> bool:
        """Return whether applying would write any file."""
        return any(self._changes(output) for output in outputs if output.needed)

    async def apply(
        self, outputs: Iterable[Output], *, force: bool = False, retry: bool = False
    ) -> tuple[OutputStatus, ...]:
        """Apply each output by itself, so that a failure of one does not stop the others.

        ``retry`` starts units and commands again that failed with their present files. So does ``force``,
        which also overwrites edited files and gives up on commands that can't be undone.
        """
        if force or retry:
            self._units.forgive()
            self._commands.forgive()
            self.answers.doubt(0)
        self._unwritten = self._units.unanswered = False
        outputs = tuple(outputs)
        needed = [each for each in outputs if each.needed]
        # Side by side, because most of the time goes by waiting for checks and for the disk.
        found = await asyncio.gather(*(self._files(each, force) for each in needed))
        hindered = {each.name: why for each, why in zip(needed, found, strict=True) if why}
        for output in (each for each in needed if each.name in hindered):
            await self._keep_running(output)
        await self._save()
        # What is not needed ends before its successor starts, because both may need the same port. An output
        # whose new files could not be written keeps what it had.
        gone = await self._leave(outputs, hindered.keys(), force)
        await self._save()
        statuses = []
        for output in outputs:
            state, message = hindered.get(output.name) or await self._follow(output, gone)
            if state is OutputState.IN_SYNC:
                state, message = await self._answers(output)
            statuses.append(self._status(output, state, message))
            await self._save()
        return tuple(statuses)

    async def _save(self) -> None:
        try:
            await self._keep_record()
        except OSError as error:
            self._unwritten = True
            log.warning("What was applied can't be recorded; it will be tried again: %s", error)

    async def _keep_record(self) -> None:
        """Write the record; who waited for another one's writing often finds its own part in it."""
        async with self._recording:
            await asyncio.to_thread(self._file.save, self._file.dump())

    def preview(self, output: Output) -> str:
        """Return as text what applying would change: files written and removed, and commands undone."""
        parts = []
        for file in self._changes(output) if output.needed else ():
            text = (
                file.data.decode(errors="replace")
                if b"\0" not in file.data
                else f"({len(file.data)} bytes)\n"
            )
            parts.append(f"--- {file.path}\n{text}")
        mine = (each for each, owner in self._record.owners.items() if owner == output.name)
        gone = self._record.left(mine, (output,), ())
        parts += (
            f"--- {each}\n({'run' if each in self._record.commands else 'removed'})\n"
            for each in gone
            if each not in self._record.units
        )
        return "".join(parts) or "Nothing would change.\n"

    def _status(self, output: Output, state: OutputState, message: str) -> OutputStatus:
        paths = tuple(file.path for file in output.files) + tuple(link.path for link in output.links)
        applied = self._record.applied.get(output.name, 0)
        return OutputStatus(output.name, paths, output.unit, state, message, applied)

    async def _files(self, output: Output, force: bool) -> Finding | None:
        """Write the files that differ; return what hinders that, or None."""
        edited = [] if force else await asyncio.to_thread(self._edited, output)
        if edited:
            names = ", ".join(edited)
            # Before its first pass we had written nothing that somebody could have changed.
            how = "was changed by hand" if output.name in self._record.applied else "was there before ltspd"
            why = f"{names} {how} and is left alone; 'ltspctl apply --force' replaces it."
            return OutputState.EDITED, why
        try:
            await self._write(output)
        except ToolFailed as error:
            return OutputState.FAILED, f"not written, the last good one stays: {error}"
        except OSError as error:
            self._unwritten = True
            return OutputState.FAILED, unwritten(error)
        return None

    async def _follow(self, output: Output, gone: Mapping[str, Finding]) -> Finding:
        if output.missing:
            return (OutputState.FAILED if output.wanted else OutputState.DISABLED), output.missing
        if not output.wanted:
            return gone.get(output.key, (OutputState.DISABLED, ""))
        match output.activation:
            case Unit() as unit:
                return await self._units.follow(output, unit)
            case Command() as command:
                return await self._commands.follow(output, command)
        return OutputState.IN_SYNC, ""

    async def _answers(self, output: Output) -> Finding:
        """Return how an output is that is in sync, by whether its server answers."""
        try:
            message = await self.answers.look(output)
        except Unanswered as error:
            self._units.unanswered = True
            return OutputState.PENDING, error.message
        return (OutputState.FAILED if message else OutputState.IN_SYNC), message

    async def _keep_running(self, output: Output) -> None:
        match output.activation:
            case Unit():
                await self._units.keep_running(output)
            case Command() as command:
                await self._commands.keep_running(output, command)

    async def _leave(
        self, outputs: tuple[Output, ...], hindered: Collection[str], force: bool
    ) -> dict[str, Finding]:
        """Undo what no output needs any more, and return how the units and commands among it are now.

        Only the record counts: outputs that this release doesn't know are undone as well.
        """
        record, left = self._record, []
        for path in record.left({*record.files, *record.writing}, outputs, hindered):
            left += await asyncio.to_thread(self._remove, path, force)
        for path in record.left(record.links, outputs, hindered):
            if leads_to(self._paths.at(path), record.links[path]):
                left += await asyncio.to_thread(self._unlink, path)
            else:
                record.forget(path)  # somebody has replaced it
        known = {
            *record.units,
            *self._ours,
            *(each.unit for each in outputs if each.unit.startswith(UNIT_PREFIX)),
        }
        gone = {unit: await self._units.leave(unit) for unit in record.left(known, outputs, hindered)}
        for key in record.left(record.commands, outputs, hindered):
            gone[key] = await self._commands.leave(key, force=force)
        # A present output tells of its own unit or command.
        told = {each.key for each in outputs if not each.missing}
        left += (
            Problem(key, message)
            for key, (state, message) in gone.items()
            if state is OutputState.FAILED and key not in told
        )
        record.keep_times(each.name for each in outputs)
        self.left = tuple(left)
        return gone

    def _remove(self, path: str, force: bool) -> list[Problem]:
        found = digest_of(self._paths.at(path))
        if force or found in ("", self._record.files.get(path), self._record.writing.get(path)):
            return self._unlink(path)
        return [
            Problem(
                path,
                "nothing needs it now, but it was changed by hand, so it is left there; "
                "'ltspctl apply --force' removes it. Under another name it may stay.",
            )
        ]

    def _unlink(self, path: str) -> list[Problem]:
        try:
            remove(self._paths.at(path))
        except OSError as error:
            self._unwritten = True
            return [Problem(path, f"nothing needs it now, but it can't be removed: {error.strerror}.")]
        log.info("Removed %s, which nothing needs now", path)
        self._record.forget(path)
        return []

    def _changes(self, output: Output) -> list[File]:
        return [
            file
            for file in output.files
            if self._on_disk(file) != digest(file.data)
            or is_open_to_more(self._paths.at(file.path), file.mode)
        ]

    def _on_disk(self, file: File) -> str:
        return digest_of(self._paths.at(file.path))

    def _edited(self, output: Output) -> list[str]:
        paths = []
        for file in output.files:
            ours = (self._record.files.get(file.path), self._record.writing.get(file.path))
            if self._on_disk(file) not in ("", digest(file.data), *ours) and not self._unsure(file):
                paths.append(file.path)
        return paths

    def _unsure(self, file: File) -> bool:
        """Whether a file is ours, but its entry in the record was damaged, so what we wrote is not known."""
        record, path = self._record, file.path
        return path in record.owners and path not in record.files and path not in record.writing

    async def _write(self, output: Output) -> None:
        changes = await asyncio.to_thread(self._changes, output)
        for file in changes:
            await self._check(output, file)
        for file in filter(self._unsure, changes):
            self._keep_copy(self._paths.at(file.path))
        self._record.own(output)
        self._record.writing |= {file.path: digest(file.data) for file in changes}
        await self._keep_record()
        changed = await asyncio.to_thread(self._put, output, changes)
        for each in output.links:
            if leads_to(self._paths.at(each.path), each.target):
                self._record.links[each.path] = each.target
        for file in output.files:
            self._record.files[file.path] = digest(file.data)
            self._record.writing.pop(file.path, None)
        if changed or output.name not in self._record.applied:
            self._record.applied[output.name] = time.time_ns() // 1000

    def _put(self, output: Output, changes: Iterable[File]) -> bool:
        """Write files and links; return whether anything changed."""
        changed = False
        for file in changes:
            write_atomically(self._paths.at(file.path), file.data, file.mode)
            log.info("Wrote %s (%s)", file.path, output.name)
            changed = True
        for each in output.links:
            changed |= link(self._paths.at(each.path), each.target)
        return changed

    def _keep_copy(self, place: Path) -> None:
        """Copy a file beside itself, because somebody may have changed it; no server reads such names."""
        if place.is_file():
            copy = place.with_name(f"{place.name}.kept~")
            write_atomically(copy, place.read_bytes(), 0o600)
            log.warning("What %s held is kept as %s, for its record was damaged", place, copy.name)

    async def _check(self, output: Output, file: File) -> None:
        if not output.check:
            return
        # Not beside the file: that directory is watched, so each failing candidate would cause another pass.
        candidate = self._paths.run / f"{output.name}.candidate"
        try:
            await asyncio.to_thread(write_atomically, candidate, file.data, 0o600)
            await run_briefly([part.replace("{}", str(candidate)) for part in output.check])
        finally:
            candidate.unlink(missing_ok=True)
