"""Trials of images, one at a time: a published generation in its own job, a new one within its build."""

import asyncio
import logging
from pathlib import Path

from ltspd.config.configuration import Config
from ltspd.config.document import Host
from ltspd.config.file import ConfFile
from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import duration, number
from ltspd.errors import InvalidOption, NoSuchGeneration, TestFailed
from ltspd.image import context, reads
from ltspd.image.store import store
from ltspd.jobs.engine import JobProgress, Jobs, Share
from ltspd.menu.choice import KERNEL_PARAMETERS, menu_settings
from ltspd.model.image import Generation, Image
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.trial import trial
from ltspd.trial.messages import Verdict

log = logging.getLogger(__name__)

MEMORY = Parameter(
    "TEST_MEMORY", number("MiB", 256, 1 << 20), "2048", SERVER, "Memory of the machine for tests"
)
TIMEOUT = Parameter(
    "TEST_TIMEOUT",
    # A machine that is emulated needs about half a minute to its login.
    duration(minimum=10, maximum=86400),
    "10m",
    SERVER,
    "How long a tested image may take to its login",
)

# The share of the progress that the build has in a build with a trial.
BUILD_SHARE = 0.4


class Trials:
    """Starts trials. A machine takes much memory, so a second trial waits for the first."""

    def __init__(self, paths: Paths, conf: ConfFile, jobs: Jobs, act: trial.Act) -> None:
        """Try out images below ``paths``; ``act`` starts and stops the machine's unit."""
        self._paths = paths
        self._conf = conf
        self._jobs = jobs
        self._act = act
        self._one = asyncio.Lock()

    async def start(self, name: str, generation: str, started_by: int) -> str:
        """Start the trial of a generation (empty: the current one) and return the id of its job.

        Raises NoSuchImage, NoSuchGeneration, InvalidOption, NotInstalled, NoMemory, WrongArchitecture, Busy.
        """
        config, _ = await asyncio.to_thread(self._conf.read)
        chosen = _choose(await asyncio.to_thread(store.find, self._paths, name), generation)
        if chosen.directory:
            raise InvalidOption(
                f"Generation {chosen.id} of {name} can't be tested: it is a direct one, whose clients read "
                f"{chosen.directory} by NFS. Test one that was packed."
            )
        await self.check(config, chosen.architecture)
        home = self._paths.images / name

        async def work(progress: JobProgress) -> str:
            files = home / "generations" / chosen.id
            return str(await self._try(config, chosen, (home / "layers",), files, progress))

        return self._jobs.start("test", name, started_by, work).id

    async def check(self, config: Config, machine: str) -> None:
        """Check what a trial needs; raises NotInstalled, NoMemory, WrongArchitecture."""
        await asyncio.to_thread(trial.check, self._paths, machine, config.settings[MEMORY])

    def within(self, config: Config, whole: Progress) -> tuple[Progress, context.Trial]:
        """Return the build's part of a job's progress, and the function that tries its generation out."""

        async def attempt(generation: Generation, work: Path, _: Progress) -> None:
            places = (work / "layers", self._paths.images / generation.image / "layers")
            progress = Share(whole, 1 - BUILD_SHARE)
            try:
                await self._try(config, generation, places, work / "generation", progress)
            except TestFailed as error:
                raise TestFailed(
                    f"The new generation of {generation.image} is not published, because it failed its test: "
                    f"clients boot what they booted before. {error.message}"
                ) from error

        return Share(whole, BUILD_SHARE), attempt

    async def _try(
        self,
        config: Config,
        generation: Generation,
        places: tuple[Path, ...],
        files: Path,
        progress: Progress,
    ) -> Verdict:
        if self._one.locked():
            progress.phase("waiting for another test", 0.0)
        async with self._one:
            verdict = await trial.attempt(
                self._paths, self._act, generation, places, files, conditions(config), progress
            )
        await asyncio.to_thread(self._keep, generation, files, verdict)
        return verdict

    def _keep(self, generation: Generation, files: Path, verdict: Verdict) -> None:
        """Keep what the machine has read, for the order of the next base. A test does not fail by that."""
        try:
            if reads.keep(self._paths, generation.image, files / context.ENTRIES, verdict.reads):
                log.info("%s: a test told what booting clients read", generation.image)
        except (OSError, ValueError) as error:
            log.warning("What a test of %s has read can't be kept: %s", generation.image, error)


def conditions(config: Config) -> trial.Conditions:
    """Return the conditions of trials that ltsp.conf sets."""
    settings = config.settings
    menu = menu_settings(config.document, Host())
    return trial.Conditions(settings[MEMORY], settings[TIMEOUT], menu[KERNEL_PARAMETERS])


def _choose(image: Image, wanted: str) -> Generation:
    found = next((each for each in image.generations if each.id == (wanted or image.current)), None)
    if found is None:
        known = ", ".join(each.id for each in image.generations) or "none"
        what = f"generation {wanted}" if wanted else "current generation"
        raise NoSuchGeneration(f"Image {image.name} has no {what}; it has: {known}.")
    return found
