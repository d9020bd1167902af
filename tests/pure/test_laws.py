"""The laws of the architecture, read from the source itself: layers, sizes, what may be in the repository."""

import ast
import re
import statistics
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from tests import REPOSITORY

T = TypeVar("T")
SOURCES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((REPOSITORY / "ltspd").rglob("*.py"))
    if path.stat().st_size
}

# Rooms that only decide: a new module there is pure, too. Elsewhere a module says so in its docstring.
WHOLLY_PURE = (
    r"ltspd\.((menu|outputs|network)(\..*)?|config(\.(?!file\Z).*)?|model(\..*)?"
    r"|logins|plan|errors|names|paths)"
)
IMPURE_LIBRARIES = {"asyncio", "os", "subprocess", "dbus_next", "socket", "shutil", "threading", "time"}

# Which rooms may know a library: the rest of the program does not depend on it.
HOMES = {
    "inotify_simple": r"ltspd\.observe\.files",
    "pyroute2": r"ltspd\.observe\.links",
    "aiohttp": r"ltspd\.gateway\..*",
    "dbus_next": r"ltspd\.(dbus|api)\..*",
    "systemd": r"ltspd\.(system\.notify|gateway\.serve)",
}

# What a room, or a module at the top, may import of ours beside its own modules; `room.*` is all of a room.
# The rooms stand in the order of their floors: none imports one that stands below it here.
ALLOWED = {
    "names": "",
    "paths": "",
    "errors": "names",
    "model": "",
    "system": "errors",
    "foreign": "errors",
    "dbus": "errors names",
    "config": "errors model.* names paths system.files",
    "menu": "config.* model.* names",
    "clients": "errors model.* names",
    "disk": "errors foreign.inside foreign.inspect model.* paths system.run",
    "initrd": "errors foreign.inside foreign.read model.* paths system.priority system.run system.threads",
    "image": (
        "disk.use disk.words errors foreign.inside foreign.inspect foreign.read initrd.* "
        "model.* paths system.priority system.run system.threads"
    ),
    "migration": "config.* dbus.systemd errors image.source.find model.* paths",
    "observe": (
        "disk.use errors image.source.dpkg image.source.find image.store.store "
        "migration.leftovers model.* names paths system.run"
    ),
    "network": "config.* model.* names",
    "logins": "config.* model.*",
    "plan": (
        "config.* logins menu.* model.* names network.loaders network.machines network.roles "
        "network.setup paths"
    ),
    "outputs": (
        "clients.fields clients.orders clients.table config.* menu.grub menu.ipxe menu.kernel menu.pi "
        "menu.pxelinux model.* names network.firmware paths"
    ),
    "apply": "dbus.systemd errors model.* names observe.ports paths system.files system.run",
    "trial": "errors model.* outputs.nbd paths system.run",
    "setup": (
        "dbus.caller errors model.* names network.firewall observe.host observe.links paths system.files "
        "system.run"
    ),
    "jobs": (
        "clients.known config.* disk.opening disk.source errors image.build image.context image.fold "
        "image.look.plan image.reads image.source.find image.store.removal image.store.store "
        "menu.choice model.* observe.usage paths trial.messages trial.trial"
    ),
    "doctor": "clients.fields clients.seen model.* network.firewall",
    "api": (
        "clients.enrolment clients.fields clients.orders clients.seen clients.stages clients.targets "
        "config.* dbus.caller dbus.connection dbus.wire disk.words errors "
        "image.store.store migration.leftovers migration.takeover model.* names paths system.files"
    ),
    "daemon": (
        "api.service apply clients.documents clients.enrolment clients.fields clients.known clients.orders "
        "clients.seen doctor.* image.source.dpkg network.attempts network.firewall network.firmware "
        "network.rivals observe.ports system.run config.* dbus.connection dbus.systemd errors "
        "image.store.manifest image.store.removal image.store.store initrd.* jobs.builds jobs.engine "
        "jobs.trials jobs.unattended logins migration.takeover model.* observe.facts observe.files "
        "observe.links observe.watches outputs outputs.documents outputs.foreign outputs.gateway "
        "outputs.world paths plan system.files system.memory system.notify system.sshkeys"
    ),
    "gateway": (
        "clients.* config.document dbus.caller dbus.wire initrd.cards menu.* model.* names "
        "system.journal system.memory"
    ),
    "listener": (
        "clients.fields clients.seen dbus.caller gateway.bus gateway.delivery gateway.limits model.* names "
        "system.journal system.notify"
    ),
    "cli": "api.remote dbus.caller dbus.wire migration.lts_conf names system.files",
    "notifier": "api.remote dbus.caller dbus.wire names",
    "manual": (
        "api.contract api.introspection api.noun cli.applets cli.grammar cli.ltsp5 cli.nouns config.* errors "
        "names"
    ),
    "__main__": (
        "apply.commands daemon.serve dbus.connection errors migration.takeover paths system.journal "
        "system.memory system.notify"
    ),
    "probe": "",
    "leases": "paths",
}

