"""Image builds as jobs: the options that count, the check before, the build with its trial."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ltspd.clients import known as clients
from ltspd.config.configuration import Config
from ltspd.config.file import ConfFile
from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.parameters import wants
from ltspd.config.readers import FLAG, TEXT, Reader, count, duration, number
from ltspd.config.wants import asked
from ltspd.disk.opening import OPEN_SECONDS
from ltspd.disk.source import readable
from ltspd.errors import Busy, InvalidOption
from ltspd.image import build
from ltspd.image.context import ASKED, Build, BuildOptions, Used
from ltspd.image.look.plan import excludes_setting
from ltspd.image.source import find as source
from ltspd.image.store import store
from ltspd.image.store.removal import remove_generation
from ltspd.jobs.engine import JobProgress, Jobs
from ltspd.jobs.trials import Trials
from ltspd.model.client import ClientState
from ltspd.model.image import Source, SourceKind
from ltspd.model.job import Progress
from ltspd.observe.usage import generations_in_use, layers_in_use
from ltspd.paths import Paths

log = logging.getLogger(__name__)

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
    "OMIT_IMAGE_EXCLUDES", TEXT, "", SERVER, "Default exclusions not to apply, and private files to put in"
)


def _kernel(text: str) -> str:
    """Return the pattern for the kernel; in LTSP that for the initrd follows it, which is made here."""
    pattern = next(iter(text.split()), "").removeprefix("/")
    if not pattern.isprintable():
        raise ValueError("has a control character")
    return pattern


KERNEL = Parameter(
    "KERNEL_INITRD",
    Reader("a shell pattern", _kernel, "a pattern for the kernel, such as boot/vmlinuz-*-generic"),
    "",
    SERVER,
    "Kernel of images whose kernel nobody chose by --kernel: a pattern for its version or file",
)

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


class Builds:
    """Starts requested builds; ``served`` is awaited after each, so that clients get its result then."""

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

    async def start(self, name: str, options: Mapping[str, Any], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""
        found = await asyncio.to_thread(source.resolve, self._paths, name)
        if other := self._jobs.running("build", found.name):
            raise Busy(
                f"Image {found.name} is already being built as job {other.id}; watch or cancel that one."
            )
        config, _ = await asyncio.to_thread(self._conf.read)
        new = await asyncio.to_thread(self.new, found, config, options)
        ready = await self.preflight(new, CALL_SECONDS)
        test = await self.tested(config, new, ready, options)

        async def work(progress: JobProgress) -> str:
            return await self.carry_out(new, ready, progress, test)

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

    def _options(self, config: Config, chosen: Mapping[str, Any]) -> BuildOptions:
        """Return what ltsp.conf says, and what the caller asked for besides; raises InvalidOption."""
        settings = config.settings
        options = BuildOptions(
            add_excludes=excludes_setting(self._paths, settings[ADD_EXCLUDES]),
            omit_excludes=excludes_setting(self._paths, settings[OMIT_EXCLUDES]),
            usual_kernel=settings[KERNEL],
            wants=asked(config.document, wants()),
            keep=settings[KEEP],
            keep_days=settings[KEEP_DAYS],
            grace=settings[GRACE],
        )
        return replace(options, **{name: chosen[name] for name in ASKED if name in chosen})

    def _as_before(self, found: Source) -> Source:
        """Return a disk with the partition that its image was made from last, unless one was asked for."""
        previous = store.current_manifest(self._paths, found.name)
        if found.kind is not SourceKind.DISK or found.partition or previous is None:
            return found
        file, _, number = previous.generation.source.rpartition(",partition=")
        return replace(found, partition=int(number)) if file == found.path and number.isdigit() else found

    def new(self, found: Source, config: Config, asked: Mapping[str, Any]) -> Build:
        """Return a build of a source with what ltsp.conf says and the caller asks for; blocks."""
        options, in_use = self._options(config, asked), self._used(found.name)
        return Build(self._paths, self._as_before(found), options, in_use=in_use)

    async def preflight(self, new: Build, seconds: float = OPEN_SECONDS) -> build.Ready:
        """Check what can be known before a build; raises what ``build.preflight`` and an open disk do."""
        async with readable(self._paths, new.source, seconds) as opened:
            return await build.preflight(replace(new, source=opened))

    async def tested(
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

    async def carry_out(self, new: Build, ready: build.Ready, progress: Progress, test: Config | None) -> str:
        """Build, and test the result before it is published if there is a configuration to test it with."""
        trial = None
        if test is not None:
            progress, trial = self._trials.within(test, progress)
        async with readable(self._paths, new.source) as opened:
            begun = replace(new, source=opened, progress=progress, trial=trial)
            built = await build.build(begun, ready)
        await self._served()
        return built.generation.id
