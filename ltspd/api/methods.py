"""What each method of the contract does, and what a caller must be allowed to. No D-Bus messages here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ltspd import names
from ltspd.api.refusal import Refusal
from ltspd.api.tree import finding, setting
from ltspd.clients.fields import ON_THE_BUS
from ltspd.disk import words
from ltspd.errors import InvalidName, InvalidOption, NoSuchImage, NoSuchJob
from ltspd.model.configuration import ConfigFinding, Setting
from ltspd.model.image import ImageState
from ltspd.model.job import Job
from ltspd.model.output import OutputStatus
from ltspd.model.state import State

MANAGER = names.interface("Manager")
GATEWAY = names.interface("Gateway")
IMAGE = names.interface("Image")
LINK = names.interface("Link")
CLIENT = names.interface("Client")
OUTPUT = names.interface("Output")
JOB = names.interface("Job")

BUILD_IMAGE = names.action("build-image")
REVERT_IMAGE = names.action("revert-image")
CONFIGURE = names.action("configure")

# The action that starts a kind of job, which is also what its Cancel() needs; any other kind: CONFIGURE.
JOB_ACTIONS: Mapping[str, str] = {"build": BUILD_IMAGE, "test": BUILD_IMAGE}

# The longest name that can become one file name (Linux NAME_MAX), before anything is looked up or logged.
NAME_MAX = 255


class Server(Protocol):
    """What the daemon's core offers to the bus."""

    @property
    def state(self) -> State:
        """What is published; a job that ``build_image`` returned is already in it."""

    async def reload(self) -> None:
        """Read the configuration again and bring everything up to date; raises ConfigError."""

    async def apply(self, force: bool) -> None:
        """Bring everything up to date; ``force`` overwrites edited outputs. Raises OutputEdited."""

    async def build_image(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        """Check everything foreseeable, start the build and return the id of its job."""

    async def test_image(self, name: str, generation: str, started_by: int) -> str:
        """Check everything foreseeable, start the test (empty: of the current generation), return its job."""

    async def revert_image(self, name: str, generation: str, started_by: int) -> None:
        """Make a generation the current one; empty: the one before the current. Raises NothingToRevert."""

    async def remove_generation(self, name: str, generation: str) -> None:
        """Remove a generation that nothing uses; raises NoSuchGeneration, InUse."""

    async def keep_generation(self, name: str, generation: str, keep: bool) -> None:
        """Keep a generation however old it gets, or stop doing so; raises NoSuchGeneration, Busy."""

    async def packages_changed(self) -> None:
        """Take note that packages may have changed, and look soon; returns at once."""

    async def cancel_job(self, job_id: str) -> None:
        """Ask a job to stop; raises NoSuchJob."""

    async def explain_config(self, host: Mapping[str, object]) -> Sequence[Setting]:
        """Return what counts for a host (``mac``, ``ip``, ``hostname``; none: the server); no secrets."""

    async def check_config(self) -> Sequence[ConfigFinding]:
        """Return everything wrong with the configuration on disk; raises ConfigError."""

    async def take_over(self) -> Sequence[str]:
        """Move what an earlier LTSP left out of the way and return its names; raises ToolFailed."""

    async def give_back(self) -> Sequence[str]:
        """Put what was moved aside back and return its names; raises ToolFailed."""

    def preview(self, output: str) -> str:
        """Return what applying the output would change, as text; raises NoSuchOutput."""

    async def report_clients(self, reports: Sequence[Mapping[str, object]]) -> None:
        """Take note of what clients said of themselves: values of the right types, and nothing more."""

    async def report_gateway(self, problems: Sequence[str]) -> None:
        """Take note of all that is wrong with the gateway now, in bounded sentences."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method call. ``uid`` is the caller's; ``arguments`` are plain values, options already checked."""

    path: str
    sender: str
    uid: int
    arguments: tuple[Any, ...]


# What an authorization dialog may name: polkit's details, also used by rules of the administrator.
Details = Callable[[State, Call], Mapping[str, str]]
Run = Callable[[Server, Call], Awaitable[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is served: ``action`` None means that it only reads and everyone may call it.

    ``details`` looks the object up and raises when it is gone; it runs before and after the
    authorization, because a password dialog can be open for minutes. ``options`` gives the names
    and signatures that the method's ``a{sv}`` argument may hold. ``gateway``: only the gateway's user and
    the trusted ones may call it, and polkit is not asked.
    """

    run: Run
    action: str | Callable[[State, Call], str] | None
    details: Details
    options: Mapping[str, str] | None = None
    gateway: bool = False

    def action_for(self, state: State, call: Call) -> str | None:
        """Return the polkit action that this very call needs."""
        return self.action(state, call) if callable(self.action) else self.action


def check_options(options: Mapping[str, Any], known: Mapping[str, str]) -> Mapping[str, object]:
    """Return the options as plain values; raises InvalidOption for an unknown one or a wrong type."""
    plain: dict[str, object] = {}
    for key, variant in options.items():
        if key not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise InvalidOption(f"Option {key[:NAME_MAX]!r} is not known here; known options: {allowed}.")
        if variant.signature != known[key]:
            raise InvalidOption(f"Option {key!r} must have the D-Bus type '{known[key]}'.")
        plain[key] = variant.value
    return plain


def _image(state: State, call: Call) -> ImageState:
    for image in state.images:
        if names.object_path("image", image.name) == call.path:
            return image
    raise Refusal("UnknownObject", f"There is no image at {call.path} any more.")


def _output(state: State, call: Call) -> OutputStatus:
    for output in state.outputs:
        if names.object_path("output", output.name) == call.path:
            return output
    raise Refusal("UnknownObject", f"There is no output at {call.path} any more.")


def _job(state: State, call: Call) -> Job:
    for job in state.jobs:
        if names.object_path("job", job.id) == call.path:
            return job
    raise NoSuchJob(f"There is no job at {call.path} any more; finished jobs are forgotten after a while.")


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


def _nothing(_state: State, _call: Call) -> Mapping[str, str]:
    return {}


def _named_image(_state: State, call: Call) -> Mapping[str, str]:
    asked = words.parse(call.arguments[0]).image
    if not words.is_path(asked):
        return {"image": _check_name(asked)}
    if not asked.startswith("/"):
        raise InvalidName(f"{asked[:NAME_MAX]!r} is neither a name nor an absolute path.")
    return {"image": _check_name(words.image_name(asked)), "source": asked}


def _build_action(_state: State, call: Call) -> str:
    """Return what a build needs: who may build what is there may not bring in whatever root can read."""
    return CONFIGURE if words.is_path(words.parse(call.arguments[0]).image) else BUILD_IMAGE


def _this_image(state: State, call: Call) -> Mapping[str, str]:
    return {"image": _image(state, call).name}


def _this_generation(state: State, call: Call) -> Mapping[str, str]:
    return {"image": _image(state, call).name, "generation": call.arguments[0][:NAME_MAX]}


def _this_output(state: State, call: Call) -> Mapping[str, str]:
    return {"output": _output(state, call).name}


def _this_job(state: State, call: Call) -> Mapping[str, str]:
    job = _job(state, call)
    return {"job": job.id, "image": job.subject}


def _job_action(state: State, call: Call) -> str:
    return JOB_ACTIONS.get(_job(state, call).kind, CONFIGURE)


async def _reload(server: Server, _call: Call) -> tuple[Any, ...]:
    await server.reload()
    return ()


async def _apply(server: Server, call: Call) -> tuple[Any, ...]:
    await server.apply(bool(call.arguments[0].get("force", False)))
    return ()


async def _manager_build(server: Server, call: Call) -> tuple[Any, ...]:
    name, options = call.arguments
    return (names.object_path("job", await server.build_image(name, options, call.uid)),)


async def _get_image(server: Server, call: Call) -> tuple[Any, ...]:
    name = call.arguments[0]
    if not any(image.name == name for image in server.state.images):
        raise NoSuchImage(
            f"There is no image {name[:NAME_MAX]!r}; 'ltspctl image list' shows the known ones."
        )
    return (names.object_path("image", name),)


async def _packages_changed(server: Server, _call: Call) -> tuple[Any, ...]:
    await server.packages_changed()
    return ()


async def _explain_config(server: Server, call: Call) -> tuple[Any, ...]:
    return (tuple(setting(each) for each in await server.explain_config(call.arguments[0])),)


async def _check_config(server: Server, _call: Call) -> tuple[Any, ...]:
    return (tuple(finding(each) for each in await server.check_config()),)


async def _take_over(server: Server, _call: Call) -> tuple[Any, ...]:
    return (list(await server.take_over()),)


async def _give_back(server: Server, _call: Call) -> tuple[Any, ...]:
    return (list(await server.give_back()),)


async def _image_build(server: Server, call: Call) -> tuple[Any, ...]:
    name = _image(server.state, call).name
    return (names.object_path("job", await server.build_image(name, call.arguments[0], call.uid)),)


async def _image_test(server: Server, call: Call) -> tuple[Any, ...]:
    name, (options,) = _image(server.state, call).name, call.arguments
    generation = str(options.get("generation", ""))
    return (names.object_path("job", await server.test_image(name, generation, call.uid)),)


async def _image_revert(server: Server, call: Call) -> tuple[Any, ...]:
    await server.revert_image(_image(server.state, call).name, call.arguments[0], call.uid)
    return ()


async def _image_remove(server: Server, call: Call) -> tuple[Any, ...]:
    await server.remove_generation(_image(server.state, call).name, call.arguments[0])
    return ()


async def _image_keep(server: Server, call: Call) -> tuple[Any, ...]:
    await server.keep_generation(_image(server.state, call).name, *call.arguments)
    return ()


async def _output_preview(server: Server, call: Call) -> tuple[Any, ...]:
    return (server.preview(_output(server.state, call).name),)


async def _job_cancel(server: Server, call: Call) -> tuple[Any, ...]:
    await server.cancel_job(_job(server.state, call).id)
    return ()


async def _report_clients(server: Server, call: Call) -> tuple[Any, ...]:
    entries = call.arguments[0]
    if len(entries) > REPORTS_MOST:
        raise Refusal("LimitsExceeded", f"At most {REPORTS_MOST} clients in a call, not {len(entries)}.")
    await server.report_clients([_report(each) for each in entries])
    return ()


async def _report_problems(server: Server, call: Call) -> tuple[Any, ...]:
    problems: Sequence[str] = call.arguments[0]
    if len(problems) > PROBLEMS_MOST or any(len(each) > PROBLEM_MOST for each in problems):
        most = f"At most {PROBLEMS_MOST} problems in a call, each of at most {PROBLEM_MOST} characters."
        raise Refusal("LimitsExceeded", most)
    await server.report_gateway([each if each.isprintable() else repr(each) for each in problems])
    return ()


def _report(entry: Mapping[str, Any]) -> Mapping[str, object]:
    """Return what is known of a report's keys as plain values; raises InvalidOption for another type."""
    for key, signature in REPORT_KEYS.items():
        if key in entry and entry[key].signature != signature:
            raise InvalidOption(f"{key} of a client must have the D-Bus type '{signature}'.")
    return {key: entry[key].value for key in REPORT_KEYS if key in entry}


# What a client reports: all but the time are words, which the core looks at.
REPORT_KEYS: Mapping[str, str] = {**dict.fromkeys(ON_THE_BUS.values(), "s"), "LastSeen": "t"}
# Clients in one call of ReportClients.
REPORTS_MOST = 500
# Sentences in one call of ReportProblems, and characters in each.
PROBLEMS_MOST, PROBLEM_MOST = 16, 400

BUILD_OPTIONS: Mapping[str, str] = {
    "background": "b",
    "direct": "b",
    "full": "b",
    "kernel": "s",
    "initrd": "s",
    "test": "b",
}
TEST_OPTIONS: Mapping[str, str] = {"generation": "s"}
APPLY_OPTIONS: Mapping[str, str] = {"force": "b"}
HOST_OPTIONS: Mapping[str, str] = {"mac": "s", "ip": "s", "hostname": "s"}

# Every method of the contract; a test holds this table, the XML and the live introspection together.
METHODS: Mapping[tuple[str, str], Method] = {
    (MANAGER, "Reload"): Method(_reload, CONFIGURE, _nothing),
    (MANAGER, "Apply"): Method(_apply, CONFIGURE, _nothing, APPLY_OPTIONS),
    (MANAGER, "BuildImage"): Method(_manager_build, _build_action, _named_image, BUILD_OPTIONS),
    (MANAGER, "GetImage"): Method(_get_image, None, _nothing),
    (MANAGER, "PackagesChanged"): Method(_packages_changed, CONFIGURE, _nothing),
    (MANAGER, "ExplainConfig"): Method(_explain_config, CONFIGURE, _nothing, HOST_OPTIONS),
    (MANAGER, "CheckConfig"): Method(_check_config, CONFIGURE, _nothing),
    (MANAGER, "TakeOver"): Method(_take_over, CONFIGURE, _nothing),
    (MANAGER, "GiveBack"): Method(_give_back, CONFIGURE, _nothing),
    (GATEWAY, "ReportClients"): Method(_report_clients, None, _nothing, gateway=True),
    (GATEWAY, "ReportProblems"): Method(_report_problems, None, _nothing, gateway=True),
    (IMAGE, "Build"): Method(_image_build, BUILD_IMAGE, _this_image, BUILD_OPTIONS),
    (IMAGE, "Test"): Method(_image_test, BUILD_IMAGE, _this_image, TEST_OPTIONS),
    (IMAGE, "Revert"): Method(_image_revert, REVERT_IMAGE, _this_generation),
    (IMAGE, "Remove"): Method(_image_remove, REVERT_IMAGE, _this_generation),
    (IMAGE, "Keep"): Method(_image_keep, REVERT_IMAGE, _this_generation),
    (OUTPUT, "Preview"): Method(_output_preview, CONFIGURE, _this_output),
    (JOB, "Cancel"): Method(_job_cancel, _job_action, _this_job),
}

# The methods that only read: adding one here is a decision, so it is a list of its own.
READ_ONLY: frozenset[tuple[str, str]] = frozenset({(MANAGER, "GetImage")})
