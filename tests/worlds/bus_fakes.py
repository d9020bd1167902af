"""Stand-ins at the room's edges: a daemon core whose work is steps of a script, and an authority."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Message, MessageType

from ltspd.api import serving
from ltspd.api.service import Service
from ltspd.config import explain
from ltspd.config.configuration import Config, load
from ltspd.config.document import Host
from ltspd.dbus.connection import Connection
from ltspd.errors import (
    ConfigChanged,
    InUse,
    InvalidOption,
    LtspError,
    NoSuchGeneration,
    NoSuchSource,
    NothingToRevert,
    NotObeyed,
)
from ltspd.image.store import store
from ltspd.jobs.engine import Jobs
from ltspd.migration import leftovers, takeover
from ltspd.model.client import ClientState, Identity, Machine, Server
from ltspd.model.facts import Leftover
from ltspd.model.finding import Finding, Severity
from ltspd.model.image import Generation, ImageState, Layer
from ltspd.model.job import Job, Progress
from ltspd.model.network import DhcpRole, LinkState
from ltspd.model.order import Request
from ltspd.model.output import Output, OutputState, OutputStatus
from ltspd.model.state import ConfigFinding, Problem, ServerState, Setting, State
from ltspd.paths import Paths


def generation(name: str) -> Generation:
    return Generation(
        id=name, image="x86_64", created=1_700_000_000.5, source="/srv/ltsp/x86_64", architecture="amd64",
        kernel="6.1.0-13-amd64", layers=(Layer("ab" * 32, 1000),), source_bytes=5000, source_files=10,
        kernel_bytes=20, initrd_bytes=30, packages_digest="00", summary="first",
        notes=("The exclude 'a b' leaves out nothing.",) if name == "g2" else (),
    )  # fmt: skip


RIVAL = Server("eth0", "10.0.0.254", "52:54:00:00:00:fe", gives=True)
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
    links=(
        LinkState("eth0", 2, "up", ("10.0.0.1/24",), DhcpRole.REAL, {"kea": "a line for Kea\n"}, (RIVAL,)),
    ),
    clients=(
        ClientState(
            "52:54:00:00:00:01",
            "pc01",
            "10.0.0.20",
            "x86_64",
            "g2",
            "login",
            1_700_000_000_000_000,
            "nfs",
            key=f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}",
            kept="1",
            pending="FSTAB_a MASK_SYSTEM_SERVICES",
            identity=Identity.KEPT,
            boot="01234567-89ab-cdef-0123-456789abcdef",
            rooms=("lab1", "hall"),
            reached=(
                ("network", 1_699_999_988_300_000),
                ("root", 1_699_999_992_500_000),
                ("login", 1_700_000_000_000_000),
            ),
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
            boot="11234567-89ab-cdef-0123-456789abcdef",
        ),
    ),
    rooms=("lab1", "hall", "empty"),
    machines=(Machine("52:54:00:00:00:03", "pc03", ("lab1",)),),
    outputs=(
        OutputStatus("dnsmasq", ("/etc/a", "/etc/b"), "dnsmasq.service", OutputState.EDITED, "by hand", 5),
    ),
)


class FakeJobs(Jobs):
    """Real jobs, but what is cancelled is told."""

    calls: list[tuple[Any, ...]]

    def cancel(self, job_id: str) -> None:
        self.calls.append(("cancel", job_id))
        super().cancel(job_id)


class FakeServer:
    """The daemon core as methods see it; builds are real jobs that wait for ``go``."""

    def __init__(self) -> None:
        self._state = STATE
        self.paths = Paths(Path("/nowhere"))
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
            Setting("LANG", "$(cat /lang)", "/etc/ltsp/ltsp.conf", 8, False, True),
            Setting("PASSWORDS_A", "", "/etc/ltsp/ltsp.conf", 9, True),
            Setting("MENU_TIMEOUT", "5000", "", 0, False),
        )
        self.slow_apply = 0.0
        self.confirm = False
        self.applying = asyncio.Event()
        self.moved = False
        self.jobs = FakeJobs(self._changed, self._finished)
        self.jobs.calls = self.calls
        self.builds = FakeBuilds(self)
        self.trials = FakeTrials(self)
        self.conf = FakeConf(self)
        self.applier = FakeApplier()
        self.orders = FakeOrders(self)

    def instead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in for what methods call in the rooms below: the store, takeovers, explanations."""
        monkeypatch.setattr(store, "revert", self._revert)
        monkeypatch.setattr(store, "keep_generation", self._keep)
        monkeypatch.setattr(explain, "explain", self._explain)
        monkeypatch.setattr(explain, "findings", lambda found: found)
        monkeypatch.setattr(leftovers, "look", lambda _paths: self._state.leftovers)
        monkeypatch.setattr(takeover, "move_aside", self._move_aside)
        monkeypatch.setattr(takeover, "put_back", self._put_back)
        monkeypatch.setattr(serving, "change", self._serve)

    @property
    def state(self) -> State:
        return replace(self._state, jobs=self._state.jobs or self.jobs.all)

    @property
    def outputs(self) -> tuple[Output, ...]:
        return tuple(Output(each.name) for each in self._state.outputs)

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

    def wake(self) -> None:
        self.calls.append(("packages",))

    async def tell(self) -> None:
        self.set()

    async def follow_up(self, seconds: float) -> None:
        if not self.moved:
            self.calls.append(("reload",))
        self.moved = False

    async def once(self, *, force: bool = False, retry: bool = False) -> None:
        self.calls.append(("apply", force))
        self.applying.set()
        await asyncio.sleep(self.slow_apply)
        if self.crash is not None:
            raise self.crash
        written = tuple(replace(each, state=OutputState.IN_SYNC) for each in self._state.outputs)
        self._state = replace(self._state, outputs=written)

    def moved_files(self, moved: tuple[str, ...], *, back: bool) -> None:
        self.moved = True

    async def set_up(self, verb: str, words: Mapping[str, object]) -> Mapping[str, Any]:
        self.calls.append(("set up", verb, dict(words)))
        if words.get("lan") == "eth9":
            raise InvalidOption("There is no card 'eth9'; 'ltspctl link list' shows the cards.")
        standing = verb == "undo" and not self._state.set_up
        if verb in ("make", "undo"):
            self.set(set_up=str(words.get("kind", "")))
        changes = () if standing else ("+ a file", "+ a rule")
        return {"changes": changes, "warnings": ("eth1 has no cable.",), "confirm": self.confirm}

    async def heard_clients(self, reports: Sequence[Mapping[str, object]]) -> int:
        self.calls.append(("clients", tuple(reports)))
        return 0

    async def approve_client(self, mac: str, key: str) -> None:
        self.calls.append(("approve", mac, key))
        self._identity(mac, Identity.KEPT)

    async def forget_client(self, mac: str) -> None:
        self.calls.append(("forget", mac))
        self._identity(mac, Identity.NONE)

    def _identity(self, mac: str, identity: Identity) -> None:
        of = self._state.clients
        self.set(clients=tuple(replace(each, identity=identity) if each.mac == mac else each for each in of))

    async def diagnose(self, name: str) -> Sequence[Finding]:
        self.calls.append(("diagnose", name))
        asked = "10:00:00 its firmware (UEFI) asked for an address on eth0."
        cause = "nobody answered: ltsp.conf denies its MAC address."
        return (
            Finding(Severity.INFO, f"client {name}", asked),
            Finding(Severity.ERROR, f"client {name}", cause, "Take it out of the denied ones."),
        )

    def heard_machines(self, reports: Sequence[Mapping[str, object]]) -> int:
        self.calls.append(("machines", tuple(reports)))
        return 0

    def heard_servers(self, reports: Sequence[Mapping[str, object]]) -> int:
        self.calls.append(("servers", tuple(reports)))
        return 0

    def heard_gateway(self, problems: Sequence[str]) -> None:
        self.problems_of_gateway.append(tuple(problems))

    # ---- instead of the rooms below; these run in threads, and tell() publishes ----------------------

    def _serve(self, _paths: Paths, *, on: bool) -> None:
        self.calls.append(("serve", on))
        self._state = replace(self._state, serving=on)

    def _image(self, name: str, generation: str) -> ImageState:
        (image,) = (each for each in self._state.images if each.name == name)
        if generation and generation not in {each.id for each in image.generations}:
            raise NoSuchGeneration(f"{name} has no generation {generation[:50]!r}.")
        return image

    def _replace(self, image: ImageState) -> None:
        others = tuple(each for each in self._state.images if each.name != image.name)
        self._state = replace(self._state, images=(image, *others))

    def _revert(self, _paths: Paths, name: str, generation: str) -> None:
        self.calls.append(("revert", name, generation))
        image = self._image(name, generation)
        if not image.generations:
            raise NothingToRevert(f"{name} has no other generation.")
        self._replace(replace(image, current=generation or image.generations[0].id))

    def _keep(self, _paths: Paths, name: str, generation: str, keep: bool) -> None:
        self.calls.append(("keep", name, generation, keep))
        image = self._image(name, generation)
        self._replace(replace(image, kept=image.kept | {generation} if keep else image.kept - {generation}))

    def _explain(self, _config: object, host: Host) -> tuple[Setting, ...]:
        applet = "" if host.applet == Host().applet else host.applet
        given = {"mac": host.mac, "ip": host.ip, "hostname": host.hostname, "applet": applet}
        self.calls.append(("explain", {key: value for key, value in given.items() if value}))
        return self.settings

    def _move_aside(self, _paths: Paths, found: Sequence[Leftover]) -> tuple[str, ...]:
        self.calls.append(("take over",))
        moved = tuple(each.path for each in found if each.moves)
        self._state = replace(self._state, leftovers=(), set_aside=moved)
        return moved

    def _put_back(self, _paths: Paths) -> tuple[str, ...]:
        self.calls.append(("give back",))
        back = self._state.set_aside
        self._state = replace(self._state, set_aside=())
        return back


