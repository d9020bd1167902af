"""What tests of applying share: systemd's part played, outputs to apply, the disk as it is."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from ltspd.apply import Applier
from ltspd.dbus.systemd import Systemd, UnitStatus
from ltspd.errors import Unanswered
from ltspd.model.output import File, Output, OutputStatus, Unit
from ltspd.paths import Paths

UNIT = "ltspd-x.service"


class FakeSystemd:
    """Decides nothing: says what the test put in ``units`` and remembers what was asked of it."""

    def __init__(self) -> None:
        self.present = True
        self.units: dict[str, UnitStatus] = {}
        self.acts: list[tuple[str, str]] = []
        self.result = "done"
        # How stopping ends, if not as the rest; and what happens when anything is asked for.
        self.stop_result = ""
        self.on_act: Callable[[], object] = lambda: None
        self.unanswered: set[str] = set()

    def set(self, active: str, sub: str = "", result: str = "success", unit: str = UNIT) -> None:
        self.units[unit] = UnitStatus(unit, active, sub, result)

    def running(self) -> frozenset[str]:
        return frozenset(each.name for each in self.units.values() if each.active == "active")

    async def watch(self, units: Iterable[str]) -> None:
        pass

    async def status(self, unit: str) -> UnitStatus:
        self._answer("status", unit)
        return self.units.get(unit, UnitStatus(unit, "inactive", "dead", "success"))

    async def act(self, method: str, unit: str) -> str:
        self.acts.append((method, unit))
        self._answer(method, unit)
        self.on_act()
        if method == "StopUnit" and self.stop_result:
            return self.stop_result
        done = self.result == "done"
        if method == "StopUnit":
            self.set("inactive", unit=unit)
        elif method != "ReloadUnit" or not done:
            result = "success" if done else "exit-code"
            self.set("active" if done else "failed", result=result, unit=unit)
        return self.result

    def _answer(self, method: str, unit: str) -> None:
        if method in self.unanswered:
            raise Unanswered(f"systemd does not say how {unit} is.")

    def taken(self) -> list[str]:
        """Return the methods called since the last time."""
        methods, self.acts = [method for method, _ in self.acts], []
        return methods


def fresh(paths: Paths, systemd: FakeSystemd) -> Applier:
    return Applier(paths, cast(Systemd, systemd))


def output(text: str = "one\n", **fields: Any) -> Output:
    return Output("x", (File("/etc/x.conf", text.encode()),), **fields)


def served(text: str = "one\n", *, reload: bool = False, **fields: Any) -> Output:
    return output(text, activation=Unit(UNIT, reload=reload), **fields)


async def apply(applier: Applier, *outputs: Output, force: bool = False) -> OutputStatus:
    return (await applier.apply(outputs, force=force))[0]


def disk(paths: Paths) -> dict[str, tuple[int, int, int]]:
    """Return what no write can leave unchanged: of every file and directory inode and times."""
    return {
        str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        for path in [paths.root, *paths.root.rglob("*")]
        for stat in [path.lstat()]
    }