# Pure but for one thing: it finds the declarations of parameters in our own modules and scripts, once.
READS_OUR_SOURCE = "ltspd.config.parameters"

# What the parts of image/ may import of image/, from the bottom up: what looks at a source and what packs it
# know nothing of the store. The modules beside them put the phases together.
IMAGE_PARTS = {
    "context": "",
    "source": "",
    "look": "context source",
    "pack": "context source look",
    "verify": "context source look pack",
    "store": "context source",
}

# The polkit agent of the terminal is the caller's program, not the daemon's, and shares its terminal;
# the notifier runs in a user's session.
STARTS_PROGRAMS = {"ltspd.system.run", "ltspd.api.agent", "ltspd.notifier.__main__"}


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text())


@cache
def _nodes(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(name)))


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return every module that a module imports, also inside functions; ``from a import b`` as both."""
    return tuple(_each_import(name))


def _each_import(name: str) -> Iterator[str]:
    for node in _nodes(name):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            assert node.module is not None
            found = [f"{node.module}.{each.name}" for each in node.names]
            modules = [each for each in found if each in SOURCES]
            yield from modules
            if len(modules) < len(found):
                yield node.module


def _top(module: str) -> str:
    return module.partition(".")[0]


def _pure(name: str) -> bool:
    """Whether the module's docstring says that it is pure."""
    return re.search(r"\bPure\b", ast.get_docstring(_tree(name)) or "") is not None


def _hold(law: Callable[[T], None], modules: Iterable[T]) -> None:
    """Fail unless a law holds for all modules; name each for which it does not, in one quick test."""
    broken = []
    for module in modules:
        try:
            law(module)
        except AssertionError as error:
            broken.append(f"{module}: {error}")
    assert not broken, "\n".join(broken)


PURE = [name for name in SOURCES if _pure(name)]


def _rooms_that_decide_are_pure_as_a_whole(name: str) -> None:
    assert name in PURE


def test_rooms_that_decide_are_pure_as_a_whole() -> None:
    _hold(
        _rooms_that_decide_are_pure_as_a_whole, [name for name in SOURCES if re.fullmatch(WHOLLY_PURE, name)]
    )


def test_the_rules_speak_of_modules_that_exist() -> None:
    assert {"ltspd.plan", "ltspd.config.parse", "ltspd.outputs.dhcp_dnsmasq", "ltspd.api.noun"} <= set(PURE)
    assert set(SOURCES) >= STARTS_PROGRAMS
    for room in ALLOWED:
        assert any(f"{name}.".startswith(f"ltspd.{room}.") for name in SOURCES), room


def _pure_modules_import_nothing_that_acts(name: str) -> None:
    imports = set(_imports(name))
    assert not {_top(each) for each in imports} & IMPURE_LIBRARIES
    ours = {each for each in imports if _top(each) == "ltspd" and each != "ltspd"}
    assert ours <= set(PURE), ours - set(PURE)


def test_pure_modules_import_nothing_that_acts() -> None:
    _hold(_pure_modules_import_nothing_that_acts, PURE)


def _pure_modules_read_and_write_no_file(name: str) -> None:
    acts = {
        "open",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "exists",
        "is_file",
        "stat",
        "iterdir",
    }
    if name == READS_OUR_SOURCE:
        acts.remove("read_bytes")
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in _nodes(name)
        if isinstance(node, ast.Call)
    }
    assert not called & acts


def test_pure_modules_read_and_write_no_file() -> None:
    _hold(_pure_modules_read_and_write_no_file, PURE)


