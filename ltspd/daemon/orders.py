"""Orders to clients: signed, put into the gateway's table, and watched until all have answered."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ltspd.clients.orders import document
from ltspd.errors import NotObeyed
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.model.order import Order, Request, Target, Verb
from ltspd.paths import Paths
from ltspd.system import sshkeys
from ltspd.system.files import remove, write_atomically

log = logging.getLogger(__name__)

NAMESPACE = "ltspd"
# Seconds that clients have to hear that the server goes down; systemd gives our unit 15 s to end.
FAREWELL = 5.0
# Clients that are named in the sentence about a failed order.
NAMED_MOST = 20


class Orders:
    """Gives orders, and hears what becomes of them. ``given`` are those that clients shall obey now."""

    def __init__(
        self,
        paths: Paths,
        jobs: Jobs,
        wake: Callable[[], None],
        told: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        """Call ``wake`` when ``given`` changed, and ``told`` with an order's id and results of machines."""
        self._keys, self._home, self._jobs = paths.keys, paths.orders, jobs
        self._wake, self._told = wake, told
        self._given: dict[str, Order] = {}
        self._results: dict[str, dict[str, str]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._last = 0

    @property
    def given(self) -> tuple[Order, ...]:
        """The orders that are under way, the oldest first."""
        return tuple(self._given.values())

    def start(self) -> None:
        """Remove what an earlier run left: its orders are nobody's any more. Blocks; raises OSError."""
        for path in self._home.glob("[!l]*") if self._home.is_dir() else ():
            remove(path)

    async def give(self, request: Request) -> str:
        """Give an order, and return the id of the job that waits for its results.

        Raises ToolFailed, NotInstalled and OSError if the order can't be signed or written.
        """
        verb, targets = request.verb, request.targets
        order = Order(await asyncio.to_thread(self._next), verb, request.words, targets)
        if verb is not Verb.WAKE and targets:
            await self._write(order)
        self._results[order.id] = {**dict.fromkeys((each.mac for each in targets), ""), **request.refused}
        self._told(order.id, self._results[order.id])
        log.info(
            "Order %s: %s to %s, asked for by user %d: %s", order.id, verb, request.label, request.started_by,
            " ".join(each.mac for each in targets) or "nobody",
            extra={"LTSPD_ORDER": order.id},
        )  # fmt: skip

        async def work(progress: JobProgress) -> str:
            return await self._watch(order, request.patience, request.names, progress)

        job = self._jobs.start(str(verb), request.label, request.started_by, work, job_id=order.id)
        self._given[order.id] = order
        self._wake()
        return job.id

    async def farewell(
        self, text: str, targets: tuple[Target, ...], serve: Callable[[Order], Awaitable[None]]
    ) -> None:
        """Tell clients something before the end: ``serve`` has the gateway serve it, without a pass."""
        order = Order(await asyncio.to_thread(self._next), Verb.MESSAGE, (text,), targets)
        await self._write(order)
        self._given[order.id] = order
        self._results[order.id] = dict.fromkeys((each.mac for each in targets), "")
        news = self._news[order.id] = asyncio.Event()
        await serve(order)
        try:
            async with asyncio.timeout(FAREWELL):
                while not all(self._results[order.id].values()):
                    await news.wait()
                    news.clear()
        except TimeoutError:
            pass
        said = sum(map(bool, self._results[order.id].values()))
        log.info("Order %s: %d of %d clients were told of the end", order.id, said, len(targets))

    def heard(self, answers: Iterable[Mapping[str, str]], booting: Iterable[str]) -> None:
        """Take what clients say of orders, and which machines have reported that they boot.

        What it was not told, a client can't answer. All that comes at once is published once.
        """
        found: dict[str, dict[tuple[str, str], str]] = {}
        for answer in answers:
            found.setdefault(answer["order"], {})[answer["mac"], answer["boot"]] = answer["result"]
        up = frozenset(booting)
        for order in self.given:
            said = found.get(order.id, {})
            results = {
                each.mac: "ok" if order.verb is Verb.WAKE else said[each.mac, each.boot]
                for each in order.targets
                if (each.mac in up if order.verb is Verb.WAKE else (each.mac, each.boot) in said)
            }
            if not results:
                continue
            # A machine that says "ok" before it goes down may still say why it could not.
            self._results[order.id].update(results)
            self._told(order.id, results)
            if event := self._news.get(order.id):
                event.set()

    def _next(self) -> str:
        """Return an id greater than all before, whatever the clock says: clients take no older one."""
        path = self._home / "last"
        try:
            self._last = max(self._last, int(path.read_text()))
        except (OSError, ValueError):
            pass
        self._last = max(self._last + 1, time.time_ns() // 1_000_000)
        write_atomically(path, f"{self._last}\n".encode())
        return str(self._last)

    async def _write(self, order: Order) -> None:
        data = document(order)
        signature = await sshkeys.sign(self._keys / "orders", NAMESPACE, data)
        await asyncio.to_thread(write_atomically, self._home / order.id, data)
        await asyncio.to_thread(write_atomically, self._home / f"{order.id}.sig", signature)

    async def _watch(
        self, order: Order, patience: float, names: Mapping[str, str], progress: JobProgress
    ) -> str:
        """Wait until all have answered or time is over; returns the result, or raises NotObeyed."""
        news = self._news[order.id] = asyncio.Event()
        results = self._results[order.id]
        try:
            progress.phase(f"{len(order.targets)} to answer", 1.0)
            async with asyncio.timeout(patience + max((each.delay for each in order.targets), default=0)):
                while not all(results.values()):
                    await news.wait()
                    news.clear()
                    progress.done(sum(map(bool, results.values())) / len(results))
        except TimeoutError:
            silent = f"it gave no answer within {patience:g} s."
            self._told(order.id, {mac: silent for mac, result in results.items() if not result})
            results.update({mac: silent for mac, result in results.items() if not result})
        return _verdict(results, names)

    def ended(self, order: str) -> None:
        """Withdraw an order whose job has ended: who comes later does not obey any more."""
        if self._given.pop(order, None) is None:
            return
        del self._results[order]
        self._news.pop(order, None)
        for path in (self._home / order, self._home / f"{order}.sig"):
            _unlink(path)
        self._wake()


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s stays for now: %s", path, error)


def _verdict(results: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Return the result if all obeyed; raises NotObeyed with a line for each reason."""
    bad: dict[str, list[str]] = {}
    for mac, result in results.items():
        if result != "ok":
            bad.setdefault(result, []).append(names.get(mac, mac))
    count = len(results) - sum(map(len, bad.values()))
    if not bad:
        return f"{count} client{'s' if count != 1 else ''}"
    lines = [f"{_some(who)}: {why}" for why, who in bad.items()]
    raise NotObeyed("\n".join([f"{count} of {len(results)} clients did it.", *lines[:NAMED_MOST]]))


def _some(who: Sequence[str]) -> str:
    more = f" and {len(who) - NAMED_MOST} more" if len(who) > NAMED_MOST else ""
    return ", ".join(who[:NAMED_MOST]) + more
