"""Image builds as jobs: asked for over the bus, or started by themselves after an upgrade of the source."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ltspd.clients import known as clients
from ltspd.config import Config
from ltspd.config.file import ConfFile
from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import FLAG, TEXT, count, duration, number
from ltspd.disk.opening import OPEN_SECONDS
from ltspd.disk.source import readable
from ltspd.errors import Busy, InvalidOption, LtspError, NoSpace, from_system
from ltspd.image import build, fold
from ltspd.image.context import ASKED, Build, BuildOptions, Used
from ltspd.image.look.plan import excludes_setting
from ltspd.image.source import find as source
from ltspd.image.store import store
from ltspd.image.store.removal import remove_generation
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.jobs.trials import Trials
from ltspd.model.client import ClientState
from ltspd.model.image import Image, ImageState, Source, SourceKind
from ltspd.model.job import Progress
from ltspd.model.state import Problem
from ltspd.observe.usage import generations_in_use, layers_in_use
from ltspd.paths import Paths

log = logging.getLogger(__name__)

REBUILD = Parameter("AUTO_REBUILD", FLAG, "1", SERVER, "Rebuild images when their source changed")
KEEP = Parameter("KEEP_GENERATIONS", count(), "3", SERVER, "Generations to keep of each image")
KEEP_DAYS = Parameter(
    "KEEP_DAYS",
    number("a number of days", 0, 36500),
    "0",
    SERVER,
    "Days for which a generation stays at least",
)
GRACE = Parameter(
    "KEEP_GRACE",
    duration(maximum=1000 * 86400),
    "10m",
    SERVER,
    "How long a replaced generation stays at least",
)
TEST = Parameter("TEST_IMAGE", FLAG, "0", SERVER, "Boot each new generation in a virtual machine first")
ADD_EXCLUDES = Parameter(
    "ADD_IMAGE_EXCLUDES", TEXT, "", SERVER, "Paths to leave out of images, or a file with them"
)
OMIT_EXCLUDES = Parameter(
    "OMIT_IMAGE_EXCLUDES", TEXT, "", SERVER, "Default exclusions and private files to keep"
)

# Who started a build that nobody asked for: the daemon's own user.
DAEMON_UID = 0
# A build that found no room is tried again once this many more bytes are free; LOOK_FOR_ROOM is in seconds.
ROOM = 64 << 20
LOOK_FOR_ROOM = 20.0
# A caller waits 25 s for an answer (D-Bus's default), of which the preflight takes at most a third.
CALL_SECONDS = 15.0


def in_use_of(paths: Paths, name: str, booted: Sequence[ClientState]) -> frozenset[str]:
    """Return the ids of an image's generations that clients are reading now, or are booting. Blocks."""
    images, _ = store.read_images(paths)
    layers = layers_in_use(paths)
    now = time.time_ns() // 1000
    return frozenset().union(
        *(
            generations_in_use(each, layers) | clients.generations_in_use(each, booted, now)
            for each in images
            if each.name == name
        )
    )


def _free(paths: Paths) -> int:
    try:
        figures = os.statvfs(paths.images)
    except OSError:
        return 0
    return figures.f_bavail * figures.f_frsize


