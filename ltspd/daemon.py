"""The daemon: wakes, settles, makes one pass at a time, and does what the bus asks."""

import asyncio
import logging
import pwd
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ltspd import __version__, report
from ltspd.api.service import Service
from ltspd.apply import Applier
from ltspd.clients import known as clients
from ltspd.config import explain
from ltspd.config.file import ConfFile
from ltspd.dbus.connection import Connection
from ltspd.dbus.systemd import Systemd
from ltspd.desired import Desired, Output
from ltspd.errors import ConfigError, LtspError, NoSuchOutput
from ltspd.image import store
from ltspd.initrd.addon import make_settings_initrd
from ltspd.initrd.boot import read_client
from ltspd.initrd.nbd import make_nbd_initrd
from ltspd.jobs.builds import Builds
from ltspd.jobs.engine import Jobs
from ltspd.jobs.trials import Trials
from ltspd.migration import leftovers as remains
from ltspd.migration import takeover
from ltspd.model import ConfigFinding, Facts, Job, OutputState, Problem, ServerState, Setting, State
from ltspd.observe import facts as facts_of
from ltspd.observe import files, links, watches
from ltspd.outputs import outputs as render
from ltspd.paths import Paths
from ltspd.plan import plan
from ltspd.system import memory
from ltspd.system.notify import Notify

log = logging.getLogger(__name__)

# Who may hand over what clients report: the user of ltspd-gateway.service.
GATEWAY_USER = "ltspd-gateway"
# Events come in bursts (an upgrade writes hundreds of files); wait for this much quiet, in seconds …
SETTLE = 0.1
# … but not longer than this in all.
SETTLE_MOST = 1.0
# How long a method waits for the pass that follows it, in seconds: callers give up after 25 (D-Bus's
# default).
PATIENCE = 10.0
# Units that take longer than this, in seconds, make the state "applying", though no file differs.
SLOW = 1.0


