"""``Image``: what clients boot, and its generations; also a source that was never built."""

import asyncio
from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple, Protocol

from ltspd.api import noun
from ltspd.api.noun import (
    BUILD_IMAGE,
    NAME_MAX,
    NO_OBJECT,
    REVERT_IMAGE,
    Call,
    Method,
    Noun,
    Option,
    Property,
    path_of,
    record,
)
from ltspd.errors import (
    BadDisk,
    Busy,
    InUse,
    InvalidOption,
    NoKernel,
    NoMemory,
    NoSpace,
    NoSuchGeneration,
    NoSuchSource,
    NothingToRevert,
    NotInstalled,
    TestFailed,
    UnsuitableInitrd,
    UnsupportedDisk,
    WrongArchitecture,
)
from ltspd.image.store import store
from ltspd.model.image import Generation, ImageState
from ltspd.names import interface


class Builds(Protocol):
    """What builds images and removes generations."""

    async def start(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""

    async def remove(self, name: str, generation: str) -> None:
        """Remove a generation that nothing uses; raises NoSuchGeneration, InUse, Busy."""


class Trials(Protocol):
    """What tests generations."""

    async def start(self, name: str, generation: str, started_by: int) -> str:
        """Check everything foreseeable, start the test (empty: of the current generation), return its job."""


class Core(noun.Core, Protocol):
    """What the methods of an image need."""

    @property
    def builds(self) -> Builds:
        """What builds images."""

    @property
    def trials(self) -> Trials:
        """What tests them."""


BUILD_OPTIONS = (
    Option("background", "b", "gives the work low CPU and disk priority"),
    Option("full", "b", "packs everything anew, also what did not change"),
    Option("direct", "b", "packs nothing: clients get the source itself, a chroot or a live medium"),
    Option(
        "kernel",
        "s",
        "is a shell pattern for the version or the file of the kernel to take, also in later builds; empty: "
        "the source's own choice",
    ),
    Option(
        "initrd",
        "s",
        "is own (ours) or distribution (the distribution's, with our client as a guest in it), also in later "
        "builds",
    ),
    Option(
        "test",
        "b",
        "boots the generation in a machine first, and does not publish it if it does not reach its login "
        "(default: TEST_IMAGE of ltsp.conf; a direct one can't be tested)",
    ),
)
BUILD_ERRORS = (
    InvalidOption,
    NoSuchSource,
    NoKernel,
    UnsuitableInitrd,
    NoSpace,
    Busy,
    BadDisk,
    UnsupportedDisk,
    NotInstalled,
    NoMemory,
)


async def build(core: Core, name: str, options: Mapping[str, object], caller: int) -> str:
    """Start a build and return the path of its job."""
    return path_of("job", await core.builds.start(name, options, caller))


async def _build(core: Core, image: ImageState, call: Call) -> str:
    return await build(core, image.name, call.arguments[0], call.uid)


async def _test(core: Core, image: ImageState, call: Call) -> str:
    generation = str(call.arguments[0].get("generation", ""))
    return path_of("job", await core.trials.start(image.name, generation, call.uid))


async def _revert(core: Core, image: ImageState, call: Call) -> None:
    await asyncio.to_thread(store.revert, core.paths, image.name, *call.arguments)
    await core.tell()


async def _remove(core: Core, image: ImageState, call: Call) -> None:
    await core.builds.remove(image.name, *call.arguments)
    await core.tell()


async def _keep(core: Core, image: ImageState, call: Call) -> None:
    await asyncio.to_thread(store.keep_generation, core.paths, image.name, *call.arguments)
    await core.tell()


def _with_generation(image: ImageState, call: Call) -> Mapping[str, str]:
    return {"image": image.name, "generation": call.arguments[0][:NAME_MAX]}


class _Generation(NamedTuple):
    """A generation as its image shows it."""

    of: Generation
    kept: bool


GENERATION: tuple[Property[_Generation], ...] = (
    Property("Id", "s", lambda each: each.of.id),
    Property("Created", "t", lambda each: int(each.of.created * 1_000_000)),
    Property("Source", "s", lambda each: each.of.source),
    Property("Architecture", "s", lambda each: each.of.architecture),
    Property("Kernel", "s", lambda each: each.of.kernel),
    Property("Size", "t", lambda each: each.of.size, "bytes"),
    Property("Layers", "u", lambda each: len(each.of.layers)),
    Property(
        "Directory",
        "s",
        lambda each: each.of.directory,
        "the chroot that clients of a generation without layers read",
    ),
    Property("Summary", "s", lambda each: each.of.summary),
    Property("Kept", "b", attrgetter("kept"), "by Keep"),
    Property(
        "Notes",
        "as",
        lambda each: each.of.notes,
        "sentences about its content, such as excludes that fit nothing",
    ),
    Property(
        "Ordered",
        "b",
        lambda each: bool(each.of.order),
        "what booting clients read lies together in its base, as a test told",
        since="0.6.0",
    ),
)

NOUN: Noun[ImageState] = Noun(
    name=interface("Image"),
    objects=attrgetter("images"),
    key=attrgetter("name"),
    details=lambda image: {"image": image.name},
    methods=(
        Method(
            name="Build",
            inputs="a{sv} options",
            outputs="o job",
            run=_build,
            action=BUILD_IMAGE,
            options=BUILD_OPTIONS,
            doc="As Manager.BuildImage, for this image.",
            errors=BUILD_ERRORS,
            job_errors=(TestFailed,),
        ),
        Method(
            name="Test",
            inputs="a{sv} options",
            outputs="o job",
            run=_test,
            action=BUILD_IMAGE,
            options=(Option("generation", "s", "is the one to test (default: the current one)"),),
            doc="""Boot a generation in a machine of its own, without touching any client or network, and
                see whether it reaches its login. The job's kind is test; its result says how long that
                took and what failed on the way. A direct generation can't be tested.""",
            errors=(NoSuchGeneration, InvalidOption, NotInstalled, NoMemory, WrongArchitecture, Busy),
            job_errors=(TestFailed,),
        ),
        Method(
            name="Revert",
            inputs="s generation",
            run=_revert,
            action=REVERT_IMAGE,
            details=_with_generation,
            doc="""Make a generation the one that new clients boot; empty: the one before the current.
                Running clients keep theirs. Returns when that is so and Generations and Current say it;
                the boot menu follows within a second or two, as after Remove and Keep.""",
            errors=(NoSuchGeneration, NothingToRevert, Busy),
        ),
        Method(
            name="Remove",
            inputs="s generation",
            run=_remove,
            action=REVERT_IMAGE,
            details=_with_generation,
            doc="""Remove a generation that is neither current nor kept, that no client uses, and that was
                not current within KEEP_GRACE, because a client that is starting is not seen yet.""",
            errors=(NoSuchGeneration, InUse, Busy),
        ),
        Method(
            name="Keep",
            inputs="s generation, b keep",
            run=_keep,
            action=REVERT_IMAGE,
            details=_with_generation,
            doc="Keep a generation however old it gets, or stop doing so.",
            errors=(NoSuchGeneration, Busy),
        ),
    ),
    properties=(
        Property("Name", "s", attrgetter("name"), emits="const"),
        Property(
            "Source",
            "s",
            attrgetter("source"),
            "Path of what it is built from; empty if that is gone.",
        ),
        Property(
            "Current",
            "s",
            attrgetter("current"),
            "Id of the generation that new clients boot; empty if there is none.",
        ),
        Property(
            "Generations",
            "aa{sv}",
            lambda image: tuple(
                record(GENERATION, _Generation(each, each.id in image.kept)) for each in image.generations
            ),
            "All generations, oldest first. They are dictionaries, not structs, so that keys can be added "
            "without breaking anyone; ignore unknown ones.",
            keys=GENERATION,
        ),
        Property("Kernel", "s", attrgetter("kernel"), "Kernel version of the current generation."),
        Property(
            "Size", "t", attrgetter("size"), "Bytes of the current generation: layers, kernel and initrd."
        ),
        Property(
            "StaleBecause",
            "s",
            attrgetter("stale_because"),
            "Why a new build would differ from the current generation; empty: it is up to date.",
        ),
        Property(
            "Job",
            "o",
            lambda image: path_of("job", image.job) if image.job else NO_OBJECT,
            'The job that works on this image; "/" if none does.',
        ),
    ),
)
