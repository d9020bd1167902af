"""Fixtures of all tests: nothing left behind, an empty root, the lab with its server and clients."""

import asyncio
import inspect
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ltspd.model.image import Source
from ltspd.paths import Paths
from tests.lab import leaks, product, trees
from tests.lab.disks import make_disk
from tests.lab.net import Lan, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, leftovers, open_session
from tests.lab.trees import SOURCES
from tests.worlds import examples  # noqa: F401  (it sets how many examples are drawn)
from tests.worlds.image_trees import make_source


@pytest.fixture(scope="session", autouse=True)
def own_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the run a temporary directory of its own, so that files left in it are seen."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.getbasetemp() / "tmp"
        directory.mkdir()
        patch.setenv("TMPDIR", str(directory))
        patch.setattr(tempfile, "tempdir", str(directory))
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, descriptor, thread, temporary file, mount or loop device.

    Tests in the lab share its session, which checks at its end.
    """
    if request.node.get_closest_marker("lab"):
        yield
        return
    before = leaks.holdings()
    yield
    if left := leaks.left_behind(before):
        pytest.fail(f"left behind: {'; '.join(left)}", pytrace=False)


@pytest.fixture
async def no_task_left_running() -> AsyncIterator[None]:
    """Fail an asyncio test that, with its fixtures, leaves a task running."""
    before = asyncio.all_tasks()
    yield
    current = asyncio.current_task()
    left = {task for task in asyncio.all_tasks() - before if task is not current}
    if left:
        _, left = await asyncio.wait(left, timeout=leaks.PATIENCE)
    if left:
        names = sorted(f"{task.get_name()} ({task.get_coro()})" for task in left)
        pytest.fail(f"tasks left running: {'; '.join(names)}", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put that check around every asyncio test: set up early, so that it looks after other fixtures.

    But within `nothing_left_behind`, which must find the test's event loop closed.
    """
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            names = item.fixturenames
            names.insert(names.index("nothing_left_behind") + 1, "no_task_left_running")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path)


@pytest.fixture
def source(paths: Paths) -> Source:
    return make_source(paths)


@pytest.fixture(scope="session")
def root_tree() -> Callable[[str], Path]:
    """Return what gives the lab's root tree of a name, built first if the cache has none."""
    if os.geteuid() != 0:
        pytest.skip("only root can build a root tree, and read all of it")
    return trees.tree


@pytest.fixture(scope="session")
def lab() -> Iterator[Session]:
    """Open the run of the lab that all its tests share; at its end nothing of it may exist."""
    with open_session() as session:
        yield session
    assert leftovers(session.name) == []


@pytest.fixture(scope="session")
def lan(lab: Session) -> Lan:
    """Make the LAN, and beside it a second network with a DHCP server that is not ours."""
    return make_lan(lab, external=True)


@pytest.fixture(scope="session")
def server(lab: Session, lan: Lan) -> Server:
    """Boot a server with the product installed, configured for the lab, and two image sources."""
    server = start_server(lab, lan, sources=SOURCES)
    product.wait_until_up(server)
    product.configure(server, {})
    return server


@pytest.fixture(scope="session")
def disk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Put a VM's disk with the system of `bookworm` on the server, and return its path there."""
    made = make_disk(trees.tree(SOURCES["bookworm"]), tmp_path_factory.mktemp("disk"))
    # Not where images are made from, for all tests would see it; nor where it would be in an image of /.
    home = server.path("/srv/vm")
    home.mkdir(exist_ok=True)
    shutil.move(made, home / made.name)
    return f"/srv/vm/{made.name}"


@pytest.fixture(scope="session")
def images(server: Server) -> tuple[str, ...]:
    """Build the server's images, the one of its own root too, and return their names."""
    # A person of the server, whom clients must know without learning the hash.
    server.run("id alice 2>/dev/null || useradd --uid 1500 --password '$6$salt$hash' --create-home alice")
    for name in (*SOURCES, "/"):
        product.build(server, name)
    # The other sources are overlays, whose files an NFS server in user space can't name.
    server.run("cp -a /srv/ltsp/bookworm /srv/ltsp/plain")
    product.build(server, "plain", "--direct")
    return (*SOURCES, "x86_64", "plain")