class Daemon:
    """One running server. Implements what the bus offers (``ltspd.api.methods.Server``)."""

    def __init__(self, paths: Paths, bus: Connection, notify: Notify) -> None:
        """Keep everything below ``paths.root`` and speak on a connected bus."""
        self._paths = paths
        self._notify = notify
        self._woken = asyncio.Event()
        self._pass = asyncio.Lock()
        # Held while facts are read, so that older ones never replace newer ones.
        self._seeing = asyncio.Lock()
        # What methods want of the next pass: who waits for it, whether units that failed are started again,
        # and which files of LTSP's were moved, aside or back.
        self._waiting: list[asyncio.Future[None]] = []
        self._retry = False
        self._moved: list[tuple[tuple[str, ...], bool]] = []
        self._stopping = asyncio.Event()
        self._conf = ConfFile(paths)
        self._systemd = Systemd(bus, self.wake)
        self._applier = Applier(paths, self._systemd, self.wake)
        self._jobs = Jobs(self._jobs_changed, self._job_finished)
        self._trials = Trials(paths, self._conf, self._jobs, self._systemd.act)
        self._builds = Builds(
            paths, self._conf, self._jobs, self._once, lambda: self.state.clients, self._trials
        )
        self._facts = Facts()
        self._looked = asyncio.Event()
        self._problems: tuple[str, ...] = ()
        self._clients: clients.Clients = {}
        self._of_gateway: tuple[Problem, ...] = ()
        self._outputs: tuple[Output, ...] = ()
        self._nbd: tuple[str, bytes] = ("", b"")
        self._client: dict[str, bytes] = {}
        self._watched: tuple[watches.Watch, ...] = ()
        self._unwatch: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self.state = State(version=__version__, base_directory=paths.base, tftp_directory=paths.tftp)
        self._service = Service(bus, self, gateway=_users(GATEWAY_USER))

    def wake(self) -> None:
        """Ask for a pass soon; any number of calls before it make one."""
        self._woken.set()

    def stop(self) -> None:
        """Ask ``run`` to end in good order."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until ``stop`` or until something breaks; what breaks is raised."""
        try:
            await asyncio.to_thread(store.sweep, self._paths)
        except OSError as error:
            log.warning("What killed builds left behind stays for now: %s", error)
        await self._systemd.start()
        with ExitStack() as undo:
            undo.callback(links.wake_socket(self.wake))
            await self._watch()
            undo.callback(lambda: self._unwatch())
            await self._service.start()
            memory.loaded()
            self._notify.ready()
            self.wake()
            async with asyncio.TaskGroup() as group:
                passes = group.create_task(self._passes(), name="passes")
                tasks = [
                    group.create_task(self._service.wait(), name="bus"),
                    group.create_task(self._notify.watchdog(), name="watchdog"),
                ]
                await self._stopping.wait()
                self._notify.stopping()
                # A pass speaks to systemd, so it ends before the connection does.
                passes.cancel()
                await asyncio.wait([passes])
                await self._applier.answers.stop()
                await self._jobs.stop()
                await self._service.stop()
                for task in tasks:
                    task.cancel()

    async def _watch(self) -> None:
        """Watch the directories that matter now; they change as sources come and go."""
        wanted = await asyncio.to_thread(watches.wanted, self._paths, self._facts.sources)
        if wanted != self._watched:
            # The new watches first: what changes in between wakes one of the two.
            places = [(each.directory, each.names) for each in wanted]
            before, self._unwatch = self._unwatch, files.watch(places, self.wake)
            self._watched = wanted
            before()
            # What changed in a new one since the pass looked there has woken nobody.
            self.wake()

    # ---- passes ----------------------------------------------------------------------------------

    async def _passes(self) -> None:
        while True:
            await self._woken.wait()
            started = time.monotonic()
            while self._woken.is_set() and time.monotonic() - started < SETTLE_MOST:
                self._woken.clear()
                await asyncio.sleep(SETTLE)
            await self._once()

    async def _once(self, *, force: bool = False, retry: bool = False) -> None:
        """Look at everything, decide, write what differs, publish."""
        async with self._pass:
            self._woken.clear()
            waiting, self._waiting = self._waiting, []
            retry, self._retry = retry or self._retry, False
            while self._moved:
                moved, back = self._moved.pop(0)
                await takeover.tell_readers(moved, self._systemd, back=back)
            config, wrong = await asyncio.to_thread(self._conf.read)
            async with self._seeing:
                self._facts, broken = await facts_of.look(self._paths)
            self._looked.set()
            # In threads, because it takes long with many clients: the bus is answered meanwhile.
            desired = await asyncio.to_thread(plan, config, self._facts, self._paths)
            self._outputs = await self._render(desired)
            if await asyncio.to_thread(self._applier.pending, self._outputs):
                self._applying()
            slow = asyncio.get_running_loop().call_later(SLOW, self._applying)
            try:
                statuses = await self._applier.apply(self._outputs, force=force, retry=retry)
            finally:
                slow.cancel()
            images = report.images(self._facts, self._jobs.all)
            unbuilt = self._builds.problems(images)
            self._problems = report.problems(
                (*wrong, *broken), (*desired.problems, *unbuilt, *self._applier.left), statuses
            )
            self._clients = clients.connected(self._clients, self._facts.connected, _now())
            self._show(
                self._with_clients(
                    self.state,
                    settled=True,
                    images=images,
                    links=report.links(self._facts, desired),
                    outputs=statuses,
                    remains=self._facts.remains,
                    set_aside=self._facts.set_aside,
                )
            )
            await self._watch()
            digests = self._facts.source_packages
            self._builds.start_stale(config, self._facts.sources, self.state.images, digests)
            self._builds.start_folds(self._facts.images)
            waits = (each for each in (self._applier.again, self._builds.again) if each is not None)
            self._look_again(min(waits, default=None))
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    async def _follow_up(self) -> None:
        """Have a pass made, and wait for it as long as callers wait for a reply."""
        passed = asyncio.get_running_loop().create_future()
        self._waiting.append(passed)
        self.wake()
        await asyncio.wait([passed], timeout=PATIENCE)

    async def _tell(self) -> None:
        """Publish what a method just changed of images or of LTSP's files; a pass does the rest."""
        async with self._seeing:
            self._facts = await asyncio.to_thread(facts_of.renew, self._paths, self._facts)
        facts, images = self._facts, report.images(self._facts, self._jobs.all)
        self._show(replace(self.state, images=images, remains=facts.remains, set_aside=facts.set_aside))
        self.wake()

    def _look_again(self, seconds: float | None) -> None:
        """Make a pass after a while though no event may come; only while something is wrong."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self.wake)

    async def _render(self, desired: Desired) -> tuple[Output, ...]:
        nbd, add_on = await self._nbd_add_on(), desired.add_on
        # Read once: while our package is unpacked, they are of two versions. Afterwards it restarts us.
        client = self._client = self._client or await asyncio.to_thread(read_client)

        def work() -> tuple[Output, ...]:
            settings = make_settings_initrd(
                add_on.settings, add_on.accounts, add_on.groups, add_on.resolver, client
            )
            return render(desired, self._paths, nbd, settings)

        return await asyncio.to_thread(work)

    async def _nbd_add_on(self) -> bytes:
        """Return nbd.img, made anew only when the server's packages changed; empty if it can't be."""
        digest = self._facts.packages_digest or "-"
        if self._nbd[0] != digest:
            try:
                data = await make_nbd_initrd(self._paths.root)
            except LtspError as error:
                log.warning("No NBD roots: %s", error.message)
                data = b""
            self._nbd = (digest, data)
        return self._nbd[1]

    # ---- publishing ------------------------------------------------------------------------------

    def _applying(self) -> None:
        self._show(replace(self.state, state=ServerState.APPLYING))

    def _show(self, state: State) -> None:
        """Replace the published state if anything but the revision differs."""
        if replace(state, revision=self.state.revision) != self.state:
            self.state = replace(state, revision=self.state.revision + 1)
            self._service.publish(self.state)
            self._notify.status(self.state)

    def _with_clients(self, state: State, *, settled: bool, **changes: Any) -> State:
        """Return the state with the clients and all problems; ``settled``: a pass has just ended."""
        failing = clients.problems(self._clients.values(), _now())
        of_gateway = report.of_gateway(self._of_gateway, changes.get("outputs", state.outputs))
        problems = (*self._problems, *map(str, (*of_gateway, *failing)))
        if settled or state.state in (ServerState.ATTENTION, ServerState.IN_SYNC):
            # A unit that systemd is still starting serves nobody yet; when it does, there is another pass.
            outputs = changes.get("outputs", state.outputs)
            pending = any(each.state is OutputState.PENDING for each in outputs)
            calm = ServerState.APPLYING if pending else ServerState.IN_SYNC
            changes["state"] = ServerState.ATTENTION if problems else calm
        return replace(state, problems=problems, clients=tuple(self._clients.values()), **changes)

    def _jobs_changed(self) -> None:
        images = report.images(self._facts, self._jobs.all)
        self._show(replace(self.state, jobs=self._jobs.all, images=images))

    def _job_finished(self, job: Job) -> None:
        self._service.job_finished(job)
        memory.give_back()
        self.wake()

    # ---- what the bus offers ---------------------------------------------------------------------

    async def reload(self) -> None:
        """Read the configuration again; raises ConfigError with every mistake, the old one stays then."""
        wrong = (await asyncio.to_thread(self._conf.read))[1]
        await self._follow_up()
        if wrong:
            raise ConfigError("\n".join(problem.message for problem in wrong))

    async def apply(self, force: bool) -> None:
        """Bring everything up to date, also start what failed; ``force`` overwrites edits.

        Raises OutputEdited, ToolFailed.
        """
        await self._once(force=force, retry=True)
        report.raise_for(self.state.outputs)

    async def build_image(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""
        return await self._builds.start(name, options, started_by)

    async def test_image(self, name: str, generation: str, started_by: int) -> str:
        """Check everything foreseeable, start the test and return the id of its job."""
        return await self._trials.start(name, generation, started_by)

    async def revert_image(self, name: str, generation: str, started_by: int) -> None:
        """Make a generation the current one; empty: the one before the current. Raises NothingToRevert."""
        await asyncio.to_thread(store.revert, self._paths, name, generation)
        await self._tell()

    async def remove_generation(self, name: str, generation: str) -> None:
        """Remove a generation that is not the current one; raises NoSuchGeneration, InUse."""
        await self._builds.remove(name, generation)
        await self._tell()

    async def keep_generation(self, name: str, generation: str, keep: bool) -> None:
        """Keep a generation however old it gets, or stop doing so; raises NoSuchGeneration, Busy."""
        await asyncio.to_thread(store.keep_generation, self._paths, name, generation, keep)
        await self._tell()

    async def packages_changed(self) -> None:
        """Look soon: packages may have changed."""
        self.wake()

    async def cancel_job(self, job_id: str) -> None:
        """Ask a job to stop; raises NoSuchJob."""
        self._jobs.cancel(job_id)

    async def explain_config(self, host: Mapping[str, object]) -> tuple[Setting, ...]:
        """Return what counts for a host (``mac``, ``ip``, ``hostname``; none: the server) and why."""
        wanted = explain.host_of(host)
        config, _ = await asyncio.to_thread(self._conf.read)
        return explain.explain(config, wanted)

    async def check_config(self) -> tuple[ConfigFinding, ...]:
        """Return everything wrong with ltsp.conf as it is on disk now; raises ConfigError."""
        return explain.findings(await asyncio.to_thread(self._conf.check))

    async def take_over(self) -> tuple[str, ...]:
        """Move what an earlier LTSP left out of the way; raises ToolFailed."""
        found = await asyncio.to_thread(remains.look, self._paths)
        moved = await asyncio.to_thread(takeover.move_aside, self._paths, found)
        return await self._after_moving(moved, back=False)

    async def give_back(self) -> tuple[str, ...]:
        """Put what was moved aside back; raises ToolFailed."""
        return await self._after_moving(await asyncio.to_thread(takeover.put_back, self._paths), back=True)

    async def _after_moving(self, moved: tuple[str, ...], *, back: bool) -> tuple[str, ...]:
        self._moved.append((moved, back))
        # Ports may be free now that failing units have waited for.
        self._retry = True
        await self._tell()
        await self._follow_up()
        return moved

    async def report_clients(self, reports: Sequence[Mapping[str, object]]) -> None:
        """Take note of what clients said of themselves; waits for the first look at the images."""
        await self._looked.wait()
        known = {each.name: frozenset(one.id for one in each.generations) for each in self._facts.images}
        self._clients, refused = clients.merge(self._clients, reports, known, _now())
        if refused:
            log.warning("The gateway reported %d client(s) with values that can't be right.", refused)
        self._show(self._with_clients(self.state, settled=False))
        self._applier.answers.heard(reports)

    async def report_gateway(self, problems: Sequence[str]) -> None:
        """Take note of all that is wrong with the gateway now."""
        self._of_gateway = tuple(Problem("http", each) for each in problems)
        self._show(self._with_clients(self.state, settled=False))

    def preview(self, output: str) -> str:
        """Return what applying the output would change, as text; raises NoSuchOutput."""
        found = next((each for each in self._outputs if each.name == output), None)
        if found is None:
            known = ", ".join(each.name for each in self._outputs)
            raise NoSuchOutput(f"There is no output {output!r}; there is: {known}.")
        return self._applier.preview(found)


def _now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def _users(name: str) -> frozenset[int]:
    """Return a system user's id, or nothing if there is no such user."""
    try:
        return frozenset({pwd.getpwnam(name).pw_uid})
    except KeyError:
        return frozenset()
