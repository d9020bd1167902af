"""What the gateway tells the daemon: clients and its own problems; and what it asks it for the metrics."""

import asyncio
import logging

from ltspd.dbus.caller import CallError, Unreachable
from ltspd.gateway.bus import OBJECT_MANAGER, PROPERTIES, BusConnection
from ltspd.gateway.delivery import Delivery
from ltspd.gateway.metrics import Counts, Objects
from ltspd.gateway.registry import Entry, Registry
from ltspd.gateway.reports import Report
from ltspd.names import ROOT_PATH, interface

log = logging.getLogger("ltspd.gateway")

# Clients in one call; the daemon takes no more.
BATCH = 500
# Problems in one call; the daemon takes no more than twice as many.
PROBLEMS_MOST = 8


class Handover:
    """Tells the daemon what it doesn't know yet; without news it does nothing."""

    def __init__(self, registry: Registry, counts: Counts) -> None:
        """Hand over what is in the registry, and count the jobs that end."""
        self._registry, self._counts = registry, counts
        self._bus = BusConnection(self._came, self._job_finished)
        self._delivery = Delivery(self._bus, self._deliver)
        self._asking: set[asyncio.Task[None]] = set()
        self._problems: tuple[str, ...] = ()
        self._told: tuple[str, ...] | None = None

    def news(self) -> None:
        """Say that the registry has changed."""
        self._delivery.wake()

    def tell_problems(self, problems: tuple[str, ...]) -> None:
        """Have the daemon show these as its problems with HTTP, and no others."""
        if (more := len(problems) - PROBLEMS_MOST) > 0:
            problems = (*problems[:PROBLEMS_MOST], f"{more} more addresses can't be served.")
        self._problems = problems
        if problems != self._told:
            self._delivery.wake()

    async def run(self) -> None:
        """Hand over whenever there is news; this never ends by itself."""
        await self._delivery.run()

    async def _deliver(self) -> bool:
        return await self._tell() and await self._batch()

    async def _tell(self) -> bool:
        """Tell the problems if they are news, and return whether the daemon knows them."""
        problems = self._problems
        if problems == self._told:
            return True
        try:
            await self._bus.call(ROOT_PATH, interface("Gateway"), "ReportProblems", "as", [list(problems)])
        except Unreachable as error:
            log.warning("ltspd could not be told what is wrong: %s", error)
            return False
        except CallError as error:
            # A daemon from before an upgrade doesn't have that method; it still takes clients.
            log.warning("ltspd did not take what is wrong: %s", error)
        self._told = problems
        return True

    async def _batch(self) -> bool:
        """Hand over what is new, and return whether the daemon took it."""
        entries = self._registry.batch(BATCH)
        answers = self._registry.answers(BATCH - len(entries))
        if not entries and not answers:
            return True
        try:
            body = [[*map(_told, entries), *map(_answer, answers)]]
            await self._bus.call(ROOT_PATH, interface("Gateway"), "ReportClients", "aa{sv}", body)
        except (CallError, Unreachable) as error:
            self._registry.untold(entries)
            self._registry.unanswered(answers)
            log.warning("ltspd did not take the reports of %d client(s): %s", len(entries), error)
            return False
        if self._registry.news:
            self._delivery.wake()
        return True

    def _came(self) -> None:
        self._registry.all_untold()
        self._told = None
        self._delivery.came()

    def _job_finished(self, path: str, result: str) -> None:
        task = asyncio.create_task(self._count_job(path, result), name="count a job")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _count_job(self, path: str, result: str) -> None:
        """Count a job by its kind, which the signal doesn't tell."""
        try:
            (kind,) = await self._bus.call(path, PROPERTIES, "Get", "ss", [interface("Job"), "Kind"])
        except (CallError, Unreachable) as error:
            log.warning("A job ended and is not counted: %s", error)
            return
        self._counts.jobs[str(kind), result] += 1

    async def objects(self) -> Objects | None:
        """Return the daemon's objects with its manager; None if it doesn't answer."""
        name = interface("Manager")
        try:
            (manager,) = await self._bus.call(ROOT_PATH, PROPERTIES, "GetAll", "s", [name])
            (found,) = await self._bus.call(ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
        except (CallError, Unreachable):
            return None
        return {**found, ROOT_PATH: {name: manager}}


def _told(entry: Entry) -> dict[str, tuple[str, object]]:
    """Return an entry as ReportClients takes it."""
    report = entry.report
    return {
        "Mac": ("s", report.mac),
        "Address": ("s", entry.address),
        "Hostname": ("s", report.hostname),
        "Image": ("s", report.image),
        "Generation": ("s", report.generation),
        "Transport": ("s", report.transport),
        "Stage": ("s", report.stage),
        "Error": ("s", report.error),
        "Key": ("s", report.key),
        "Kept": ("s", report.kept),
        "Boot": ("s", report.boot),
        "Pending": ("s", report.pending),
        "Card": ("s", report.card),
        "Initrd": ("s", report.initrd),
        "LastSeen": ("t", entry.seen),
        "Stages": ("a{st}", dict(entry.reached)),
    }


def _answer(answer: Report) -> dict[str, tuple[str, object]]:
    """Return an answer to an order as ReportClients takes it."""
    words = {"Mac": answer.mac, "Boot": answer.boot, "Order": answer.order, "Result": answer.result}
    return {key: ("s", value) for key, value in words.items()}
