"""Commands that put an output's files into force; each is undone when no output needs it any more."""

import asyncio
import logging
import shlex
import time
from collections.abc import Sequence
from typing import NamedTuple

from ltspd.apply.record import Record, RecordFile
from ltspd.errors import ToolFailed
from ltspd.model.output import Command, Finding, Output, OutputState
from ltspd.paths import Paths
from ltspd.system.files import digest, digest_of, remove
from ltspd.system.run import run

log = logging.getLogger(__name__)

# A command that takes longer than this, in seconds, counts as failed, as a unit does that takes so long.
SECONDS = 30.0
# Seconds after which what failed is tried again: no event tells that a disk has room again, that systemd
# answers, or that a command would succeed now.
RETRY = 10.0
# One that did not end would hold up every pass for SECONDS; so it is tried again after this many seconds.
RETRY_SLOW = 600.0


class _TooSlow(ToolFailed):
    """The program was ended, because it took too long."""


async def run_briefly(argv: Sequence[str]) -> None:
    """Run a program; raises ToolFailed, also if it takes longer than SECONDS."""
    try:
        async with asyncio.timeout(SECONDS):
            await run(argv)
    except TimeoutError:
        raise _TooSlow(f"'{shlex.join(argv)}' did not end within {SECONDS:.0f} s") from None


class _Failure(NamedTuple):
    """What was run when (in seconds of the monotonic clock), why it failed, and whether that took long."""

    what: str
    at: float
    why: str
    slow: bool


class Commands:
    """Runs commands once with the present files of their output, and again only after they failed."""

    def __init__(self, paths: Paths, record: Record) -> None:
        """Find files below ``paths.root``; what is undone leaves ``record``."""
        self._paths = paths
        self._record = record
        # By the output's key: the digest of what this daemon ran; and what failed.
        self._done: dict[str, str] = {}
        self._failed: dict[str, _Failure] = {}

    @property
    def failing(self) -> bool:
        """Whether a command failed when it was last run."""
        return bool(self._failed)

    def forgive(self) -> None:
        """Run those that failed in the next pass, however soon that is."""
        self._failed.clear()

    async def follow(self, output: Output, command: Command) -> Finding:
        """Run an output's command, unless this daemon has run it with the present files already."""
        argv = self._argv(output, command)
        wanted = digest(b"\0".join([*map(str.encode, argv), *(file.data for file in output.files)]))
        if self._done.get(output.key) != wanted:
            if why := await self._run(output.key, argv, wanted):
                return OutputState.FAILED, f"{why}. It is tried again by itself; 'ltspctl apply' does it now."
            self._done[output.key] = wanted
            self._record.applied[output.name] = time.time_ns() // 1000
            log.info("Ran '%s' (%s)", shlex.join(argv), output.name)
        return OutputState.IN_SYNC, ""

    async def keep_running(self, output: Output, command: Command) -> None:
        """Run a command once with the files as they are, when those could not be brought up to date.

        One that never ran does not run now: the files may be somebody else's.
        """
        if output.key in self._done or output.key not in self._record.commands:
            return
        there = all(digest_of(self._paths.at(each.path)) for each in output.files)
        if there and not await self._run(output.key, self._argv(output, command), ""):
            self._done[output.key] = ""

    async def leave(self, key: str, *, force: bool) -> Finding:
        """Undo a command that no output needs any more; with ``force`` it is forgotten if that fails.

        Returns DISABLED once it is undone or forgotten, else why not.
        """
        command = self._record.commands[key]
        self._done.pop(key, None)
        if argv := _words(key.partition(": ")[2]):
            if why := await self._run(key, argv, key):
                if not force:
                    message = f"nothing needs what '{command}' did, but it can't be undone: {why}."
                    return OutputState.FAILED, f"{message} 'ltspctl apply --force' gives that up."
                log.warning("What '%s' did is not undone: %s", command, why)
            else:
                log.info("Undid what '%s' did, which nothing needs now", command)
        self._failed.pop(key, None)
        self._record.forget(key)
        return OutputState.DISABLED, ""

    def _argv(self, output: Output, command: Command) -> tuple[str, ...]:
        place = str(self._paths.at(output.files[0].path)) if output.files else ""
        return tuple(each.replace("{}", place) for each in command.do)

    async def _run(self, key: str, argv: tuple[str, ...], what: str) -> str:
        """Run a program and return why it failed, or nothing; after a failure it waits for a while.

        It does not wait if ``what`` is another than the one that failed.
        """
        failed = self._failed.pop(key, None)
        wait = RETRY_SLOW if failed is not None and failed.slow else RETRY
        if failed is not None and failed.what == what and time.monotonic() - failed.at < wait:
            self._failed[key] = failed
            return failed.why
        try:
            await run_briefly(argv)
            return ""
        except ToolFailed as error:
            why = error.message.rstrip(".")
            self._failed[key] = _Failure(what, time.monotonic(), why, isinstance(error, _TooSlow))
            return why


async def undo_all(paths: Paths) -> None:
    """Undo every command that is recorded: for the package's removal, when no daemon runs. Raises OSError.

    What it put into force is removed first, unless that was changed by hand, because many programs undo
    something by reading all of their files again.
    """
    file = RecordFile(paths)
    record, commands = file.record, Commands(paths, file.record)
    for key in tuple(record.commands):
        owner = record.owners.get(key)
        for path in [each for each in record.files if owner and record.owners.get(each) == owner]:
            if digest_of(paths.at(path)) in ("", record.files[path], record.writing.get(path)):
                remove(paths.at(path))
                record.forget(path)
        await commands.leave(key, force=True)
    file.save(file.dump())


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text for a shell; none if it is damaged."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()