class Builds:
    """Starts builds; ``served`` is awaited after each, so that a job is done once clients get its result."""

    def __init__(
        self,
        paths: Paths,
        conf: ConfFile,
        jobs: Jobs,
        served: Callable[[], Awaitable[None]],
        clients: Callable[[], Sequence[ClientState]],
        trials: Trials,
    ) -> None:
        """Build below ``paths`` with the settings in force at the time.

        ``clients`` says who is there, ``trials`` tests what was built.
        """
        self._paths = paths
        self._conf = conf
        self._jobs = jobs
        self._served = served
        self._clients = clients
        self._trials = trials
        # The packages' state at each image's last unattended build: one that failed waits for another state.
        self._tried: dict[str, str] = {}
        # The generation that each image's last fold began with: one that failed waits for another generation.
        self._folded: dict[str, str] = {}
        # Unattended builds run one at a time; requested ones start immediately.
        self._turn = asyncio.Lock()
        # Why unattended builds failed, and the bytes that were free when there was no room for one.
        self._failed: dict[str, str] = {}
        self._starved: dict[str, int] = {}

    async def start(self, name: str, options: Mapping[str, Any], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""
        found = await asyncio.to_thread(source.resolve, self._paths, name)
        if other := self._jobs.running("build", found.name):
            raise Busy(
                f"Image {found.name} is already being built as job {other.id}; watch or cancel that one."
            )
        config, _ = await asyncio.to_thread(self._conf.read)
        new = await asyncio.to_thread(self._new, found, config, options)
        ready = await self._preflight(new, CALL_SECONDS)
        test = await self._tested(config, new, ready, options)

        async def work(progress: JobProgress) -> str:
            return await self._build(new, ready, progress, test)

        return self._jobs.start("build", found.name, started_by, work).id

    async def remove(self, name: str, generation: str) -> None:
        """Remove a generation that nothing needs; raises NoSuchImage, NoSuchGeneration, InUse, Busy."""
        config, _ = await asyncio.to_thread(self._conf.read)
        grace = config.settings[GRACE]

        def work() -> None:
            remove_generation(self._paths, name, generation, self._used(name), grace=grace)

        await asyncio.to_thread(work)

    def _used(self, name: str) -> Used:
        """Return a function that tells which generations of an image clients use at that moment."""
        return lambda: in_use_of(self._paths, name, self._clients())

    def start_stale(
        self,
        config: Config,
        sources: tuple[Source, ...],
        images: tuple[ImageState, ...],
        digests: Mapping[str, str],
    ) -> None:
        """Start a build of each built image whose source has other packages since (AUTO_REBUILD).

        The build waits for the package manager's lock, so it begins after an upgrade that is under way. After
        an interrupted upgrade the job fails, and is tried again once the packages have changed.
        """
        if not config.settings[REBUILD]:
            self._failed.clear()
            self._starved.clear()
            return
        by_name = {each.name: each for each in sources}
        for image in images:
            found, digest = by_name.get(image.name), digests.get(image.name, "")
            if found is None or not image.current or not image.stale_because or image.job:
                continue
            if self._tried.get(image.name) == digest and not self._has_room(image.name):
                continue
            self._tried[image.name] = digest
            log.info("Rebuilding %s by itself: %s", image.name, image.stale_because)
            direct = any(each.direct for each in image.generations if each.id == image.current)
            work = self._unasked(found, config, direct)
            self._jobs.start("build", found.name, DAEMON_UID, work, self._turn)

    def start_folds(self, images: tuple[Image, ...]) -> None:
        """Start folding an image with too many or too large layers above its base, if no other job runs."""
        if any(not job.state.final for job in self._jobs.all):
            return
        for image in images:
            current = image.current_generation
            if current is None or current.direct or self._folded.get(image.name) == current.id:
                continue
            if reason := fold.reason(current.layers):
                self._folded[image.name] = current.id
                log.info("Folding %s: %s", image.name, reason)
                self._jobs.start("fold", image.name, DAEMON_UID, self._fold(image.name))
                return

    def _fold(self, name: str) -> Callable[[JobProgress], Awaitable[str]]:
        async def work(progress: JobProgress) -> str:
            generation = await fold.fold(self._paths, name, progress)
            await self._served()
            return generation.id

        return work

    def _unasked(
        self, found: Source, config: Config, direct: bool
    ) -> Callable[[JobProgress], Awaitable[str]]:
        async def work(progress: JobProgress) -> str:
            self._starved.pop(found.name, None)
            try:
                asked = {"background": True, "direct": direct}
                new = await asyncio.to_thread(self._new, found, config, asked)
                ready = await self._preflight(new)
                built = await self._build(new, ready, progress, await self._tested(config, new, ready, {}))
            except (LtspError, OSError) as error:
                wrong = error if isinstance(error, LtspError) else from_system(error, "The build failed")
                self._failed[found.name] = wrong.message.partition("\n")[0]
                if isinstance(wrong, NoSpace):
                    self._starved[found.name] = _free(self._paths)
                raise wrong from error
            self._failed.pop(found.name, None)
            return built

        return work

    def _has_room(self, name: str) -> bool:
        """Return whether an image for which there was no room may have it now."""
        return name in self._starved and _free(self._paths) >= self._starved[name] + ROOM

    @property
    def again(self) -> float | None:
        """Seconds after which to check for room, as no event tells of it; None if no build waits for it."""
        return LOOK_FOR_ROOM if self._starved else None

    def problems(self, images: Iterable[ImageState]) -> tuple[Problem, ...]:
        """Return a problem for each image that is out of date and couldn't be rebuilt."""
        stale = {each.name for each in images if each.stale_because}
        self._failed = {name: why for name, why in self._failed.items() if name in stale}
        return tuple(
            Problem(f"image {name}", f"It is out of date and couldn't be rebuilt by itself. {why}")
            for name, why in self._failed.items()
        )

    def _options(self, config: Config, asked: Mapping[str, Any]) -> BuildOptions:
        """Return what ltsp.conf says, and what the caller asked for besides; raises InvalidOption."""
        settings = config.settings
        options = BuildOptions(
            add_excludes=excludes_setting(self._paths, settings[ADD_EXCLUDES]),
            omit_excludes=excludes_setting(self._paths, settings[OMIT_EXCLUDES]),
            keep=settings[KEEP],
            keep_days=settings[KEEP_DAYS],
            grace=settings[GRACE],
        )
        return replace(options, **{name: asked[name] for name in ASKED if name in asked})

    def _as_before(self, found: Source) -> Source:
        """Return a disk with the partition that its image was made from last, unless one was asked for."""
        previous = store.current_manifest(self._paths, found.name)
        if found.kind is not SourceKind.DISK or found.partition or previous is None:
            return found
        file, _, number = previous.generation.source.rpartition(",partition=")
        return replace(found, partition=int(number)) if file == found.path and number.isdigit() else found

    def _new(self, found: Source, config: Config, asked: Mapping[str, Any]) -> Build:
        """Return a build of a source; blocks for the reading of lists that ltsp.conf names."""
        options, in_use = self._options(config, asked), self._used(found.name)
        return Build(self._paths, self._as_before(found), options, in_use=in_use)

    async def _preflight(self, new: Build, seconds: float = OPEN_SECONDS) -> build.Ready:
        async with readable(self._paths, new.source, seconds) as opened:
            return await build.preflight(replace(new, source=opened))

    async def _tested(
        self, config: Config, new: Build, ready: build.Ready, asked: Mapping[str, Any]
    ) -> Config | None:
        """Return the settings to test the result with, or None if it is not to be tested.

        Raises InvalidOption, NotInstalled, NoMemory, WrongArchitecture.
        """
        direct = new.options.direct
        if not asked.get("test", config.settings[TEST] and not direct):
            return None
        if direct:
            raise InvalidOption("A direct generation can't be tested: its clients read the chroot by NFS.")
        await self._trials.check(config, ready.plan.architecture)
        return config

    async def _build(self, new: Build, ready: build.Ready, progress: Progress, test: Config | None) -> str:
        """Build, and test the result before it is published if there is a configuration to test it with."""
        trial = None
        if test is not None:
            progress, trial = self._trials.within(test, progress)
        async with readable(self._paths, new.source) as opened:
            begun = replace(new, source=opened, progress=progress, trial=trial)
            built = await build.build(begun, ready)
        await self._served()
        return built.generation.id
