"""Set-ups of the server's cards: asked of a unit of its own, which has the rights for that."""

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltspd.dbus.systemd import Systemd
from ltspd.errors import InvalidOption, ToolFailed, Unanswered
from ltspd.model.setup import Setup
from ltspd.paths import Paths
from ltspd.system.files import remove, write_atomically

log = logging.getLogger(__name__)

TIMER = "ltspd-setup.timer"
# Seconds that a set-up may take. Debian's dhclient, for which ifup waits, tries for 300.
PATIENCE = 600.0


class Setups:
    """Asks one thing at a time."""

    def __init__(self, paths: Paths, systemd: Systemd) -> None:
        """Leave requests below ``paths``, and have systemd start the unit."""
        self._paths = paths
        self._systemd = systemd
        self._asking = asyncio.Lock()
        self._guarded = False

    async def ask(self, verb: str, words: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the unit's answer; raises InvalidOption, ToolFailed, Unanswered."""
        request, answer = (self._paths.run / f"setup.{each}" for each in ("request", "answer"))
        async with self._asking:
            try:
                await asyncio.to_thread(_put, request, answer, words)
                result = await self._systemd.act("StartUnit", f"ltspd-setup@{verb}.service", PATIENCE)
                found = await asyncio.to_thread(_take, request, answer)
            except OSError as error:
                raise ToolFailed(f"{request.parent} can't be written ({error.strerror}).") from error
        if not found:
            raise ToolFailed(
                f"ltspd-setup@{verb}.service gave no answer ({result}); "
                f"'journalctl -u ltspd-setup@{verb}' may tell why."
            )
        if "error" in found:
            raise (InvalidOption if found["error"] == InvalidOption.name else ToolFailed)(found["message"])
        return found

    async def guard(self, setup: Setup | None) -> None:
        """Give a set-up that a reboot has left unconfirmed another minute, once."""
        if self._guarded or setup is None or setup.confirmed:
            self._guarded = True
            return
        try:
            self._guarded = await self._systemd.act("StartUnit", TIMER) == "done"
        except Unanswered as error:
            log.warning("The set-up that nobody has confirmed is not undone yet: %s", error.message)


def _put(request: Path, answer: Path, words: Mapping[str, object]) -> None:
    remove(answer)
    write_atomically(request, json.dumps(words).encode(), 0o600)


def _take(request: Path, answer: Path) -> Mapping[str, Any]:
    remove(request)
    try:
        found = json.loads(answer.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    remove(answer)
    return found if isinstance(found, dict) else {}
