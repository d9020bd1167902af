"""A pass: observe everything, decide, write what differs, publish. Events only wake one."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ltspd import __version__
from ltspd.apply import Applier
from ltspd.clients import known as clients
from ltspd.clients.fields import ClientStage
from ltspd.config.file import ConfFile
from ltspd.config.selection import named
from ltspd.daemon import report
from ltspd.daemon.addons import AddOns
from ltspd.daemon.attempts import BootAttempts
from ltspd.daemon.diagnosis import Diagnosis
from ltspd.daemon.enrolment import Enrolment
from ltspd.daemon.farewell import farewell
from ltspd.daemon.grace import Grace
from ltspd.daemon.listened import Listened
from ltspd.daemon.orders import Orders
from ltspd.daemon.rooms import Rooms
from ltspd.daemon.setups import Setups
from ltspd.dbus.connection import Connection
from ltspd.dbus.systemd import Systemd
from ltspd.jobs.builds import Builds
from ltspd.jobs.engine import Jobs
from ltspd.jobs.trials import Trials
from ltspd.jobs.unattended import Unattended
from ltspd.logins import ENROL, accounts, are_given
from ltspd.migration import takeover
from ltspd.model.facts import Facts
from ltspd.model.finding import Finding
from ltspd.model.job import Job
from ltspd.model.output import Output, OutputState
from ltspd.model.state import Problem, ServerState, State
from ltspd.observe import facts as facts_of
from ltspd.observe import files, watches
from ltspd.outputs import PROGRAMS, UNITS, foreign, outputs
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.plan import HOME_DIR, plan
from ltspd.system import memory
from ltspd.system.notify import Notify

log = logging.getLogger(__name__)

# Events come in bursts (an upgrade writes hundreds of files). A pass begins after this many quiet seconds …
QUIET = 0.1
# … and after this many seconds at the latest.
QUIET_MOST = 1.0
# A pass that opens accounts to new keys begins this many seconds after the first of them.
KEYS_PACE = 1.0
# A pass that takes longer than this, in seconds, makes the state "applying", even if no file differs.
SLOW = 1.0


class Passes:
    """Makes one pass at a time: observe, decide, write what differs, publish.

    ``facts`` and ``outputs`` are those of the last pass, ``state`` is what is published. ``observed`` is set
    once the first pass has read its facts. ``shown`` is called with each new state, ``finished`` with each
    job that ended. ``conf``, ``systemd``, ``applier``, ``jobs``, ``builds`` and ``trials`` do the work
    of passes and requests.
    """

    def __init__(self, paths: Paths, bus: Connection, notify: Notify) -> None:
        """Keep everything below ``paths.root`` and speak to systemd on a connected bus."""
        self.paths = paths
        self._notify = notify
        self._woken = asyncio.Event()
        self._pass = asyncio.Lock()
        # Held while facts are read, so that older facts never replace newer ones.
        self._observing = asyncio.Lock()
        # For the next pass: the callers that wait for it, whether it starts failed units again, and the
        # files of LTSP's that were moved, each with whether they were moved back.
        self._waiting: list[asyncio.Future[None]] = []
        self._retry = False
        self._moved: list[tuple[tuple[str, ...], bool]] = []
        self.conf = ConfFile(paths)
        self.systemd = Systemd(bus, self.wake)
        self.applier = Applier(paths, self.systemd, self.wake, UNITS)
        self._setups = Setups(paths, self.systemd)
        self.jobs = Jobs(self._jobs_changed, self._job_finished)
        self.trials = Trials(paths, self.conf, self.jobs, self.systemd.act)
        self.builds = Builds(
            paths, self.conf, self.jobs, self.follow_up, lambda: self.state.clients, self.trials
        )
        self.unattended = Unattended(paths, self.jobs, self.builds, self.follow_up)
        self.facts = Facts()
        self.observed = asyncio.Event()
        self.outputs: tuple[Output, ...] = ()
        self._world: World | None = None
        # The problems that the last pass found; those of clients and of the gateway come at any time.
        self._problems: tuple[str, ...] = ()
        self._enrolment = Enrolment(paths)
        self._clients: clients.Clients = self._enrolment.clients
        # Whether ltsp.conf lets clients' keys open accounts.
        self._opening = False
        # Wakes the pass that opens accounts to new keys.
        self._for_keys: asyncio.TimerHandle | None = None
        self._rooms = Rooms()
        self._attempts = BootAttempts(paths, self.wake)
        self.orders = Orders(paths, self.jobs, self.wake, self._told)
        self._of_gateway: tuple[Problem, ...] = ()
        self._diagnosis = Diagnosis(paths, self.systemd)
        self._listened = Listened(lambda: self._show(self._with_clients(self.state, passed=False)))
        self._add_ons = AddOns(paths)
        self._grace = Grace()
        # The directories that are watched, and the function that ends that.
        self._watched: tuple[watches.Watch, ...] = ()
        self._unwatch: Callable[[], None] = lambda: None
        # Wakes the next pass without an event.
        self._timer: asyncio.TimerHandle | None = None
        self.state = State(version=__version__, base_directory=paths.base, tftp_directory=paths.tftp)
        self.shown: Callable[[State], None] = lambda state: None
        self.finished: Callable[[Job], None] = lambda job: None

    def wake(self) -> None:
        """Ask for a pass soon; all calls before it begins make one pass."""
        self._woken.set()

    async def watch(self) -> None:
        """Watch the directories that matter now: sources come and go."""
        wanted = await asyncio.to_thread(watches.wanted, self.paths, self.facts.sources)
        if wanted != self._watched:
            # Add the new watches before the old ones end, so that no change in between is missed.
            places = [(each.directory, each.names) for each in wanted]
            before, self._unwatch = self._unwatch, files.watch(places, self.wake)
            self._watched = wanted
            before()
            # A change in a new directory between the pass and its watch has woken nobody.
            self.wake()

    # ---- passes ----------------------------------------------------------------------------------

    async def forever(self) -> None:
        """Make a pass after each wake-up, for ever."""
        while True:
            await self._woken.wait()
            started = time.monotonic()
            while self._woken.is_set() and time.monotonic() - started < QUIET_MOST:
                self._woken.clear()
                await asyncio.sleep(QUIET)
            await self.once()

    async def once(self, *, force: bool = False, retry: bool = False) -> None:
        """Observe everything, decide, write what differs, publish."""
        async with self._pass:
            self._woken.clear()
            waiting, self._waiting = self._waiting, []
            retry, self._retry = retry or self._retry, False
            while self._moved:
                moved, back = self._moved.pop(0)
                await takeover.tell_readers(moved, self.systemd, back=back)
            config, wrong = await asyncio.to_thread(self.conf.read)
            tag = self.conf.tag
            if self._for_keys is not None:
                self._for_keys.cancel()
                self._for_keys = None
            self._enrolment.follow(config.settings[ENROL])
            self._opening = are_given(config.document)
            async with self._observing:
                settings = config.settings
                users, groups = named(settings)
                asked = ((*users, *accounts(config.document)), groups)
                self.facts, broken = await facts_of.look(self.paths, PROGRAMS, settings[HOME_DIR], asked)
            self.observed.set()
            await self._setups.guard(self.facts.setup)
            # In threads: with many clients it takes long, and the loop answers the bus meanwhile.
            self._clients = self._enrolment.settle(self._clients, self._clients)
            await self._enrolment.save()
            await self._attempts.save()
            await asyncio.to_thread(self._rooms.follow, config.document)
            facts = replace(
                self.facts,
                links=self._grace.keep(self.facts.links, time.monotonic()),
                enrolled=self._enrolment.accepted,
                orders=self.orders.given,
                ways=self._attempts.ways,
            )
            desired = await asyncio.to_thread(plan, config, facts, self.paths)
            add_ons = await self._add_ons.make(desired.add_on, facts.packages_digest)
            world = self._world = World.of(
                config.settings, desired, facts, self.paths, add_ons, self._add_ons.signed
            )
            self.outputs = await asyncio.to_thread(outputs, world)
            if await asyncio.to_thread(self.applier.pending, self.outputs):
                self._applying()
            slow = asyncio.get_running_loop().call_later(SLOW, self._applying)
            try:
                statuses = await self.applier.apply(self.outputs, force=force, retry=retry)
            finally:
                slow.cancel()
            images = report.images(self.facts, self.jobs.all)
            unbuilt = self.unattended.problems(images)
            self._problems = report.problems(
                (*wrong, *broken),
                (*desired.problems, *self._add_ons.problems, *unbuilt, *self.applier.left),
                statuses,
            )
            self._clients = clients.connected(self._clients, self.facts.connected, _now())
            self._show(
                self._with_clients(
                    self.state,
                    passed=True,
                    images=images,
                    links=report.links(self.facts, desired, foreign.lines(world)),
                    outputs=statuses,
                    leftovers=self.facts.leftovers,
                    set_aside=self.facts.set_aside,
                    set_up=str(self.facts.setup.kind) if self.facts.setup else "",
                    set_up_waits=self.facts.setup is not None and not self.facts.setup.confirmed,
                    config_tag=tag,
                    serving=self.facts.serving,
                )
            )
            await self.watch()
            digests = self.facts.source_packages
            self.unattended.start_stale(config, self.facts.sources, self.state.images, digests)
            self.unattended.start_folds(self.facts.images)
            waits = (self.applier.again, self.unattended.again, self._grace.again)
            self._wake_after(min((each for each in waits if each is not None), default=None))
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    async def follow_up(self, seconds: float | None = None) -> None:
        """Ask for a pass and wait for its end, for ``seconds`` at most.

        Whoever waits may be cancelled, as jobs are: the pass goes on. One that ends halfway would leave units
        that were asked to take new files and never did.
        """
        passed = asyncio.get_running_loop().create_future()
        self._waiting.append(passed)
        self.wake()
        await asyncio.wait([passed], timeout=seconds)

    async def tell(self) -> None:
        """Publish what a method changed of images or of LTSP's files; a pass does the rest."""
        async with self._observing:
            self.facts = await asyncio.to_thread(facts_of.renew, self.paths, self.facts)
        facts, images = self.facts, report.images(self.facts, self.jobs.all)
        on, left, aside = facts.serving, facts.leftovers, facts.set_aside
        self._show(replace(self.state, images=images, leftovers=left, set_aside=aside, serving=on))
        self.wake()

    def _wake_after(self, seconds: float | None) -> None:
        """Ask for a pass after ``seconds`` without an event; None, when nothing is wrong: for none."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self.wake)

    # ---- publishing ------------------------------------------------------------------------------

    def _applying(self) -> None:
        self._show(replace(self.state, state=ServerState.APPLYING))

    def _show(self, state: State) -> None:
        """Replace the published state if anything but the revision differs."""
        if replace(state, revision=self.state.revision) != self.state:
            self.state = replace(state, revision=self.state.revision + 1)
            self.shown(self.state)
            self._notify.status(report.status(self.state))

    def _with_clients(self, state: State, *, passed: bool, **changes: Any) -> State:
        """Return the state with the clients and all problems; ``passed``: a pass has just ended."""
        self._clients = self._attempts.placed(self._rooms.placed(self._clients), self._world)
        failing = clients.problems(self._clients.values(), _now())
        keys = self._enrolment.problems(self._clients.values())
        of_gateway = report.of_gateway(self._of_gateway, changes.get("outputs", state.outputs))
        served = self._world.desired.network.answered if self._world is not None else ()
        rivals = self._listened.problems(served, self.facts.links)
        problems = (*self._problems, *map(str, (*of_gateway, *rivals, *keys, *failing)))
        if passed or state.state in (ServerState.ATTENTION, ServerState.IN_SYNC):
            # A unit that systemd is still starting does not serve yet; when it does, there is another pass.
            outputs = changes.get("outputs", state.outputs)
            pending = any(each.state is OutputState.PENDING for each in outputs)
            calm = ServerState.APPLYING if pending else ServerState.IN_SYNC
            changes["state"] = ServerState.ATTENTION if problems else calm
        changes["links"] = report.with_servers(changes.get("links", state.links), self._listened.servers)
        return replace(
            state,
            problems=problems,
            clients=tuple(self._clients.values()),
            rooms=self._rooms.names,
            machines=self._rooms.machines,
            **changes,
        )

    def moved_files(self, moved: tuple[str, ...], *, back: bool) -> None:
        """Have the next pass tell the readers of these files of LTSP's, and start failed units again."""
        self._moved.append((moved, back))
        # The ports that failed units wait for may be free now.
        self._retry = True

    async def set_up(self, verb: str, words: Mapping[str, object]) -> Mapping[str, Any]:
        """Have a set-up of the server's cards planned, made, confirmed or undone; return what differs."""
        return await self._setups.ask(verb, words)

    async def heard_clients(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take the report fields of clients; return how many reports can't be right.

        Waits for the first facts, because reports name images.
        """
        await self.observed.wait()
        known = {each.name: frozenset(one.id for one in each.generations) for each in self.facts.images}
        merged, refused = clients.merge(self._clients, reports, known, _now())
        told = [mac for mac, each in merged.items() if each is not self._clients.get(mac)]
        self._clients = self._enrolment.settle(merged, told)
        self._attempts.reported((self._clients[mac] for mac in told), self._world)
        await self._attempts.save()
        await self._enrolled()
        booting = (each.get("Mac") for each in reports if each.get("Stage") == ClientStage.NETWORK)
        self.orders.heard(clients.answers(reports), map(str, booting))
        self.applier.answers.heard(reports)
        return refused

    def _told(self, order: str, results: Mapping[str, str]) -> None:
        """Publish what has become of an order to these clients."""
        found = {
            mac: replace(self._clients[mac], order=order, result=result)
            for mac, result in results.items()
            if mac in self._clients
        }
        self._clients = {**self._clients, **found}
        self._show(self._with_clients(self.state, passed=False))

    async def approve_client(self, mac: str, key: str) -> None:
        """Let the key with this fingerprint be a client's, if it reported that last; raises NoKey."""
        self._clients = self._enrolment.approve(self._clients, mac, key)
        await self._enrolled()

    async def forget_client(self, mac: str) -> None:
        """Have the next key that a client reports be its first one, and its boot program, too."""
        self._clients = self._enrolment.forget(self._clients, mac)
        self._attempts.forget(mac)
        await self._enrolled()

    async def _enrolled(self) -> None:
        """Publish the clients; where other keys count now and open something, a pass follows."""
        changed = await self._enrolment.save()
        self._show(self._with_clients(self.state, passed=False))
        if changed and self._opening and self._for_keys is None:
            # Anybody on the network can make a key that is new.
            self._for_keys = asyncio.get_running_loop().call_later(KEYS_PACE, self.wake)

    async def farewell(self) -> None:
        """Tell all clients that this server goes down; there is no pass any more."""
        if self._world is not None:
            await farewell(self.paths, self._world, self._clients.values(), self.orders, self.systemd)

    def heard_gateway(self, problems: Sequence[str]) -> None:
        """Take all present problems of the gateway."""
        self._of_gateway = tuple(Problem("http", each) for each in problems)
        self._show(self._with_clients(self.state, passed=False))

    def heard_machines(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take what the listener heard of machines; return how many reports can't be right."""
        before = self._clients
        self._clients, refused = self._listened.machines(before, reports, _now())
        self._attempts.heard(before, self._clients, self._world)
        self._show(self._with_clients(self.state, passed=False))
        return refused

    def heard_servers(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take all servers that the listener hears now; return how many reports can't be right."""
        return self._listened.hear(reports, _now())

    async def diagnose(self, name: str) -> tuple[Finding, ...]:
        """Return what keeps a machine from booting, or without a name any; raises NoSuchClient."""
        await self.observed.wait()
        if self._world is None:
            await self.follow_up()
        assert self._world is not None
        heard = self._listened.servers
        return await self._diagnosis.of(name, self.state, self._world, self.facts, self.outputs, heard)

    def unwatch(self) -> None:
        """End all watches."""
        self._unwatch()

    def _jobs_changed(self) -> None:
        images = report.images(self.facts, self.jobs.all)
        self._show(replace(self.state, jobs=self.jobs.all, images=images))

    def _job_finished(self, job: Job) -> None:
        self.orders.ended(job.id)
        self.finished(job)
        memory.give_back()
        self.wake()


def _now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000