class FakeConf:
    """ltsp.conf as the test wants it."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def read(self) -> tuple[Config, tuple[Problem, ...]]:
        wrong = self._server.config_error
        return load({}), (Problem("ltsp.conf", wrong),) if wrong else ()

    def check(self) -> Any:
        self._server.calls.append(("check",))
        return self._server.findings

    def text(self, *, former: bool = False) -> tuple[str, str]:
        self._server.calls.append(("text", former))
        return ("[server]\nDNS=0\n", "10-1-16") if former else ("[server]\nDNS=1\n", "11-2-16")

    def save(self, text: str, tag: str) -> str:
        self._server.calls.append(("save", text, tag))
        if tag != "11-2-16":
            raise ConfigChanged("/etc/ltsp/ltsp.conf was changed by somebody else since it was read.")
        return "12-3-20"


class FakeApplier:
    """Changes one line of each output."""

    def preview(self, output: Output) -> str:
        return f"--- {output.name}\n+ a line\n"


class FakeBuilds:
    """Builds of two phases, the second of which waits for the server's ``go``."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def start(self, name: str, options: Mapping[str, object], started_by: int) -> str:
        server = self._server
        server.calls.append(("build", name, dict(options), started_by))
        if name not in {image.name for image in server.state.images}:
            raise NoSuchSource(f"There is nothing to build {name!r} from.")

        async def work(progress: Progress) -> str:
            progress.phase("scanning", 0.25)
            await asyncio.sleep(0.05)
            progress.phase("packing", 0.75, 3_100_000_000)
            await server.go.wait()
            if server.build_error is not None:
                raise server.build_error
            return server.result

        return server.jobs.start("build", name, started_by, work).id

    async def remove(self, name: str, generation: str) -> None:
        self._server.calls.append(("remove", name, generation))
        if generation == "g2":
            raise InUse("g2 is current.")


