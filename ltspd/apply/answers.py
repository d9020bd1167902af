"""Whether running servers answer: each is asked when it was started, and when there is a reason to doubt.

A throwaway unit asks (``ltspd.probe``), because the daemon itself never uses the network. Nothing polls: only
a server that did not answer is asked again after a while.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ltspd.dbus.systemd import Systemd
from ltspd.errors import Unanswered
from ltspd.model.output import Output

log = logging.getLogger(__name__)

# Seconds until a server that did not answer is asked again.
PAUSE = 30.0
# The result of the probe's unit if no answer came; any other result says nothing about the server.
SILENT = "failed"
_PROTOCOLS = {
    "real": "DHCP on {link} ({address}, port 67)",
    "proxy": "proxyDHCP on {link} ({address}, port 4011)",
    "tftp": "TFTP on {link} ({address}, port 69)",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an output's server was asked last, in which of its runs, and which questions it did not answer."""

    invocation: str
    questions: tuple[str, ...]
    silent: tuple[str, ...] = ()
    at: float = 0.0


class Answers:
    """Remembers for each output what its server was asked last."""

    def __init__(self, systemd: Systemd, wake: Callable[[], None]) -> None:
        """Call ``wake`` when a server turns out to have stopped answering, or to answer again."""
        self._systemd = systemd
        self._wake = wake
        self._asked: dict[str, _Asked] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def again(self) -> float | None:
        """Seconds after which a silent server should be asked again; None: there is none."""
        return PAUSE if any(each.silent for each in self._asked.values()) else None

    def heard(self, reports: Iterable[Mapping[str, object]]) -> None:
        """Hear what clients report: the cause of a client's error may be a server that stopped answering."""
        if any(each.get("Error") for each in reports) and self.doubt():
            self._wake()

    def doubt(self, seconds: float | None = None) -> bool:
        """Ask servers again that answered ``seconds`` ago or earlier; return whether there are any.

        They are asked in the next pass. Clients can cause this, so servers asked within PAUSE are left out by
        default.
        """
        since = _now() - (PAUSE if seconds is None else seconds)
        old = [name for name, each in self._asked.items() if not each.silent and each.at <= since]
        for name in old:
            del self._asked[name]
        return bool(old)

    async def stop(self) -> None:
        """Stop asking."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def look(self, output: Output) -> str:
        """Return why an output whose unit runs does not serve, or nothing; ask its server if that is due.

        Raises Unanswered if systemd does not say which run of the unit this is.
        """
        if not output.questions:
            return ""
        status = await self._systemd.status(output.unit)
        known = self._asked.get(output.name)
        if known is None or (known.invocation, known.questions) != (status.invocation, output.questions):
            known = _Asked(status.invocation, output.questions, at=_now())
            self._ask(output, known)
        elif known.silent and _now() - known.at >= PAUSE:
            self._ask(output, replace(known, at=_now()))
        return _sentence(output.unit, known.silent) if known.silent else ""

    def _ask(self, output: Output, about: _Asked) -> None:
        if (running := self._tasks.pop(output.name, None)) is not None:
            running.cancel()
        self._asked[output.name] = about
        self._tasks[output.name] = asyncio.create_task(self._ask_all(output.name, about))

    async def _ask_all(self, name: str, about: _Asked) -> None:
        units = [f"ltspd-probe@{each}.service" for each in about.questions]
        try:
            results = await asyncio.gather(*(self._systemd.act("StartUnit", unit) for unit in units))
        except Unanswered as error:
            log.info("Output %s is asked in the next pass: %s", name, error.message)
            self._asked.pop(name, None)
            return
        answers = zip(about.questions, results, strict=True)
        silent = tuple(question for question, result in answers if result == SILENT)
        self._asked[name] = _Asked(about.invocation, about.questions, silent, _now())
        if silent != about.silent:
            log.info("Output %s: %s", name, f"no answer to {', '.join(silent)}" if silent else "answers")
            self._wake()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _sentence(unit: str, silent: tuple[str, ...]) -> str:
    asked = []
    for question in silent:
        kind, link, address = question.split(":")
        asked.append(_PROTOCOLS[kind].format(link=link, address=address))
    return (
        f"{unit} runs but does not answer {'; '.join(asked)}, though it was asked three times. "
        f"'systemctl restart {unit}' starts it anew; 'journalctl -u {unit}' may tell why."
    )
