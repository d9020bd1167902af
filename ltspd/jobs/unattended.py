"""Builds and folds that nobody asked for: after an upgrade of a source, and of images with many layers."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping

from ltspd.config.configuration import Config
from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import FLAG
from ltspd.errors import LtspError, NoSpace, from_system
from ltspd.image import fold, reads
from ltspd.jobs.builds import Builds
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.model.image import Image, ImageState, Source
from ltspd.model.state import Problem
from ltspd.paths import Paths

log = logging.getLogger(__name__)


REBUILD = Parameter("AUTO_REBUILD", FLAG, "1", SERVER, "Rebuild images when their source changed")

# Who started a build that nobody asked for: the daemon's own user.
DAEMON_UID = 0
# A build that found no room is tried again once this many more bytes are free; LOOK_FOR_ROOM is in seconds.
ROOM = 64 << 20
LOOK_FOR_ROOM = 20.0


def _free(paths: Paths) -> int:
    try:
        figures = os.statvfs(paths.images)
    except OSError:
        return 0
    return figures.f_bavail * figures.f_frsize


class Unattended:
    """Starts builds and folds by itself, and knows which failed."""

    def __init__(
        self, paths: Paths, jobs: Jobs, builds: Builds, served: Callable[[], Awaitable[None]]
    ) -> None:
        """Start jobs of ``builds``; ``served`` is awaited after a fold, so that clients get its result."""
        self._paths = paths
        self._jobs = jobs
        self._builds = builds
        self._served = served
        # The packages' state at each image's last unattended build: one that failed waits for another state.
        self._tried: dict[str, str] = {}
        # The generation that each image's last fold began with: one that failed waits for another generation.
        self._folded: dict[str, str] = {}
        # Unattended builds run one at a time; requested ones start immediately.
        self._turn = asyncio.Lock()
        # Why unattended builds failed, and the bytes that were free when there was no room for one.
        self._failed: dict[str, str] = {}
        self._starved: dict[str, int] = {}

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
            unordered = not current.order and bool(reads.known(self._paths, image.name))
            if reason := fold.reason(current.layers, unordered=unordered):
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
                new = await asyncio.to_thread(self._builds.new, found, config, asked)
                ready = await self._builds.preflight(new)
                test = await self._builds.tested(config, new, ready, {})
                built = await self._builds.carry_out(new, ready, progress, test)
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