def _room(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


def _below(room: str) -> re.Pattern[str]:
    words = (re.escape(each).replace(r"\.\*", r"(\..*)?") for each in (f"{room}.*", *ALLOWED[room].split()))
    return re.compile(rf"ltspd(\.({'|'.join(words)}))?")


def _each_room_imports_only_what_lies_below_it(name: str) -> None:
    below = _below(_room(name))
    others = [each for each in _imports(name) if _top(each) == "ltspd" and not below.fullmatch(each)]
    assert others == [], f"{_room(name)} may import: {ALLOWED[_room(name)] or 'nothing'} (ALLOWED, above)"


def test_each_room_imports_only_what_lies_below_it() -> None:
    _hold(_each_room_imports_only_what_lies_below_it, [name for name in SOURCES if name != "ltspd"])


def test_no_room_imports_one_above_it() -> None:
    floors = list(ALLOWED)
    for room, below in ALLOWED.items():
        for each in below.split():
            assert each.split(".")[0] in floors[: floors.index(room)], f"{room} imports {each}"


def test_each_room_has_its_row() -> None:
    assert {_room(name) for name in SOURCES if name != "ltspd"} == set(ALLOWED)


def test_the_page_about_the_architecture_has_the_rooms_in_the_order_of_their_floors() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ALLOWED)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Return what puts text at the end of a module's copy, which the laws then read instead of the module."""
    caches = (_tree, _nodes, _imports)

    def add(name: str, text: str) -> None:
        copy = tmp_path / f"{name}.py"
        there = SOURCES[name].read_text() if name in SOURCES else '"""A module that is new."""\n'
        copy.write_text(f"{there}\n{text}\n")
        monkeypatch.setitem(SOURCES, name, copy)
        for each in caches:
            each.cache_clear()

    yield add
    for each in caches:
        each.cache_clear()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ltspd.model.image", "from ltspd.config import load"),
        ("ltspd.image.store.store", "import ltspd.daemon.serve"),
        ("ltspd.gateway.web", "def late():\n    from ltspd import plan"),
        ("ltspd.outputs.radvd", "from ltspd.plan import plan"),
        ("ltspd.names", "from ltspd.errors import LtspError"),
        ("ltspd.plan", "from ltspd.outputs import dhcp_dnsmasq"),
        ("ltspd.__main__", "from ltspd.image.store import store"),
    ],
)
def test_a_forbidden_import_is_found(scratch: Callable[[str, str], None], name: str, line: str) -> None:
    _each_room_imports_only_what_lies_below_it(name)
    scratch(name, line)
    with pytest.raises(AssertionError):
        _each_room_imports_only_what_lies_below_it(name)


@pytest.mark.parametrize("line", ["import os", "from asyncio import sleep", "from ltspd.system import run"])
def test_a_pure_module_that_acts_is_found(scratch: Callable[[str, str], None], line: str) -> None:
    _pure_modules_import_nothing_that_acts("ltspd.plan")
    scratch("ltspd.plan", line)
    with pytest.raises(AssertionError):
        _pure_modules_import_nothing_that_acts("ltspd.plan")


@pytest.mark.parametrize("name", ["ltspd.loose", "ltspd.room.module"])
def test_a_module_without_a_row_is_found(scratch: Callable[[str, str], None], name: str) -> None:
    scratch(name, "")
    with pytest.raises(AssertionError):
        test_each_room_has_its_row()


@pytest.mark.parametrize(
    ("room", "below"), [("names", "plan"), ("plan", "daemon.serve"), ("image", "jobs.*")]
)
def test_a_row_that_points_upward_is_found(monkeypatch: pytest.MonkeyPatch, room: str, below: str) -> None:
    monkeypatch.setitem(ALLOWED, room, f"{ALLOWED[room]} {below}")
    with pytest.raises(AssertionError):
        test_no_room_imports_one_above_it()


def _each_part_of_image_imports_only_what_lies_below_it(name: str) -> None:
    part = name.split(".")[2]
    if part not in IMAGE_PARTS:
        assert name.count(".") == 2, f"{part}/ has no row"
        return
    below = {part, *IMAGE_PARTS[part].split()}
    ours = [each.split(".")[2] for each in _imports(name) if each.startswith("ltspd.image.")]
    assert set(ours) <= below


def test_each_part_of_image_imports_only_what_lies_below_it() -> None:
    _hold(
        _each_part_of_image_imports_only_what_lies_below_it,
        [name for name in SOURCES if name.startswith("ltspd.image.")],
    )


@pytest.mark.parametrize("line", ["from ltspd.image.store import publish", "from ltspd.image import build"])
def test_a_part_of_image_that_reaches_up_is_found(scratch: Callable[[str, str], None], line: str) -> None:
    _each_part_of_image_imports_only_what_lies_below_it("ltspd.image.pack.base")
    scratch("ltspd.image.pack.base", line)
    with pytest.raises(AssertionError):
        _each_part_of_image_imports_only_what_lies_below_it("ltspd.image.pack.base")


def test_running_programs_knows_only_errors_and_priority() -> None:
    assert set(_imports("ltspd.system.run")) & set(SOURCES) - {"ltspd"} == {
        "ltspd.errors",
        "ltspd.system.priority",
    }


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = [name for name in SOURCES if library in {_top(each) for each in _imports(name)}]
    assert users, "nobody uses it any more"
    assert [name for name in users if not re.fullmatch(HOMES[library], name)] == []


