"""The requests of the bus: what each method asks of images, jobs, configuration and passes."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from ltspd.config import explain
from ltspd.daemon import report
from ltspd.daemon.passes import Passes
from ltspd.errors import ConfigError, NoSuchOutput
from ltspd.image.store import store
from ltspd.migration import leftovers, takeover
from ltspd.model.configuration import ConfigFinding, Setting
from ltspd.model.state import State
from ltspd.paths import Paths

log = logging.getLogger(__name__)

# Seconds that a method waits for the pass that follows it: callers give up after 25 (D-Bus's default).
PATIENCE = 10.0


class Requests:
    """Implements what the bus offers (``ltspd.api.methods.Server``)."""

    def __init__(self, paths: Paths, passes: Passes) -> None:
        """Serve requests below ``paths.root``; passes publish the results."""
        self._paths = paths
        self._passes = passes

    @property
    def state(self) -> State:
        """The published state."""
        return self._passes.state

    async def reload(self) -> None:
        """Read the configuration again; raises ConfigError with every mistake, the old one stays then."""
        wrong = (await asyncio.to_thread(self._passes.conf.read))[1]
        await self._passes.follow_up(PATIENCE)
        if wrong:
            raise ConfigError("\n".join(problem.message for problem in wrong))

    async def apply(self, force: bool) -> None:
        """Bring everything up to date and start failed units again; ``force`` overwrites edited files.

        Raises OutputEdited, ToolFailed.
        """
        await self._passes.once(force=force, retry=True)
        report.raise_for(self.state.outputs)

    async def build_image(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""
        return await self._passes.builds.start(name, options, started_by)

    async def test_image(self, name: str, generation: str, started_by: int) -> str:
        """Check everything foreseeable, start the test and return the id of its job."""
        return await self._passes.trials.start(name, generation, started_by)

    async def revert_image(self, name: str, generation: str, started_by: int) -> None:
        """Make a generation the current one; empty: the one before the current. Raises NothingToRevert."""
        await asyncio.to_thread(store.revert, self._paths, name, generation)
        await self._passes.tell()

    async def remove_generation(self, name: str, generation: str) -> None:
        """Remove a generation that is not the current one; raises NoSuchGeneration, InUse."""
        await self._passes.builds.remove(name, generation)
        await self._passes.tell()

    async def keep_generation(self, name: str, generation: str, keep: bool) -> None:
        """Keep a generation however old it gets, or stop doing so; raises NoSuchGeneration, Busy."""
        await asyncio.to_thread(store.keep_generation, self._paths, name, generation, keep)
        await self._passes.tell()

    async def packages_changed(self) -> None:
        """Ask for a pass: packages may have changed."""
        self._passes.wake()

    async def cancel_job(self, job_id: str) -> None:
        """Ask a job to stop; raises NoSuchJob."""
        self._passes.jobs.cancel(job_id)

    async def explain_config(self, host: Mapping[str, object]) -> tuple[Setting, ...]:
        """Return what counts for a host (``mac``, ``ip``, ``hostname``; none: the server) and why."""
        wanted = explain.host_of(host)
        config, _ = await asyncio.to_thread(self._passes.conf.read)
        return explain.explain(config, wanted)

    async def check_config(self) -> tuple[ConfigFinding, ...]:
        """Return everything wrong with ltsp.conf as it is on disk now; raises ConfigError."""
        return explain.findings(await asyncio.to_thread(self._passes.conf.check))

    async def take_over(self) -> tuple[str, ...]:
        """Move what an earlier LTSP left out of the way; raises ToolFailed."""
        found = await asyncio.to_thread(leftovers.look, self._paths)
        moved = await asyncio.to_thread(takeover.move_aside, self._paths, found)
        return await self._after_moving(moved, back=False)

    async def give_back(self) -> tuple[str, ...]:
        """Put what was moved aside back; raises ToolFailed."""
        return await self._after_moving(await asyncio.to_thread(takeover.put_back, self._paths), back=True)

    async def _after_moving(self, moved: tuple[str, ...], *, back: bool) -> tuple[str, ...]:
        self._passes.moved_files(moved, back=back)
        await self._passes.tell()
        await self._passes.follow_up(PATIENCE)
        return moved

    async def report_clients(self, reports: Sequence[Mapping[str, object]]) -> None:
        """Take what clients reported; wait until the images are known."""
        await self._passes.observed.wait()
        if refused := self._passes.heard_clients(reports):
            log.warning("The gateway reported %d client(s) with values that can't be right.", refused)

    async def report_gateway(self, problems: Sequence[str]) -> None:
        """Take all present problems of the gateway."""
        self._passes.heard_gateway(problems)

    def preview(self, output: str) -> str:
        """Return what applying the output would change, as text; raises NoSuchOutput."""
        found = next((each for each in self._passes.outputs if each.name == output), None)
        if found is None:
            known = ", ".join(each.name for each in self._passes.outputs)
            raise NoSuchOutput(f"There is no output {output!r}; there is: {known}.")
        return self._passes.applier.preview(found)