class FakeTrials:
    """Tests that wait for the server's ``go``."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def start(self, name: str, generation: str, started_by: int) -> str:
        server = self._server
        server.calls.append(("test", name, generation, started_by))
        if generation not in ("", "g1", "g2"):
            raise NoSuchGeneration(f"{name} has no generation {generation}.")

        async def work(progress: Progress) -> str:
            progress.phase("firmware", 0.05)
            await server.go.wait()
            if server.build_error is not None:
                raise server.build_error
            return "login after 24 s (KVM)"

        return server.jobs.start("test", name, started_by, work).id


class FakeOrders:
    """Orders that all but the client pc02 obey at once."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def give(self, request: Request) -> str:
        server, names = self._server, request.names
        delays = {names[each.mac]: each.delay for each in request.targets}
        server.calls.append(
            ("order", str(request.verb), request.words, delays, dict(request.refused), request.label,
             request.patience)
        )  # fmt: skip
        results = {mac: "it is busy." if name == "pc02" else "ok" for mac, name in names.items()}
        results |= request.refused
        order = f"17{len(server.calls):02}"
        found = [
            replace(each, order=order, result=results[each.mac]) if each.mac in results else each
            for each in server.state.clients
        ]
        server.set(clients=tuple(found))

        async def work(progress: Progress) -> str:
            progress.phase(f"{len(request.targets)} to answer", 1.0)
            if wrong := {names[mac]: result for mac, result in results.items() if result != "ok"}:
                raise NotObeyed("\n".join(f"{who}: {why}" for who, why in wrong.items()))
            return "1 client"

        verb, label = str(request.verb), request.label
        return server.jobs.start(verb, label, request.started_by, work, job_id=order).id


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