def _only_one_module_of_the_daemon_starts_programs(name: str) -> None:
    if name in STARTS_PROGRAMS:
        return
    assert "subprocess" not in {_top(each) for each in _imports(name)}
    starts = re.compile(r"create_subprocess_\w+|popen|fork\w*|exec[lv]\w*|spawn\w*|posix_spawn\w*|system")
    for node in _nodes(name):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert not (node.value.id in ("os", "asyncio") and starts.fullmatch(node.attr)), node.attr


def test_only_one_module_of_the_daemon_starts_programs() -> None:
    _hold(_only_one_module_of_the_daemon_starts_programs, SOURCES)


def _every_module_says_what_lives_in_it(name: str) -> None:
    text = ast.get_docstring(_tree(name))
    assert text
    assert len(text.split()) >= 4
    assert text.splitlines()[0].endswith((".", ":", ",")) or "\n" in text


def test_every_module_says_what_lives_in_it() -> None:
    _hold(_every_module_says_what_lives_in_it, SOURCES)


def test_modules_are_small() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in SOURCES.items()}
    assert statistics.median(lines.values()) <= 150
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_what_runs_in_every_program_that_asks_for_a_password_is_small() -> None:
    # libpam.c only stands for libpam while the module is linked.
    sources = [path for path in (REPOSITORY / "pam").iterdir() if path.name != "libpam.c"]
    assert sum(len(path.read_text().splitlines()) for path in sources) <= 400


def test_few_modules_are_tiny() -> None:
    """A handful of names needs no file of its own; an output or a noun that is found by itself does."""
    tiny = {
        name
        for name, path in SOURCES.items()
        if path.name != "__init__.py"
        and len(path.read_text().splitlines()) < 40
        and not name.startswith("ltspd.outputs.")
    }
    assert len(tiny) < 10, tiny


def test_no_module_is_named_after_nothing() -> None:
    vague = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert [name for name in SOURCES if name.rpartition(".")[2] in vague] == []


def _tracked() -> Iterator[tuple[str, str]]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY), "ls-files", "-z"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("this is not a git checkout")
    for name in filter(None, listing.stdout.split("\0")):
        path = REPOSITORY / name
        if path.is_file() and not path.is_symlink():
            yield name, path.read_bytes().decode("utf-8", "replace")


def test_the_repository_names_no_registry_and_no_developers_machine() -> None:
    # Put together here, so that this file obeys the law too.
    hosts = ("pypi.org", "pythonhosted.org", "npmjs.org", "docker.io", "ghcr.io", "quay.io", "crates.io")
    forbidden = {
        "a package registry": re.compile("|".join(re.escape(host) for host in hosts) + r"|index-" + "url"),
        "a path of a developer's machine": re.compile(r"(?<![\w.})/$])/(?:" + "work|workspace|Users)" + "/"),
        "a path of root's home": re.compile(r"(?<![\w.})/])/" + "root/[a-z.]"),
    }
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0]}"
        for name, text in _tracked()
        if name != "tests/pure/test_laws.py"
        for what, pattern in forbidden.items()
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_no_secret_is_in_the_repository() -> None:
    # A key with a body: tests of what must not leave a server hold headers with nothing behind them.
    key = re.compile(
        "-----BEGIN [A-Z ]*PRIVATE "
        + r"KEY-----\s+[A-Za-z0-9+/=]{40}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}"
    )
    assert [name for name, text in _tracked() if key.search(text)] == []


TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
# What tests share, beside what is in their own folder.
SHARED = ("tests", "tests.lab", "tests.patience", "tests.worlds")


def _no_test_imports_a_test(path: Path) -> None:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    part = ".".join(parts[:2])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and _top(node.module) == "tests":
            for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names)):
                assert not re.search(r"\.test_\w+", name), name
            home = ".".join(node.module.split(".")[:2])
            assert home in (part, *SHARED), (
                f"what {node.module} has for others belongs to tests/worlds or tests/lab"
            )


def test_no_test_imports_a_test() -> None:
    _hold(_no_test_imports_a_test, TESTS)


@pytest.mark.parametrize("part", ["pure", "unit"])
def test_tests_mirror_the_rooms(part: str) -> None:
    # What is tested beside the rooms: the client's scripts, the program in C, the lab itself, the benches.
    known = {*ALLOWED, "client", "nbd", "lab", "bench"}
    folder = REPOSITORY / "tests" / part
    rooms = {path.relative_to(folder).parts[0] for path in folder.rglob("*/test_*.py")}
    assert rooms <= known, "a folder is named after the room of ltspd/ that it tests"
    whole = {
        "test_cockpit",
        "test_contributing",
        "test_docs",
        "test_laws",
        *(f"test_{room}" for room in ALLOWED),
    }
    assert {path.stem for path in folder.glob("test_*.py")} <= (whole if part == "pure" else set())
