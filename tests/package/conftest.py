"""The packages as built from this tree, and fresh machines that they lie on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from tests.lab.net import Lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session
from tests.package import packages
from tests.package.packages import Packages


@dataclass(frozen=True, slots=True)
class Builds:
    """The packages of this tree, and the same with a higher version."""

    now: Packages
    next: Packages


Fresh = Callable[[str, str], AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def builds(lab: Session) -> Builds:
    """Build both."""
    home = lab.directory / "package"
    return Builds(packages.build(home / "now"), packages.build(home / "next", packages.NEXT))


@pytest.fixture(scope="session")
def fresh(lab: Session, lan: Lan, builds: Builds) -> Fresh:
    """Boot a machine (by Debian's release, and a name) that has all but our packages; those lie in /opt.

    All of them are at the same place in the same network, so each ends with its context, also with one that
    fails: what comes next finds the ports free.
    """

    @contextmanager
    def booted(suite: str, name: str) -> Iterator[Server]:
        tree = packages.fresh_tree(suite)
        # debian/tests/server makes this source itself where there is a network.
        sources = {"autopkgtest": "client"}
        server = start_server(lab, lan, tree=tree, sources=sources, install=False, name=f"{name}-{suite}")
        try:
            for build in (builds.now, builds.next):
                target = server.path(f"/opt/{build.directory.name}")
                target.mkdir()
                for deb in build.debs:
                    # The page needs Cockpit, which these machines have not.
                    if not deb.name.startswith("ltspd-cockpit_"):
                        shutil.copy(deb, target)
            # As docs/install.md says for nfs-ganesha.
            server.run("systemctl disable --now nfs-ganesha")
            yield server
        finally:
            server.stop()

    return booted
