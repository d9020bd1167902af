"""Stand-ins at the room's edges: a daemon core whose work is steps of a script, and an authority."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbus_next import Message, MessageType

from ltspd.api.service import Service
from ltspd.dbus.connection import Connection
from ltspd.errors import (
    ConfigError,
    InUse,
    LtspError,
    NoSuchGeneration,
    NoSuchJob,
    NoSuchSource,
    NothingToRevert,
)
from ltspd.jobs.engine import Jobs
from ltspd.model.client import ClientState
from ltspd.model.configuration import ConfigFinding, Setting
from ltspd.model.image import Generation, ImageState, Layer
from ltspd.model.job import Job, Progress
from ltspd.model.network import DhcpRole, LinkState
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import ServerState, State


def generation(name: str) -> Generation:
    return Generation(
        id=name, image="x86_64", created=1_700_000_000.5, source="/srv/ltsp/x86_64", architecture="amd64",
        kernel="6.1.0-13-amd64", layers=(Layer("ab" * 32, 1000),), source_bytes=5000, source_files=10,
        kernel_bytes=20, initrd_bytes=30, packages_digest="00", summary="first",
        notes=("The exclude 'a b' leaves out nothing.",) if name == "g2" else (),
    )  # fmt: skip


STATE = State(
    version="1.2.3",
    state=ServerState.IN_SYNC,
    revision=7,
    problems=("ltsp.conf: line 3 is odd; correct it",),
    base_directory="/srv/ltsp",
    tftp_directory="/srv/tftp/ltsp",
    images=(
        ImageState(
            "x86_64", "/srv/ltsp/x86_64", "g2", (generation("g1"), generation("g2")), "6.1", 1050, "", ""
        ),
        ImageState("bad name/%", "/srv/ltsp/odd", ""),
    ),
    links=(LinkState("eth0", 2, "up", ("10.0.0.1/24",), DhcpRole.REAL),),
    clients=(
        ClientState(
            "52:54:00:00:00:01", "pc01", "10.0.0.20", "x86_64", "g2", "login", 1_700_000_000_000_000, "nfs"
        ),
        ClientState(
            "52:54:00:00:00:02",
            "pc02",
            "10.0.0.21",
            "x86_64",
            "g1",
            "failed",
            1_700_000_060_000_000,
            "nfs",
            "eth0 has no link.",
        ),
    ),
    outputs=(
        OutputStatus("dnsmasq", ("/etc/a", "/etc/b"), "dnsmasq.service", OutputState.EDITED, "by hand", 5),
    ),
)


class FakeServer:
    """The daemon core as the bus sees it; builds are real jobs that wait for ``go``."""

    def __init__(self) -> None:
        self._state = STATE
        self.calls: list[tuple[Any, ...]] = []
        self.problems_of_gateway: list[tuple[str, ...]] = []
        self.service: Service | None = None
        self.go = asyncio.Event()
        self.result = "g3"
        self.build_error: LtspError | None = None
        self.crash: Exception | None = None
        self.config_error = ""
        self.findings: tuple[ConfigFinding, ...] = ()
        self.settings: tuple[Setting, ...] = (
            Setting("HOSTNAME", "pc01", "/etc/ltsp/ltsp.conf", 7, False),
            Setting("PASSWORDS_A", "", "/etc/ltsp/ltsp.conf", 9, True),
            Setting("MENU_TIMEOUT", "5000", "", 0, False),
        )
        self.slow_apply = 0.0
        self.applying = asyncio.Event()
        self.jobs = Jobs(self._changed, self._finished)

    @property
    def state(self) -> State:
        return replace(self._state, jobs=self._state.jobs or self.jobs.all)

    def set(self, **changes: Any) -> None:
        """Change what is published, as a pass would."""
        self._state = replace(self._state, revision=self._state.revision + 1, **changes)
        self._changed()

    def _changed(self) -> None:
        if self.service is not None:
            self.service.publish(self.state)

    def _finished(self, job: Job) -> None:
        if self.service is not None:
            self.service.job_finished(job)

    async def reload(self) -> None:
        self.calls.append(("reload",))
        if self.config_error:
            raise ConfigError(self.config_error)

    async def apply(self, force: bool) -> None:
        self.calls.append(("apply", force))
        self.applying.set()
        await asyncio.sleep(self.slow_apply)
        if self.crash is not None:
            raise self.crash

    async def build_image(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        self.calls.append(("build", name, dict(options), started_by))
        if name not in {image.name for image in self._state.images}:
            raise NoSuchSource(f"There is nothing to build {name!r} from.")

        async def work(progress: Progress) -> str:
            progress.phase("scanning", 0.25)
            await asyncio.sleep(0.05)
            progress.phase("packing", 0.75, 3_100_000_000)
            await self.go.wait()
            if self.build_error is not None:
                raise self.build_error
            return self.result

        return self.jobs.start("build", name, started_by, work).id

    async def test_image(self, name: str, generation: str, started_by: int) -> str:
        self.calls.append(("test", name, generation, started_by))
        if generation not in ("", "g1", "g2"):
            raise NoSuchGeneration(f"{name} has no generation {generation}.")

        async def work(progress: Progress) -> str:
            progress.phase("firmware", 0.05)
            await self.go.wait()
            if self.build_error is not None:
                raise self.build_error
            return "login after 24 s (KVM)"

        return self.jobs.start("test", name, started_by, work).id

    async def revert_image(self, name: str, generation: str, started_by: int) -> None:
        self.calls.append(("revert", name, generation, started_by))
        (image,) = (each for each in self._state.images if each.name == name)
        if not image.generations:
            raise NothingToRevert(f"{name} has no other generation.")
        chosen = generation or image.generations[0].id
        if chosen not in {each.id for each in image.generations}:
            raise NoSuchGeneration(f"{name} has no generation {generation[:50]!r}.")
        others = tuple(each for each in self._state.images if each.name != name)
        self.set(images=(replace(image, current=chosen), *others))

    async def remove_generation(self, name: str, generation: str) -> None:
        self.calls.append(("remove", name, generation))
        if generation == "g2":
            raise InUse("g2 is current.")

    async def keep_generation(self, name: str, generation: str, keep: bool) -> None:
        self.calls.append(("keep", name, generation, keep))
        (image,) = (each for each in self._state.images if each.name == name)
        if generation not in {each.id for each in image.generations}:
            raise NoSuchGeneration(f"{name} has no generation {generation[:50]!r}.")
        others = tuple(each for each in self._state.images if each.name != name)
        kept = image.kept | {generation} if keep else image.kept - {generation}
        self.set(images=(replace(image, kept=kept), *others))

    async def packages_changed(self) -> None:
        self.calls.append(("packages",))

    async def cancel_job(self, job_id: str) -> None:
        self.calls.append(("cancel", job_id))
        if job_id not in {job.id for job in self.jobs.all}:
            raise NoSuchJob(f"There is no job {job_id}.")
        self.jobs.cancel(job_id)

    async def explain_config(self, host: Mapping[str, object]) -> tuple[Setting, ...]:
        self.calls.append(("explain", dict(host)))
        return self.settings

    async def check_config(self) -> tuple[ConfigFinding, ...]:
        self.calls.append(("check",))
        return self.findings

    async def take_over(self) -> tuple[str, ...]:
        self.calls.append(("take over",))
        moved = tuple(each.path for each in self._state.leftovers if each.moves)
        self.set(leftovers=(), set_aside=moved)
        return moved

    async def give_back(self) -> tuple[str, ...]:
        self.calls.append(("give back",))
        back = self._state.set_aside
        self.set(set_aside=())
        return back

    async def report_clients(self, reports: Sequence[Mapping[str, object]]) -> None:
        self.calls.append(("clients", tuple(reports)))

    async def report_gateway(self, problems: Sequence[str]) -> None:
        self.problems_of_gateway.append(tuple(problems))

    def preview(self, output: str) -> str:
        return f"--- {output}\n+ a line\n"


class FakePolkit:
    """Owns polkit's name on the private bus and decides by a table; remembers what it was asked."""

    def __init__(self, bus: Connection) -> None:
        self.bus = bus
        self.allow: set[str] = set()
        self.asked: list[tuple[str, str, dict[str, str], int]] = []
        self.cancelled: list[str] = []
        self.hold: asyncio.Event | None = None
        self.dead = False
        self.tasks: set[asyncio.Task[None]] = set()
        bus.add_message_handler(self._handle)

    def _handle(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member == "CancelCheckAuthorization":
            self.cancelled.append(message.body[0])
            return True
        if message.member == "Ping":
            if not self.dead:
                self.bus.send(Message.new_method_return(message))
            return True
        task = asyncio.create_task(self._decide(message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def _decide(self, message: Message) -> None:
        (kind, subject), action, details, flags, _ = message.body
        self.asked.append(
            (subject["name"].value if kind == "system-bus-name" else "", action, details, flags)
        )
        if self.hold is not None:
            await self.hold.wait()
        allowed = action in self.allow
        self.bus.send(
            Message.new_method_return(message, "(bba{ss})", [[allowed, not allowed and not flags, {}]])
        )
