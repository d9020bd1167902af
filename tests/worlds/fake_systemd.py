"""A stand-in for systemd's manager on a private bus: units in a table, jobs that end as the test says."""

import asyncio

from dbus_next import Message, MessageType, Variant

from ltspd.dbus.connection import Connection, daemon_call
from ltspd.dbus.systemd import MANAGER, ROOT, SYSTEMD, UNIT, unit_path

PROPERTIES = "org.freedesktop.DBus.Properties"


class FakeSystemd1:
    """Answers as systemd does, as far as ``ltspd.dbus.systemd`` asks; ``acts`` is what it was told to do.

    ``result`` is how jobs end; ``early`` sends JobRemoved before the reply that names the job, and
    ``silent`` only by ``finish``. A method in ``wrong`` gets that D-Bus error as its answer, or none at all
    if it is empty; ``slow`` is one that is answered after ``go_on`` only.
    """

    def __init__(self, bus: Connection) -> None:
        self.bus = bus
        self.units: dict[str, tuple[str, str, str]] = {}
        self.state = "running"
        self.restarts: dict[str, int] = {}
        self.acts: list[tuple[str, str]] = []
        self.result = "done"
        self.early = False
        self.silent = False
        self.wrong: dict[str, str] = {}
        self.slow = ""
        self._held: list[Message] = []
        self.changed = asyncio.Event()
        self._jobs = 0
        self._open: list[object] = []
        bus.add_message_handler(self._handle)

    async def start(self) -> None:
        """Take systemd's name."""
        await daemon_call(self.bus, "RequestName", "su", [SYSTEMD, 4])

    def set(self, unit: str, active: str, sub: str = "", result: str = "success") -> None:
        """Put a unit into a state and tell everyone."""
        self.units[unit] = (active, sub, result)
        body: list[object] = [UNIT, {"ActiveState": Variant("s", active)}, []]
        self._signal(unit_path(unit), PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def finish(self) -> None:
        """Let the last job end that ``silent`` kept open."""
        self._signal(ROOT, MANAGER, "JobRemoved", "uoss", self._open)

    def go_on(self) -> None:
        """Answer what was held back."""
        self.slow, held, self._held = "", self._held, []
        for message in held:
            self._handle(message)

    def stray_job(self) -> None:
        """Let a job end that somebody else started."""
        self._removed("somebody.service", "done")

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[object]) -> None:
        message = Message(
            message_type=MessageType.SIGNAL,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
        )
        self.bus.send(message)

    def _removed(self, unit: str, result: str) -> str:
        self._jobs += 1
        job = f"{ROOT}/job/{self._jobs}"
        if not self.silent:
            body: list[object] = [self._jobs, job, unit, result]
            self._signal(ROOT, MANAGER, "JobRemoved", "uoss", body)
        return job

    def _handle(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member == self.slow:
            self._held.append(message)
            self.changed.set()
            return True
        if (name := self.wrong.get(message.member)) is not None:
            if name:
                self.bus.send(Message.new_error(message, name, "it went wrong"))
            return True
        match message.member:
            case "Subscribe" | "ResetFailedUnit":
                self._reply(message)
            case "LoadUnit":
                self._reply(message, "o", unit_path(message.body[0]))
            case "GetAll" | "Get":
                self._properties(message)
            case "KillUnit":
                self.acts.append(("KillUnit", message.body[0]))
                self.changed.set()
                self._reply(message)
            case "StartUnit" | "StopUnit" | "RestartUnit" | "ReloadUnit":
                self._act(message)
            case _:
                self.bus.send(Message.new_error(message, f"{SYSTEMD}.NoSuch", str(message.member)))
        return True

    def _reply(self, message: Message, signature: str = "", *body: object) -> None:
        self.bus.send(Message.new_method_return(message, signature, list(body)))

    def _properties(self, message: Message) -> None:
        unit = next((name for name in self.units if unit_path(name) == message.path), "")
        active, sub, result = self.units.get(unit, ("inactive", "dead", "success"))
        if message.member == "Get" and message.body[1] == "SystemState":
            self._reply(message, "v", Variant("s", self.state))
            return
        if message.member == "Get":
            restarts = Variant("u", self.restarts.get(unit, 0))
            self._reply(message, "v", restarts if message.body[1] == "NRestarts" else Variant("s", result))
            return
        found = {"ActiveState": active, "SubState": sub, "LoadState": "loaded" if unit else "not-found"}
        known = {name: Variant("s", value) for name, value in found.items()}
        self._reply(
            message,
            "a{sv}",
            known | {"InvocationID": Variant("ay", bytes(16)), "Job": Variant("(uo)", [0, "/"])},
        )

    def _act(self, message: Message) -> None:
        unit, _mode = message.body
        if unit not in self.units:
            self.bus.send(Message.new_error(message, f"{SYSTEMD}.NoSuchUnit", f"Unit {unit} not found."))
            return
        self.acts.append((message.member, unit))
        self.changed.set()
        done = self.result == "done"
        if self.early:
            self._reply(message, "o", self._removed(unit, self.result))
        else:
            self._jobs += 1
            job = f"{ROOT}/job/{self._jobs}"
            self._reply(message, "o", job)
            self._open = [self._jobs, job, unit, self.result]
            if not self.silent:
                self.finish()
        if message.member == "StopUnit":
            self.set(unit, "inactive", "dead")
        elif message.member != "ReloadUnit":
            self.set(unit, "active" if done else "failed", "running", "success" if done else "exit-code")
