"""``Manager``: the server as a whole, and what concerns no single thing of it."""

import asyncio
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Protocol

from ltspd.api import config, diagnosis, image, migration, order, permission, serving, setup
from ltspd.api.noun import (
    BUILD_IMAGE,
    CONFIGURE,
    NAME_MAX,
    PATIENCE,
    Call,
    Method,
    Noun,
    Option,
    Property,
    Signal,
    path_of,
    record,
)
from ltspd.disk import words
from ltspd.errors import (
    ConfigError,
    InvalidName,
    NoSuchImage,
    OutputEdited,
    TestFailed,
    ToolFailed,
)
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import State
from ltspd.names import interface


class Core(image.Core, config.Core, diagnosis.Core, migration.Core, order.Core, setup.Core, Protocol):
    """What the methods of the manager need."""

    async def once(self, *, force: bool = False, retry: bool = False) -> None:
        """Bring everything up to date; ``force`` overwrites edits, ``retry`` starts what failed again."""


def raise_for(outputs: Iterable[OutputStatus]) -> None:
    """Raise OutputEdited or ToolFailed if an output could not be applied; the message names each."""
    outputs = tuple(outputs)
    if edited := [each.message for each in outputs if each.state is OutputState.EDITED]:
        raise OutputEdited("\n".join(edited))
    if failed := [f"{each.name}: {each.message}" for each in outputs if each.state is OutputState.FAILED]:
        raise ToolFailed("\n".join(failed))


async def _reload(core: Core, _state: State, _call: Call) -> None:
    wrong = (await asyncio.to_thread(core.conf.read))[1]
    await core.follow_up(PATIENCE)
    if wrong:
        raise ConfigError("\n".join(problem.message for problem in wrong))


async def _apply(core: Core, _state: State, call: Call) -> None:
    await core.once(force=bool(call.arguments[0].get("force", False)), retry=True)
    raise_for(core.state.outputs)


def _check_name(name: str) -> str:
    """Return a name that is safe to look up and show (``/``: the server's own root); raises InvalidName."""
    if name == "/":
        return name
    if not 0 < len(name) <= NAME_MAX or not name.isprintable() or "/" in name or name.startswith((".", "-")):
        raise InvalidName(
            f"{name[:40]!r} can't be an image's name: use 1 to {NAME_MAX} printable characters "
            "without '/', and neither '.' nor '-' first."
        )
    return name


def _named_image(_state: State, call: Call) -> Mapping[str, str]:
    asked = words.parse(call.arguments[0]).image
    if not words.is_path(asked):
        return {"image": _check_name(asked)}
    if not asked.startswith("/"):
        raise InvalidName(f"{asked[:NAME_MAX]!r} is neither a name nor an absolute path.")
    return {"image": _check_name(words.image_name(asked)), "source": asked}


def _build_action(_state: State, call: Call) -> str:
    """Return the action for a build: who may build known sources may not take any file that root can read."""
    return CONFIGURE if words.is_path(words.parse(call.arguments[0]).image) else BUILD_IMAGE


async def _build_image(core: Core, _state: State, call: Call) -> str:
    name, options = call.arguments
    return await image.build(core, name, options, call.uid)


async def _get_image(core: Core, _state: State, call: Call) -> str:
    name = call.arguments[0]
    if not any(each.name == name for each in core.state.images):
        raise NoSuchImage(
            f"There is no image {name[:NAME_MAX]!r}; 'ltspctl image list' shows the known ones."
        )
    return path_of("image", name)


async def _packages_changed(core: Core, _state: State, _call: Call) -> None:
    core.wake()


NOUN: Noun[State] = Noun(
    name=interface("Manager"),
    objects=lambda state: (state,),
    methods=(
        Method(
            name="Reload",
            run=_reload,
            action=CONFIGURE,
            doc="""Read /etc/ltsp/ltsp.conf again and bring everything up to date; returns when that is
                done, or after 10 s if services take longer: State is applying then. If the file has
                errors, the last good configuration stays in force.""",
            errors=(ConfigError,),
        ),
        Method(
            name="Apply",
            inputs="a{sv} options",
            run=_apply,
            action=CONFIGURE,
            options=(
                Option(
                    "force",
                    "b",
                    "overwrites generated files that were edited by hand, and removes those of them that "
                    "nothing needs any more",
                ),
            ),
            doc="""Bring everything up to date now; returns when that is done, which takes up to 30 s for
                each service that does not start: call it without a timeout, or with one of minutes.""",
            errors=(OutputEdited, ToolFailed),
        ),
        Method(
            name="BuildImage",
            inputs="s name, a{sv} options",
            outputs="o job",
            run=_build_image,
            action=_build_action,
            needs="build-image, or for a path configure: any file of the server can be one",
            details=_named_image,
            options=image.BUILD_OPTIONS,
            doc="""Build a new generation of an image and make it current. Everything that can be foreseen
                is checked before the reply; the job goes on when the caller is gone. The name is an
                image's, / for the server's own root, or the absolute path of a disk image; after a disk
                image options may follow as in LTSP: NAME,partition=2.""",
            errors=(InvalidName, *image.BUILD_ERRORS),
            job_errors=(TestFailed,),
        ),
        Method(
            name="GetImage",
            inputs="s name",
            outputs="o image",
            run=_get_image,
            action=None,
            doc="Return the object of an image.",
            errors=(NoSuchImage,),
        ),
        Method(
            name="PackagesChanged",
            run=_packages_changed,
            action=CONFIGURE,
            doc="""For the package manager's hook: packages may have changed, so everything is looked at
                soon. Returns at once.""",
        ),
        *config.METHODS,
        *migration.METHODS,
        *order.METHODS,
        *setup.METHODS,
        *diagnosis.METHODS,
        *serving.METHODS,
        *permission.METHODS,
    ),
    signals=(
        Signal(
            "JobFinished",
            "o job, s result",
            "A job became final, after its last PropertiesChanged. The result is done, failed or cancelled.",
        ),
    ),
    properties=(
        Property("Version", "s", attrgetter("version"), "Version of the daemon.", emits="const"),
        Property(
            "State",
            "s",
            lambda state: str(state.state),
            "starting, in-sync, applying, or attention (then Problems is not empty).",
        ),
        Property(
            "Problems",
            "as",
            attrgetter("problems"),
            "One line for each thing that a person should know: subject, reason, next step.",
        ),
        Property(
            "Revision", "t", attrgetter("revision"), "Grows with every change of what the daemon publishes."
        ),
        Property(
            "BaseDirectory",
            "s",
            attrgetter("base_directory"),
            "Where images and sources live (BASE_DIR).",
        ),
        Property(
            "TftpDirectory",
            "s",
            attrgetter("tftp_directory"),
            "Where boot programs and menus live, as served by TFTP (TFTP_DIR).",
        ),
        Property(
            "Remains",
            "aa{sv}",
            lambda state: tuple(record(migration.LEFTOVER, each) for each in state.leftovers),
            "What an earlier LTSP left on this server; what does harm comes first.",
            keys=migration.LEFTOVER,
        ),
        Property(
            "SetAside",
            "as",
            attrgetter("set_aside"),
            "Files that TakeOver moved aside, by the names that they had.",
        ),
        Property(
            "Rooms", "as", attrgetter("rooms"), "The rooms of ltsp.conf, in the file's order.", since="0.3.0"
        ),
        *setup.PROPERTIES,
        serving.PROPERTY,
        config.PROPERTY,
    ),
)
